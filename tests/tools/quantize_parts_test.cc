// The parts of bq-quantize by themselves.
#include <algorithm>
#include <cmath>
#include <set>

#include "quantize/activations.h"
#include "quantize/decompose.h"
#include "quantize/edit.h"
#include "quantize/layers.h"
#include "quantize/scales.h"
#include "quantize/statistics.h"
#include "quantize_test_util.h"

namespace bqengine::ptq {
namespace {

// --------------------------------------------------------------------- layers

std::vector<std::string> Reasons(const Graph& graph, const Selection& selection,
                                 int64_t bases = 1) {
  const auto layers = ChooseLayers(graph, selection, bases);
  EXPECT_TRUE(layers.ok()) << layers.status().message();
  std::vector<std::string> reasons;
  if (!layers.ok()) return reasons;
  for (const Layer& layer : *layers) reasons.push_back(layer.float_reason);
  return reasons;
}

TEST(QuantizeLayers, FirstAndLastStayFloat) {
  const Graph graph = SmallNetwork(1);
  EXPECT_EQ(Reasons(graph, {}),
            (std::vector<std::string>{"first layer", "", "", "last layer"}));
  // conv1 has three channels: a word for each three floats.
  EXPECT_EQ(Reasons(graph, {.first_and_last = true}),
            (std::vector<std::string>{"", "", "", ""}));
  EXPECT_EQ(Reasons(graph, {.first_and_last = true}, 2)[0],
            "its bits take 3.5 kB, its floats 2.6 kB");
  EXPECT_EQ(Reasons(graph, {.skip = {"fc1"}}),
            (std::vector<std::string>{"first layer", "", "named by --skip",
                                      "last layer"}));
  EXPECT_EQ(
      Reasons(graph, {.layers = {"conv1", "fc2"}}, 5),
      (std::vector<std::string>{"", "not in --layers", "not in --layers", ""}));
}

TEST(QuantizeLayers, OrderIsThatOfExecution) {
  Graph graph = SmallNetwork(2);
  std::reverse(graph.nodes.begin(), graph.nodes.end());
  const auto layers = ChooseLayers(graph, {}, 1);
  ASSERT_TRUE(layers.ok());
  std::vector<std::string> names;
  for (const Layer& layer : *layers) {
    names.push_back(graph.nodes[layer.node].name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"conv1", "conv2", "fc1", "fc2"}));
  EXPECT_EQ(Reasons(graph, {}),
            (std::vector<std::string>{"first layer", "", "", "last layer"}));
}

// Two heads are two last layers; a product on a side branch is neither.
TEST(QuantizeLayers, Branches) {
  GraphMaker maker(3);
  Graph graph = maker.Start({kBatch, 8});
  const auto add = [&](const char* name, const char* input) {
    maker.Add(graph, "Gemm", name, {input}, {},
              {{"weight", maker.RandomFloats({8, 8}, -1, 1)}});
  };
  add("first", "x");
  add("left", "first");
  add("right", "first");
  maker.Add(graph, "Add", "sum", {"left", "right"});
  add("head1", "sum");
  add("head2", "sum");
  graph.outputs = {{.name = "head1"}, {.name = "head2"}};
  EXPECT_EQ(Reasons(graph, {}),
            (std::vector<std::string>{"first layer", "", "", "last layer",
                                      "last layer"}));
}

TEST(QuantizeLayers, DepthwiseIsNoSmaller) {
  GraphMaker maker(4);
  Graph graph = maker.Start({kBatch, 5, 5, 16});
  maker.Add(graph, "Conv", "depthwise", {"x"},
            {{"kernel_shape", Ints{3, 3}}, {"group", int64_t{16}}},
            {{"weight", maker.RandomFloats({16, 3, 3, 1}, -1, 1)}});
  const auto none = ChooseLayers(graph, {.first_and_last = true}, 1);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.status().message(),
            "no layer would be quantized (depthwise: its bits take 1.2 kB, its "
            "floats 576 B)");
  EXPECT_EQ(Reasons(graph, {.layers = {"depthwise"}}),
            (std::vector<std::string>{""}));
}

TEST(QuantizeLayers, NamesThatAreNone) {
  const Graph graph = SmallNetwork(5);
  for (const Selection& selection : {Selection{.layers = {"conv2", "relu1"}},
                                     Selection{.skip = {"relu1"}}}) {
    const auto layers = ChooseLayers(graph, selection, 1);
    ASSERT_FALSE(layers.ok());
    EXPECT_NE(layers.status().message().find(
                  "relu1: no Conv or Gemm has this name; there is conv1, "),
              std::string::npos)
        << layers.status().message();
  }
  Graph empty;
  EXPECT_FALSE(ChooseLayers(empty, {}, 1).ok());
}

