// The parts of bq-convert that compute constants and recognise bits in them.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "binary_weights.h"
#include "convert_test_util.h"
#include "fold.h"

namespace bqengine::convert {
namespace {

SourceNode MakeNode(const std::string& op,
                    std::map<std::string, SourceAttribute> attributes = {}) {
  SourceNode node;
  node.op = op;
  node.attributes = std::move(attributes);
  return node;
}

Array FoldArrays(const SourceNode& node, const std::vector<Array>& inputs) {
  FoldInputs pointers;
  for (const Array& input : inputs) pointers.push_back(&input);
  EXPECT_TRUE(CanFold(node));
  return Fold(node, pointers);
}

Array Vector(const Ints& values) {
  return Array::Ints({static_cast<int64_t>(values.size())}, values);
}

TEST(Fold, SliceClampsAndSteps) {
  const Array x = Array::Ints({2, 4}, {0, 1, 2, 3, 4, 5, 6, 7});
  const int64_t min = std::numeric_limits<int64_t>::min();
  const int64_t max = std::numeric_limits<int64_t>::max();
  const struct {
    int64_t start, end, axis, step;
    Ints expected;
  } cases[] = {
      {0, max, 0, 1, {0, 1, 2, 3, 4, 5, 6, 7}},
      {1, 3, 1, 1, {1, 2, 5, 6}},
      {-2, max, 1, 1, {2, 3, 6, 7}},
      {-1, min + 1, 0, -1, {4, 5, 6, 7, 0, 1, 2, 3}},  // PyTorch's reversal
      {3, 0, 1, -2, {3, 1, 7, 5}},
      {min, max, -1, 3, {0, 3, 4, 7}},
      {3, 1, 1, 1, {}},
  };
  for (const auto& c : cases) {
    const Array out =
        FoldArrays(MakeNode("Slice"), {x, Vector({c.start}), Vector({c.end}),
                                       Vector({c.axis}), Vector({c.step})});
    EXPECT_EQ(out.ints, c.expected) << c.start << ":" << c.end << ":" << c.step;
  }
  EXPECT_THROW(
      FoldArrays(MakeNode("Slice"), {x, Vector({0}), Vector({1}), Vector({2})}),
      ConvertError);
  EXPECT_THROW(FoldArrays(MakeNode("Slice"), {x, Vector({0}), Vector({1}),
                                              Vector({0}), Vector({0})}),
               ConvertError);
}

TEST(Fold, TheBatchIsCarriedAlong) {
  Array shape = Vector({kBatch, 3, 4});
  shape.is_batch = {true, false, false};
  const Array first =
      FoldArrays(MakeNode("Gather"), {shape, Array::Ints({}, {0})});
  EXPECT_TRUE(first.has_batch());
  const Array rest =
      FoldArrays(MakeNode("Slice"), {shape, Vector({1}), Vector({3})});
  EXPECT_FALSE(rest.has_batch());
  EXPECT_EQ(rest.KnownInts(), (Ints{3, 4}));
  const Array target = FoldArrays(
      MakeNode("Concat", {{"axis", int64_t{0}}}),
      {Vector({7}), FoldArrays(MakeNode("Unsqueeze"), {first, Vector({0})})});
  EXPECT_FALSE(target.IsBatch(0));
  EXPECT_TRUE(target.IsBatch(1));
  EXPECT_THROW(target.KnownInts(), ConvertError);
  EXPECT_THROW(FoldArrays(MakeNode("Mul"), {first, Vector({2})}), ConvertError);
  // Where(shape == -1, ones, shape): the batch is not -1 but itself.
  const Array is_keep =
      FoldArrays(MakeNode("Equal"), {shape, Array::Ints({}, {-1})});
  EXPECT_EQ(is_keep.ints, (Ints{0, 0, 0}));
  const Array chosen =
      FoldArrays(MakeNode("Where"), {is_keep, Vector({1, 1, 1}), shape});
  EXPECT_TRUE(chosen.IsBatch(0));
  EXPECT_EQ(FoldArrays(MakeNode("ConstantOfShape"), {shape}).shape,
            (Shape{1, 3, 4}));
}

// alpha * sign(w) as PyTorch leaves it: Sign, Abs, ReduceMean, Mul.
TEST(Fold, MeanOfMagnitudesTimesSign) {
  const Array w = Array::Floats({2, 1, 1, 3}, {1, -2, 3, -0.5f, 0, -1});
  for (bool attribute : {false, true}) {
    const SourceNode reduce =
        attribute ? MakeNode("ReduceMean", {{"axes", Ints{1, 2, 3}}})
                  : MakeNode("ReduceMean");
    std::vector<Array> inputs = {FoldArrays(MakeNode("Abs"), {w})};
    if (!attribute) inputs.push_back(Vector({1, 2, 3}));
    const Array alpha = FoldArrays(reduce, inputs);
    EXPECT_EQ(alpha.shape, (Shape{2, 1, 1, 1}));
    const Array scaled =
        FoldArrays(MakeNode("Mul"), {FoldArrays(MakeNode("Sign"), {w}), alpha});
    EXPECT_EQ(scaled.floats, (Floats{2, -2, 2, -0.5f, 0, -0.5f}));
  }
}

TEST(Fold, IntegersDoNotOverflowSilently) {
  const Array big = Vector({int64_t{1} << 40});
  EXPECT_THROW(FoldArrays(MakeNode("Mul"), {big, big}), ConvertError);
  EXPECT_THROW(FoldArrays(MakeNode("Div"), {big, Vector({0})}), ConvertError);
  EXPECT_THROW(FoldArrays(MakeNode("ConstantOfShape"), {big}), ConvertError);
  EXPECT_EQ(FoldArrays(MakeNode("Div"), {Vector({7}), Vector({2})}).ints,
            (Ints{3}));
}

TEST(Fold, ShapesMustFit) {
  const Array x = Array::Floats({2, 3}, Floats(6));
  EXPECT_THROW(FoldArrays(MakeNode("Reshape"), {x, Vector({4, -1})}),
               ConvertError);
  EXPECT_THROW(FoldArrays(MakeNode("Reshape"), {x, Vector({-1, -1})}),
               ConvertError);
  EXPECT_THROW(FoldArrays(MakeNode("Add"), {x, Array::Floats({2}, {1, 2})}),
               ConvertError);
  EXPECT_THROW(FoldArrays(MakeNode("Transpose", {{"perm", Ints{0, 0}}}), {x}),
               ConvertError);
  EXPECT_THROW(FoldArrays(MakeNode("Gather"), {x, Vector({2})}), ConvertError);
}

// ------------------------------------------------------------ RecogniseBits

TEST(RecogniseBits, BipolarUnipolarAndNeither) {
  const struct {
    const char* what;
    Floats weights;  // of two channels
    bool found;
    DataType type;
    Floats scale;
    const char* reason;
  } cases[] = {
      {"+-c",
       {2, -2, 2, -0.5f, -0.5f, 0.5f},
       true,
       DataType::kBipolar,
       {2, 0.5f},
       ""},
      {"0 and c", {0, 2, 0, 3, 0, 3}, true, DataType::kUnipolar, {2, 3}, ""},
      {"0 and a negative c",
       {0, 2, 0, -3, 0, -3},
       true,
       DataType::kUnipolar,
       {2, -3},
       ""},
      {"a dead channel",
       {0, 0, 0, -3, 3, -3},
       true,
       DataType::kBipolar,
       {0, 3},
       ""},
      {"all alike",
       {1, 1, 1, -1, -1, -1},
       true,
       DataType::kBipolar,
       {1, 1},
       ""},
      {"ternary",
       {1, -1, 1, 1, 0, -1},
       false,
       DataType::kBipolar,
       {},
       "weights are ternary: output channel 1"},
      {"mixed",
       {1, 0, 1, 1, -1, -1},
       false,
       DataType::kBipolar,
       {},
       "weights are ternary: output channel 0"},
      {"real",
       {1, -1, 1, 1, 2, -3},
       false,
       DataType::kBipolar,
       {},
       "weights take 3 distinct magnitudes in output channel 1"},
      {"almost",
       {1, -1, 1, 1, -1.00001f, 1},
       false,
       DataType::kBipolar,
       {},
       "weights take 2 distinct magnitudes in output channel 1"},
      {"NaN",
       {1, -1, std::nanf(""), 1, 1, 1},
       false,
       DataType::kBipolar,
       {},
       "weights in output channel 0 are not finite"},
      {"infinite",
       {1, -1, 1, 1, INFINITY, INFINITY},
       false,
       DataType::kBipolar,
       {},
       "weights in output channel 1 are not finite"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    const BinaryWeights bits = RecogniseBits(c.weights, 2);
    ASSERT_EQ(bits.found, c.found) << bits.reason;
    EXPECT_EQ(bits.reason.rfind(c.reason, 0), 0u) << bits.reason;
    EXPECT_EQ(bits.reason.empty(), c.found);
    if (!c.found) continue;
    EXPECT_EQ(bits.type, c.type);
    EXPECT_EQ(bits.scale, c.scale);
    EXPECT_EQ(bits.spread, 0);
    for (size_t i = 0; i < c.weights.size(); ++i) {
      const float low = bits.type == DataType::kBipolar ? -1.0f : 0.0f;
      EXPECT_EQ((bits.bits[i] ? 1.0f : low) * bits.scale[i / 3], c.weights[i]);
    }
  }
}

TEST(RecogniseBits, PacksRowsToWords) {
  std::vector<bool> bits(2 * 65, false);
  bits[0] = bits[63] = bits[64] = true;  // first row
  bits[65 + 1] = true;                   // second row
  EXPECT_EQ(PackRows(bits, 65),
            (std::vector<uint64_t>{0x8000000000000001u, 1, 2, 0}));
}

}  // namespace
}  // namespace bqengine::convert
