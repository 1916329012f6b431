// What values a channel can take: each operation on each kind of set.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "convert_test_util.h"
#include "range_analysis.h"
#include "step_function.h"
#include "value_set.h"

namespace bqengine::convert {

// Names in failures.
void PrintTo(Occurs occurs, std::ostream* out) {
  *out << (occurs == Occurs::kNever    ? "never"
           : occurs == Occurs::kRarely ? "rarely"
                                       : "can");
}

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// A continuum of learned numbers.
ValueSet Sum() { return ValueSet::Spread(); }

TEST(ValueSet, AnyNumberWithinBounds) {
  EXPECT_EQ(ValueSet::Any().Exactly(0), Occurs::kCan);
  EXPECT_EQ(ValueSet::Any(0.5f, 2).Exactly(0), Occurs::kNever);
  EXPECT_EQ(ValueSet::Any(0, 2).Within(-kInf, 0), Occurs::kNever);
  EXPECT_EQ(ValueSet::Any(0, 2).Within(-kInf, 1e-45f), Occurs::kCan);
  EXPECT_EQ(ValueSet::Any(-kInf, 0).Within(0, kInf), Occurs::kCan);
  EXPECT_EQ(ValueSet::Any().Within(1, 1), Occurs::kNever);
  EXPECT_EQ(ValueSet::Any().Exactly(kInf), Occurs::kCan);
  EXPECT_EQ(ValueSet::Any(0, 1).Exactly(kInf), Occurs::kNever);
  EXPECT_EQ(ValueSet::Any().Shifted(-0.1307f, true).Exactly(0), Occurs::kCan);
  // Pixels are whole, a learned number is not.
  EXPECT_EQ(ValueSet::Any().Shifted(-0.1307f, false).Exactly(0),
            Occurs::kRarely);
  EXPECT_EQ(ValueSet::Any().Shifted(-128, false).Exactly(0), Occurs::kCan);
  EXPECT_EQ(ValueSet::Any().Scaled(0.1f).Shifted(-0.3f, false).Exactly(0),
            Occurs::kCan);
}

// What floor leaves is on a grid, which sums and simple factors keep.
TEST(ValueSet, Grids) {
  const ValueSet levels = ValueSet::Any().Floored().Clipped(-128, 127);
  EXPECT_EQ(levels.Exactly(3), Occurs::kCan);
  EXPECT_EQ(levels.Exactly(2.5f), Occurs::kNever);
  EXPECT_EQ(levels.Exactly(128), Occurs::kNever);
  EXPECT_EQ(levels.Scaled(3).Shifted(-4.5f, true).Exactly(0), Occurs::kNever);
  EXPECT_EQ(levels.Scaled(3).Shifted(-4.5f, true).Exactly(1.5f), Occurs::kCan);
  const Floats weights = {1, -1, 0, 1, 1};
  const ValueSet sum = ValueSet::WeightedSum(levels, weights, 0);
  EXPECT_EQ(sum.Scaled(2).Shifted(-92.5f, false).Exactly(0), Occurs::kNever);
  EXPECT_EQ(sum.Scaled(2).Shifted(-92, false).Exactly(0), Occurs::kCan);
  EXPECT_EQ(sum.Exactly(512), Occurs::kCan);
  EXPECT_EQ(sum.Exactly(513), Occurs::kNever);
  // Rounding: 3 * 0.1f - 0.3f is 0 in floats.
  EXPECT_EQ(levels.Scaled(0.1f).Shifted(-0.3f, true).Exactly(0), Occurs::kCan);
  // Large numbers lose their halves.
  EXPECT_EQ(ValueSet::Any().Floored().Shifted(0.5f, true).Exactly(7),
            Occurs::kCan);
  EXPECT_EQ(levels.Clipped(-0.25f, 1).Exactly(-0.25f), Occurs::kCan);
}

TEST(ValueSet, ContinuumWithPoints) {
  EXPECT_EQ(Sum().Exactly(0), Occurs::kRarely);
  EXPECT_EQ(Sum().Within(0, 1), Occurs::kCan);
  EXPECT_EQ(Sum().Rectified().Exactly(0), Occurs::kCan);
  EXPECT_EQ(Sum().Rectified().Within(-kInf, 0), Occurs::kNever);
  EXPECT_EQ(Sum().Rectified().Shifted(-0.5f, false).Exactly(0),
            Occurs::kRarely);
  EXPECT_EQ(Sum().Rectified().Shifted(-0.5f, false).Exactly(-0.5f),
            Occurs::kCan);
  EXPECT_EQ(Sum().Clipped(-1, 1).Scaled(-3).Exactly(-3), Occurs::kCan);
  EXPECT_EQ(Sum().Leaky(0.1f).Exactly(0), Occurs::kRarely);
  EXPECT_EQ(Sum().Leaky(0).Exactly(0), Occurs::kCan);
  EXPECT_EQ(Sum().Floored().Exactly(0), Occurs::kCan);
  EXPECT_EQ(Sum().Scaled(0).Exactly(0), Occurs::kCan);
  EXPECT_EQ(Sum().Scaled(0).Within(1e-45f, kInf), Occurs::kNever);
  // The mean of nothing but -1 and 1 can be 0.
  EXPECT_EQ(Sum().Averaged().Exactly(0), Occurs::kRarely);
  EXPECT_EQ(Sum().Rectified().Averaged().Exactly(0), Occurs::kCan);
  EXPECT_EQ(Sum().Clipped(-1, 1).Averaged().Exactly(0), Occurs::kCan);
}

TEST(ValueSet, IntegersByTheirParity) {
  const ValueSet even = ValueSet::Integers(-12, 12, 2);
  const ValueSet odd = ValueSet::Integers(-13, 13, 2);
  EXPECT_EQ(even.Exactly(0), Occurs::kCan);
  EXPECT_EQ(odd.Exactly(0), Occurs::kNever);
  EXPECT_EQ(odd.Shifted(3, false).Exactly(0), Occurs::kCan);
  EXPECT_EQ(odd.Shifted(15, false).Exactly(0), Occurs::kNever);
  EXPECT_EQ(odd.Scaled(-1).Shifted(-13, false).Exactly(0), Occurs::kCan);
  EXPECT_EQ(odd.Scaled(-0.1f).Within(-0.2f, 0.2f), Occurs::kCan);
  EXPECT_EQ(odd.Scaled(-0.1f).Within(-0.05f, 0.05f), Occurs::kNever);
  // float(3 * 0.1f) is 0.3f, but three times 0.1f is not.
  EXPECT_EQ(odd.Scaled(0.1f).Shifted(-0.3f, false).Exactly(0), Occurs::kNever);
  EXPECT_EQ(even.Normalized(0.3f, 0, 4, 0.7f, 1e-5f).Exactly(0), Occurs::kCan);
  EXPECT_EQ(odd.Normalized(0.3f, 0, 4, 0.7f, 1e-5f).Exactly(0), Occurs::kNever);
  EXPECT_EQ(odd.Normalized(0, 0.5f, 4, 0.7f, 1e-5f).Exactly(0.5f),
            Occurs::kCan);
  EXPECT_EQ(odd.Rectified().Exactly(0), Occurs::kCan);
  EXPECT_EQ(odd.Rectified().Within(-kInf, 0), Occurs::kNever);
  EXPECT_EQ(odd.Leaky(0.25f).Exactly(0), Occurs::kNever);
  EXPECT_EQ(odd.Scaled(0.5f).Floored().Exactly(0), Occurs::kCan);
  EXPECT_EQ(odd.Averaged().Exactly(0), Occurs::kCan);
  EXPECT_EQ(odd.Normalized(0.3f, 0.123f, 4, 0.7f, 1e-5f).Averaged().Exactly(0),
            Occurs::kRarely);
}

TEST(ValueSet, SumsOfTwo) {
  const ValueSet even = ValueSet::Integers(-12, 12, 2);
  const ValueSet learned = even.Normalized(0.31f, 0.123f, 1.7f, 0.7f, 1e-5f);
  const ValueSet other = even.Normalized(0.77f, -0.4f, 0.3f, 1.9f, 1e-5f);
  EXPECT_EQ(ValueSet::Sum(even, even.Scaled(0.1f)).Exactly(0), Occurs::kCan);
  EXPECT_EQ(ValueSet::Sum(even.Scaled(0.1f), even.Scaled(0.3f)).Exactly(0),
            Occurs::kCan);
  EXPECT_EQ(ValueSet::Sum(learned, other).Exactly(0), Occurs::kRarely);
  EXPECT_EQ(ValueSet::Sum(Sum(), even).Exactly(0), Occurs::kRarely);
  EXPECT_EQ(ValueSet::Sum(Sum().Rectified(), even).Exactly(0), Occurs::kCan);
  EXPECT_EQ(ValueSet::Sum(Sum().Rectified(), learned).Exactly(0),
            Occurs::kRarely);
  EXPECT_EQ(ValueSet::Sum(Sum().Rectified(), Sum().Rectified()).Exactly(0),
            Occurs::kCan);
  EXPECT_EQ(ValueSet::Sum(Sum().Rectified(), ValueSet::Points({1})).Exactly(0),
            Occurs::kNever);
  EXPECT_EQ(ValueSet::DependentSum(Sum(), Sum()).Exactly(0), Occurs::kCan);
  EXPECT_EQ(ValueSet::Product(Sum(), Sum().Rectified()).Exactly(0),
            Occurs::kCan);
  EXPECT_EQ(ValueSet::Product(Sum(), Sum()).Exactly(0), Occurs::kRarely);
  EXPECT_EQ(ValueSet::Product(Sum().Rectified(), ValueSet::Any(0, 1))
                .Within(-kInf, 0),
            Occurs::kNever);
  EXPECT_EQ(ValueSet::Union(Sum(), ValueSet::Points({0})).Exactly(0),
            Occurs::kCan);
  EXPECT_EQ(ValueSet::Union(learned, other).Exactly(0), Occurs::kRarely);
}

TEST(ValueSet, SumsOfManyTerms) {
  const Floats real = {0.31f, -0.77f, 0.123f}, ones = {1, -1, 1, -1};
  const Floats none = {0, 0}, one = {0.5f};
  const auto zero = [](const ValueSet& terms, const Floats& weights,
                       float bias) {
    return ValueSet::WeightedSum(terms, weights, bias).Exactly(0);
  };
  EXPECT_EQ(zero(Sum(), real, 0), Occurs::kRarely);
  EXPECT_EQ(zero(Sum(), none, 0), Occurs::kCan);
  EXPECT_EQ(zero(Sum(), none, 0.1f), Occurs::kNever);
  // Of nothing but zeros there remains the bias.
  EXPECT_EQ(zero(Sum().Rectified(), real, 0), Occurs::kCan);
  EXPECT_EQ(zero(Sum().Rectified(), real, 0.1f), Occurs::kRarely);
  EXPECT_EQ(zero(ValueSet::Any(), real, 0), Occurs::kCan);
  EXPECT_EQ(zero(ValueSet::Any(), real, 0.1f), Occurs::kRarely);
  // Pixels that are added and subtracted cancel each other.
  EXPECT_EQ(zero(ValueSet::Any(), ones, 2), Occurs::kCan);
  EXPECT_EQ(zero(ValueSet::Any(), ones, 0.1307f), Occurs::kRarely);
  EXPECT_EQ(zero(Sum().Clipped(-1, 1), ones, 0), Occurs::kCan);
  EXPECT_EQ(zero(Sum(), ones, 0), Occurs::kRarely);
  EXPECT_EQ(zero(ValueSet::Integers(-3, 3, 2), one, 0), Occurs::kNever);
}

TEST(RangeAnalysis, StopsWhereItWouldFillTheMemory) {
  constexpr int64_t kChannels = 100;
  constexpr int kNodes = 300;
  Graph graph;
  graph.inputs.push_back({"x", {DataType::kFloat32, {kBatch, kChannels}}});
  graph.constants["c"] =
      Constant::Floats({kChannels}, RandomFloats(kChannels, 7));
  for (int i = 0; i < kNodes; ++i) {
    const std::string name = "n" + std::to_string(i);
    const std::string from = i == 0 ? "x" : "n" + std::to_string(i - 1);
    graph.nodes.push_back(
        {name, i == 0 ? "Add" : "Relu", {from}, {name}, {}, {}});
  }
  graph.nodes[0].constants["value"] = "c";
  RangeAnalysis ranges(graph, 1 << 20);
  EXPECT_EQ(ranges.Of("n10").size(), static_cast<size_t>(kChannels));
  EXPECT_EQ(ranges.Of("n10")[0].Exactly(-1), Occurs::kNever);
  const auto& last = ranges.Of("n" + std::to_string(kNodes - 1));
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(last[0].Exactly(0), Occurs::kCan);
}

// ------------------------------------------------------------------ thresholds

StepFunction Step(const std::string& source, float threshold) {
  StepFunction step;
  step.source = source;
  step.values = {0, 1};
  step.thresholds = {{threshold}};
  return step;
}

float SumOf(const std::vector<float>& values) {
  float sum = 0;
  for (float value : values) sum += value;
  return sum;
}

TEST(StepFunction, MergesThresholdsInOrder) {
  const auto sum = Combined({Step("x", 2), Step("x", -1), Step("x", 2)}, SumOf);
  ASSERT_TRUE(sum.has_value());
  EXPECT_EQ(sum->values, (Floats{0, 1, 3}));
  EXPECT_EQ(sum->thresholds, (std::vector<Floats>{{-1}, {2}}));
  EXPECT_FALSE(Combined({Step("x", 2), Step("y", 2)}, SumOf).has_value());
}

TEST(StepFunction, JoinsWhatIsEqual) {
  const auto same =
      Combined({Step("x", 0), Step("x", 1)},
               [](const std::vector<float>& v) { return v[0] - v[0] * v[1]; });
  ASSERT_TRUE(same.has_value());
  EXPECT_EQ(same->values, (Floats{0, 1, 0}));
  const auto constant =
      Combined({Step("x", 0), Step("x", 1)},
               [](const std::vector<float>&) { return 5.0f; });
  ASSERT_TRUE(constant.has_value());
  EXPECT_EQ(constant->values, (Floats{5, 5}));  // two stay
}

TEST(StepFunction, FindsThresholdsOfACommonSource) {
  Graph graph;
  const auto add = [&](const std::string& op, const std::string& from,
                       const std::string& to, const Floats& value) {
    Node node{to, op, {from}, {to}, {}, {}};
    if (!value.empty()) {
      graph.constants[to] =
          Constant::Floats({static_cast<int64_t>(value.size())}, value);
      node.constants["value"] = to;
    }
    graph.nodes.push_back(node);
  };
  add("Add", "x", "shifted", {0.1f, -0.2f});
  add("Mul", "x", "turned", {-3});
  add("Mul", "x", "mixed", {-3, 3});
  add("Relu", "x", "relu", {});
  const auto producer_of = [&](const std::string& tensor) -> const Node* {
    for (const Node& node : graph.nodes) {
      if (node.name == tensor) return &node;
    }
    return nullptr;
  };
  const auto lift = [&](std::vector<StepFunction>* steps, int64_t budget) {
    return GiveCommonSource(graph, producer_of, steps, &budget);
  };
  std::vector<StepFunction> steps = {Step("shifted", 0.3f), Step("turned", 1)};
  ASSERT_TRUE(lift(&steps, 10000));
  for (const StepFunction& step : steps) EXPECT_EQ(step.source, "x");
  for (size_t c = 0; c < 2; ++c) {
    const float shift = c == 0 ? 0.1f : -0.2f, t = steps[0].thresholds[0][c];
    EXPECT_GE(t + shift, 0.3f);
    EXPECT_LT(std::nextafter(t, -kInf) + shift, 0.3f);
  }
  // -3x >= 1 holds up to the threshold.
  EXPECT_EQ(steps[1].values, (Floats{1, 0}));
  const float t = steps[1].thresholds[0][0];
  EXPECT_LT(t * -3, 1);
  EXPECT_GE(std::nextafter(t, -kInf) * -3, 1);

  std::vector<StepFunction> mixed = {Step("x", 0), Step("mixed", 1)};
  EXPECT_FALSE(lift(&mixed, 10000));
  std::vector<StepFunction> apart = {Step("x", 0), Step("y", 1)};
  EXPECT_FALSE(lift(&apart, 10000));
  // Relu(x) >= -1 always, but for NaN.
  std::vector<StepFunction> always = {Step("x", 0), Step("relu", -1)};
  ASSERT_TRUE(lift(&always, 10000));
  EXPECT_EQ(always[1].thresholds[0][0], -kInf);
  // Clip(x, max = 1) >= 2 never.
  add("Clip", "x", "clip", {});
  graph.nodes.back().attributes["max"] = 1.0f;
  std::vector<StepFunction> never = {Step("x", 0), Step("clip", 2)};
  ASSERT_TRUE(lift(&never, 10000));
  EXPECT_EQ(never[1].values, (Floats{0, 0}));
  std::vector<StepFunction> costly = {Step("x", 0), Step("clip", 0.5f)};
  EXPECT_FALSE(lift(&costly, 10));
}

}  // namespace
}  // namespace bqengine::convert