// ---------------------------------------------------------------------- names

TEST(QuantizeEdit, NamesStayUniqueAndShort) {
  std::set<std::string> taken = {"a"};
  EXPECT_EQ(NewName("b", &taken), "b");
  EXPECT_EQ(NewName("a", &taken), "a.2");
  EXPECT_EQ(NewName("a", &taken), "a.3");
  EXPECT_LT(NewName(std::string(1020, 'x'), &taken).size(), 1024u);
}

TEST(QuantizeEdit, LongNamesStayValid) {
  Graph graph = SmallNetwork(6);
  for (Node& node : graph.nodes) {
    if (node.name == "fc1") node.name = std::string(1024, 'n');
  }
  const Images images = RandomImages(7, 8);
  const Quantization q = Quantized(
      graph, {.method = {true, 2, 0}, .activation_bases = 2}, &images);
  EXPECT_TRUE(InferShapes(q.graph).ok());
}

// ---------------------------------------------------------------- activations

double SquaredError(const Floats& x, const ActivationBases& bases,
                    double constant) {
  const double smaller = bases.encoding == DataType::kBipolar ? -1 : 0;
  double sum = 0;
  for (const float value : x) {
    double rest = value - constant;
    for (size_t n = 0; n < bases.beta.size(); ++n) {
      rest -= bases.beta[n] * (value >= bases.thresholds[n] ? 1 : smaller);
    }
    sum += rest * rest;
  }
  return sum / static_cast<double>(x.size());
}

// Uniform values in [0, 1): N + 1 equal steps are best, one of them at 0 or at
// -level where there is no constant.
TEST(QuantizeActivations, UniformValues) {
  GraphMaker maker(8);
  const Floats x = maker.Floats(100000, 0, 1);
  const auto free = FitActivations(x, 3, false);
  ASSERT_TRUE(free.ok());
  EXPECT_EQ(free->encoding, DataType::kBipolar);
  for (size_t n = 0; n < 3; ++n) {
    EXPECT_NEAR(free->thresholds[n], 0.25 * static_cast<double>(n + 1), 0.01);
    EXPECT_NEAR(free->beta[n], 0.125, 0.01);
  }
  EXPECT_NEAR(SquaredError(x, *free, 0.5), 1.0 / 16 / 12, 1e-4);
  EXPECT_NEAR(free->relative_error, 1.0 / 16 / 0.5, 2e-3);

  const auto padded = FitActivations(x, 1, true);
  ASSERT_TRUE(padded.ok());
  EXPECT_EQ(padded->encoding, DataType::kUnipolar);
  // Levels 0 and b, threshold b / 2: b is the mean of what is above b / 2.
  EXPECT_NEAR(padded->beta[0], 2.0 / 3, 0.01);
  EXPECT_NEAR(padded->thresholds[0], 1.0 / 3, 0.01);

  const auto with_sign = FitActivations(maker.Floats(100000, -1, 1), 1, true);
  ASSERT_TRUE(with_sign.ok());
  EXPECT_EQ(with_sign->encoding, DataType::kBipolar);
  EXPECT_NEAR(with_sign->thresholds[0], 0, 0.01);
  EXPECT_NEAR(with_sign->beta[0], 0.5, 0.01);
}

TEST(QuantizeActivations, ErrorFallsWithTheBases) {
  GraphMaker maker(9);
  Floats x = maker.Floats(20000, -1, 1);
  for (float& value : x) value = std::max(0.0f, value * value * value);
  for (const bool padded : {false, true}) {
    double last = 1e9;
    for (int64_t bases = 1; bases <= 6; ++bases) {
      const auto fit = FitActivations(x, bases, padded);
      ASSERT_TRUE(fit.ok());
      EXPECT_LT(fit->relative_error, last) << bases;
      last = fit->relative_error;
    }
  }
}

TEST(QuantizeActivations, OddValues) {
  for (const bool padded : {false, true}) {
    for (const Floats& x : {Floats{0}, Floats(50, 3.5f), Floats{-2, -2, 5}}) {
      const auto fit = FitActivations(x, 4, padded);
      ASSERT_TRUE(fit.ok()) << fit.status().message();
      ASSERT_EQ(fit->beta.size(), 4u);
      for (size_t n = 0; n < 4; ++n) {
        EXPECT_TRUE(std::isfinite(fit->beta[n]));
        EXPECT_TRUE(std::isfinite(fit->thresholds[n]));
      }
      // Without a constant the sum's least value is minus its largest.
      if (!padded || x[0] >= 0) {
        EXPECT_LT(fit->relative_error, 1e-6) << x[0];
      }
    }
    EXPECT_FALSE(FitActivations({}, 1, padded).ok());
    EXPECT_FALSE(FitActivations({1, NAN}, 1, padded).ok());
    EXPECT_FALSE(FitActivations({1, INFINITY}, 1, padded).ok());
  }
}

// -------------------------------------------------------------- decompositions

double SquaredError(const Constant& weight, const quantize::Weights& weights) {
  const auto sums = quantize::Reconstruct(weights);
  double sum = 0;
  for (size_t i = 0; i < sums->size(); ++i) {
    const double rest = weight.floats()[i] - (*sums)[i];
    sum += rest * rest;
  }
  return sum;
}

// Each channel gets the bits and scales of the decomposition chosen for it.
TEST(QuantizeDecompose, CombinesByChannel) {
  GraphMaker maker(13);
  const Constant weight = maker.RandomFloats({5, 3, 70}, -1, 1);
  const auto all = Decompositions(weight, {true, 3, 10}, {1, 0.5f});
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 3u);
  EXPECT_EQ((*all)[0].start, "shifts x 1");
  EXPECT_EQ((*all)[1].start, "shifts x 0.5");
  EXPECT_EQ((*all)[2].start, "rest");
  const std::vector<size_t> choice = {0, 1, 2, 2, 0};
  const auto sums = quantize::Reconstruct(Combine(*all, choice));
  ASSERT_TRUE(sums.ok());
  for (size_t i = 0; i < sums->size(); ++i) {
    const auto expected =
        quantize::Reconstruct((*all)[choice[i / 210]].weights);
    ASSERT_EQ((*sums)[i], (*expected)[i]) << i;
  }
}

TEST(QuantizeDecompose, TakesTheBestInEachChannel) {
  GraphMaker maker(14);
  const Constant weight = maker.RandomFloats({8, 500}, -1, 1);
  for (const int64_t bases : {2, 3, 5}) {
    const Method method = {true, bases, 20};
    const auto best = Decompose(weight, method);
    ASSERT_TRUE(best.ok());
    const auto all = Decompositions(weight, method, {1, 2});
    ASSERT_TRUE(all.ok());
    for (const Decomposition& one : *all) {
      EXPECT_LE(SquaredError(weight, *best),
                SquaredError(weight, one.weights) * (1 + 1e-6));
    }
  }
  // Of uniform values, M bits make 2^M equal steps at best.
  const double variance =
      SquaredError(weight, *Decompose(weight, {true, 5, 20})) / 4000;
  EXPECT_LT(variance, 1.1 * (2.0 / 32) * (2.0 / 32) / 12);
}

TEST(QuantizeDecompose, PaperAndSingleBases) {
  GraphMaker maker(15);
  const Constant weight = maker.RandomFloats({4, 100}, -1, 1);
  const auto paper =
      quantize::AbcNet(weight.floats(), {4, 100}, *quantize::AbcNetShifts(3),
                       quantize::Scope::kChannel);
  const auto plain = Decompose(weight, {true, 3, 0});
  ASSERT_TRUE(paper.ok() && plain.ok());
  EXPECT_EQ(*quantize::Reconstruct(*plain), *quantize::Reconstruct(*paper));
  EXPECT_EQ(Decompositions(weight, {true, 1, 20}, {1, 2})->size(), 1u);
  EXPECT_EQ(Decompositions(weight, {}, {1, 2})->size(), 1u);
}

// --------------------------------------------------------------------- scales

// The target is a known sum: least squares finds it, far from 0, too.
TEST(QuantizeScales, FindsWhatIsThere) {
  GraphMaker maker(10);
  const size_t rows = 500, channels = 3;
  const Floats a = maker.Floats(rows * channels, -5, 3);
  const Floats b = maker.Floats(rows * channels, 100, 101);
  Floats target(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    const float o = static_cast<float>(i % channels);
    target[i] = (o + 1) * a[i] - 2 * b[i] + 10 * o;
  }
  ScaleFitter fitter(2, channels);
  for (size_t part = 0; part < 2; ++part) {
    const size_t size = a.size() / 2;
    const std::span<const float> sums[] = {
        std::span(a).subspan(part * size, size),
        std::span(b).subspan(part * size, size)};
    fitter.Add(std::span(target).subspan(part * size, size), sums);
  }
  for (const bool match : {false, true}) {
    const auto scales = fitter.Fit(match, Floats(2 * channels, 1.0f));
    ASSERT_TRUE(scales.ok());
    for (size_t o = 0; o < channels; ++o) {
      EXPECT_NEAR(scales->alpha[o], static_cast<float>(o + 1), 1e-4);
      EXPECT_NEAR(scales->alpha[channels + o], -2, 1e-3);
      EXPECT_NEAR(scales->add[o], 10.0f * static_cast<float>(o), 0.1);
    }
    for (const double error : scales->squared_error) {
      EXPECT_NEAR(error, 0, 1e-4);
    }
  }
}

TEST(QuantizeScales, DeviationIsMatchedWithinReason) {
  GraphMaker maker(11);
  const Floats sums = maker.Floats(20000, -1, 1);
  for (const auto& [noise, factor] :
       {std::pair(0.5f, std::sqrt(1.25)), std::pair(20.0f, 2.0)}) {
    Floats target = maker.Floats(20000, -1, 1);
    for (size_t i = 0; i < target.size(); ++i) {
      target[i] = sums[i] + noise * target[i];
    }
    ScaleFitter fitter(1, 1);
    const std::span<const float> parts[] = {sums};
    fitter.Add(target, parts);
    const Floats otherwise = {1.0f};
    const auto plain = fitter.Fit(false, otherwise),
               matched = fitter.Fit(true, otherwise);
    ASSERT_TRUE(plain.ok() && matched.ok());
    EXPECT_NEAR(matched->alpha[0] / plain->alpha[0], factor, 0.02);
  }
}

// Fitted to few samples, or to samples that are all the same, scales would mean
// nothing.
TEST(QuantizeScales, FewSamplesLeaveAlpha) {
  GraphMaker maker(13);
  for (const size_t rows : {size_t{1}, size_t{19}, size_t{20}}) {
    SCOPED_TRACE(rows);
    const Floats sums = maker.Floats(rows, 4, 6);
    Floats target(rows);
    for (size_t i = 0; i < rows; ++i) target[i] = 3 * sums[i] - 7;
    ScaleFitter fitter(1, 1);
    const std::span<const float> parts[] = {sums};
    fitter.Add(target, parts);
    const auto scales = fitter.Fit(true, Floats{0.5f});
    ASSERT_TRUE(scales.ok());
    EXPECT_NEAR(scales->alpha[0], rows < 20 ? 0.5f : 3.0f, 1e-4);
  }
  ScaleFitter constant(1, 1);
  const Floats sums(100, 2.0f), target(100, 5.0f);
  const std::span<const float> parts[] = {sums};
  constant.Add(target, parts);
  const auto scales = constant.Fit(true, Floats{0.5f});
  ASSERT_TRUE(scales.ok());
  EXPECT_EQ(scales->alpha[0], 0.5f);
  EXPECT_EQ(scales->add[0], 4.0f);
}

// ----------------------------------------------------------------- statistics

TEST(QuantizeStatistics, PartsMakeTheWhole) {
  GraphMaker maker(12);
  const Floats x = maker.Floats(3000, 99, 101), y = maker.Floats(3000, -1, 1);
  ErrorSum error;
  Moments moments(3);
  for (size_t start = 0; start < 3000; start += 600) {
    error.Add(std::span(x).subspan(start, 600),
              std::span(y).subspan(start, 600));
    moments.Add(std::span(x).subspan(start, 600));
  }
  const auto expected = quantize::MeasureError(x, y);
  EXPECT_NEAR(error.error().sum, expected->sum, 1e-6);
  EXPECT_NEAR(error.error().mean, expected->mean, 1e-9);
  EXPECT_NEAR(error.error().relative, expected->relative, 1e-9);
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(moments.mean(c), 100, 0.1);
    EXPECT_NEAR(moments.variance(c), 1.0 / 3, 0.02);
  }
}

TEST(QuantizeStatistics, SampleMeetsAllChannels) {
  const int64_t channels = 96, rows = 60000;
  Sample sample(channels * rows, channels);
  Floats part(static_cast<size_t>(channels) * 100);
  for (size_t i = 0; i < part.size(); ++i) {
    part[i] = static_cast<float>(i % static_cast<size_t>(channels));
  }
  for (int64_t row = 0; row < rows; row += 100) sample.Add(part);
  const Floats taken = sample.Take();
  EXPECT_GT(taken.size(), 200000u);
  EXPECT_LT(taken.size(), 600000u);
  std::vector<size_t> seen(static_cast<size_t>(channels));
  for (const float value : taken) ++seen[static_cast<size_t>(value)];
  for (const size_t count : seen) {
    EXPECT_NEAR(static_cast<double>(count),
                static_cast<double>(taken.size()) / channels, 3);
  }
}

}  // namespace
}  // namespace bqengine::ptq
