// The differential fuzzer itself: that it makes what it should, claims no more
// than the contract promises, and what it has found.
#include "tests/fuzz/differential.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/fuzz/promise.h"
#include "tests/fuzz/random_case.h"
#include "tests/fuzz/shrink.h"
#include "tests/support/graph_maker.h"

namespace bqengine::fuzz {
namespace {

using testing::GraphMaker;
using Kind = Promise::Kind;

void ExpectSame(const TestCase& test) {
  const auto difference = FindDifference(test);
  if (!difference.has_value()) return;
  ADD_FAILURE() << difference->backend << ", " << difference->output << ", "
                << difference->what << "\n"
                << GraphText(Shrink(test).graph);
}

// Faults that were found, by the seeds that found them. Where the generator
// changes, so does what these make: hand-made graphs are below.
TEST(Differential, SeedsThatOnceDiffered) {
  for (const uint64_t seed : {
           1844,  // FoldAffine: two Mul became one, before a shortcut's sign
           863,   // FoldAffine: a norm's factors, before MaxPool and a sign
           42,    // FoldAffine: floats that a sign sees
           1102,  // FoldAffine: infinity times 0 before a sign
           5,     // FoldAffine: NaN among the weights
           303,   // FoldAffine: NaN where the graph has a number
       }) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ExpectSame(RandomCase(seed));
  }
}

TEST(Differential, SeedsAreTheSameEveryTime) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const TestCase a = RandomCase(seed), b = RandomCase(seed);
    EXPECT_EQ(GraphText(a.graph), GraphText(b.graph));
    EXPECT_EQ(a.inputs, b.inputs);
  }
}

// Every op, and the pairs that passes look for.
TEST(Differential, NetworksHaveEverything) {
  std::map<std::string, int> count;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const TestCase test = RandomCase(seed);
    std::map<std::string, std::string> producer;
    for (const Node& node : test.graph.nodes) {
      producer[node.outputs[0]] = node.op;
    }
    for (const Node& node : test.graph.nodes) {
      ++count[node.op];
      for (const auto& [role, name] : node.constants) ++count["with " + role];
      for (const std::string& input : node.inputs) {
        ++count[producer[input] + " " + node.op];
      }
    }
    EXPECT_TRUE(PromisesOf(test).ok()) << seed;
  }
  for (const char* wanted : {"Add",
                             "AveragePool",
                             "BatchNormalization",
                             "Binarize",
                             "BinaryConv",
                             "BinaryGemm",
                             "BinaryMaxPool",
                             "BinaryWeightConv",
                             "BinaryWeightGemm",
                             "Clip",
                             "Concat",
                             "Conv",
                             "Flatten",
                             "Floor",
                             "Gemm",
                             "GlobalAveragePool",
                             "MaxPool",
                             "Mul",
                             "PRelu",
                             "Pad",
                             "Relu",
                             "Reshape",
                             "Softmax",
                             "Transpose",
                             "with alpha",
                             "with beta",
                             "with mul",
                             "with add",
                             "with threshold",
                             "with post0",
                             "with bias",
                             "BinaryConv BatchNormalization",
                             "BinaryGemm Mul",
                             "Mul BatchNormalization",
                             "BatchNormalization Binarize",
                             "Add Binarize",
                             "MaxPool Binarize",
                             "Flatten Binarize",
                             "Relu Binarize",
                             "BinaryConv Add",
                             "Binarize BinaryConv",
                             "Conv BatchNormalization",
                             "Gemm Binarize",
                             "BinaryWeightConv Binarize"}) {
    EXPECT_GE(count[wanted], 5) << wanted;
  }
}

// --------------------------------------------------------- hand-made graphs

Constant Floats(std::vector<float> values) {
  const auto count = static_cast<int64_t>(values.size());
  return Constant::Floats({count}, std::move(values));
}

std::map<std::string, Constant> Norm(float scale, float bias, float mean,
                                     float var) {
  return {{"scale", Floats({scale})},
          {"bias", Floats({bias})},
          {"mean", Floats({mean})},
          {"var", Floats({var})}};
}

constexpr int64_t kTaps = 30;

// All accumulators of 30 taps, one an item.
TestCase AllAccumulators(std::map<std::string, Constant> constants) {
  TestCase test;
  test.batch = kTaps + 1;
  test.graph.name = "fuzz";
  test.graph.inputs = {
      {.name = "x", .info = {DataType::kBipolar, {kBatch, kTaps}}}};
  Bytes bytes(kTaps * 8 + 8);
  for (size_t ones = 0; ones <= kTaps; ++ones) {
    const uint64_t word = (uint64_t{1} << ones) - 1;
    std::memcpy(&bytes[ones * 8], &word, 8);
  }
  test.inputs.push_back(std::move(bytes));
  constants["weight"] =
      Constant::Bits(DataType::kBipolar, {1, 1, kTaps}, {(1u << kTaps) - 1});
  GraphMaker::Add(test.graph, "BinaryGemm", "product", {"x"}, {}, constants);
  return test;
}

void Multiply(TestCase& test, const std::string& name, const std::string& x,
              float value) {
  GraphMaker::Add(test.graph, "Mul", name, {x}, {},
                  {{"value", Floats({value})}});
}

// float input [N, 3] -> Gemm of `weights` -> what follows.
TestCase FloatGemm(std::vector<float> input, std::vector<float> weights) {
  TestCase test;
  test.graph.inputs = {
      {.name = "x", .info = {DataType::kFloat32, {kBatch, 3}}}};
  Bytes bytes(12);
  std::memcpy(bytes.data(), input.data(), 12);
  test.inputs.push_back(std::move(bytes));
  GraphMaker::Add(test.graph, "Gemm", "product", {"x"}, {},
                  {{"weight", Constant::Floats({1, 3}, std::move(weights))}});
  return test;
}

// What the reference makes of `tensor`, as it is written.
std::vector<float> ValuesOf(TestCase test, const std::string& tensor) {
  test.graph.outputs = {{.name = tensor}};
  const auto bytes = RunCase(test, "reference", /*optimize=*/false, 1);
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  std::vector<float> values((*bytes)[0].size() / sizeof(float));
  std::memcpy(values.data(), (*bytes)[0].data(), (*bytes)[0].size());
  return values;
}

// Adds a shortcut of minus `tensor`, as it is written, and the sign of the sum:
// each is 0, so +1, unless a pass gives `tensor` other last bits.
void ExpectTies(TestCase test, const std::string& tensor) {
  std::vector<float> values = ValuesOf(test, tensor);
  for (float& value : values) value = -value;
  Bytes bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  test.graph.inputs.push_back(
      {.name = "shortcut", .info = {DataType::kFloat32, {kBatch, 1}}});
  test.inputs.push_back(std::move(bytes));
  GraphMaker::Add(test.graph, "Add", "sum", {tensor, "shortcut"});
  for (float sum : ValuesOf(test, "sum")) EXPECT_EQ(sum, 0);
  GraphMaker::Add(test.graph, "Binarize", "sign", {"sum"});
  ExpectSame(test);
}

// BinaryGemm -> Mul -> BatchNormalization -> Add(shortcut) -> Binarize.
TEST(Differential, NormsBeforeAShortcutKeepTheirRounding) {
  for (const auto& [mul, scale, bias] : std::vector<std::array<float, 3>>{
           {0.1f, 3, 0.3f}, {0.7f, 0.9f, -0.2f}, {1.1f, 1.3f, 1.7f}}) {
    SCOPED_TRACE(mul);
    TestCase test = AllAccumulators({});
    Multiply(test, "scaled", "product", mul);
    GraphMaker::Add(test.graph, "BatchNormalization", "norm", {"scaled"},
                    {{"epsilon", 0.0f}}, Norm(scale, bias, 0, 1));
    ExpectTies(std::move(test), "norm");
  }
}

// A power of two joins another factor, but not where that rounds: among the
// smallest floats.
TEST(Differential, SmallFactorsBeforeAShortcutKeepTheirRounding) {
  for (const float factor : {1.1e-14f, 1.3e-14f, 1.9e-14f}) {
    TestCase test = AllAccumulators({{"mul", Floats({0x1p-100f})}});
    Multiply(test, "scaled", "product", factor);
    ExpectTies(std::move(test), "scaled");
  }
}

// A residual of a product that gives bits is compared, too.
TEST(Differential, ResidualsOfBitsKeepTheirRounding) {
  TestCase test = AllAccumulators({});
  Multiply(test, "a", "product", 0.1f);
  Multiply(test, "b", "a", 0.7f);
  for (const float threshold : ValuesOf(test, "b")) {
    TestCase tie = test;
    GraphMaker::Add(
        tie.graph, "BinaryGemm", "bits", {"x", "b"},
        {{"post", std::string("Residual")},
         {"output_type", std::string("bipolar")}},
        {{"weight", Constant::Bits(DataType::kBipolar, {1, 1, kTaps},
                                   {(1u << kTaps) - 1})},
         {"mul", Floats({0})},
         {"threshold", Floats({threshold})}});
    ExpectSame(tie);
  }
}

// 0 * 1e30 * 1e30 is 0, and no pass makes it 0 * infinity.
TEST(Differential, FactorsAreNotFoldedIntoInfinity) {
  TestCase test = AllAccumulators({{"mul", Floats({0})}});
  Multiply(test, "a", "product", 1e30f);
  Multiply(test, "b", "a", 1e30f);
  ExpectSame(test);

  test = AllAccumulators({});  // and where not all accumulators are 0
  Multiply(test, "a", "product", 1e30f);
  Multiply(test, "b", "a", 1e30f);
  GraphMaker::Add(test.graph, "Clip", "c", {"b"}, {{"max", 1.0f}});
  ExpectSame(test);

  test = FloatGemm({0, 0, 0}, {1e30f, 1, 1});  // weights
  Multiply(test, "a", "product", 1e30f);
  ExpectSame(test);

  test = AllAccumulators({{"add", Floats({0})}});
  GraphMaker::Add(test.graph, "BatchNormalization", "a", {"product"},
                  {{"epsilon", 0.0f}}, Norm(3e38f, 0, 0, 1e-20f));
  Multiply(test, "b", "a", 0);
  ExpectSame(test);
}

// ----------------------------------------------------------------- promises

TEST(Promise, SumsOfIntegersAreExactAndOthersClose) {
  TestCase test = FloatGemm({1, 2, -3}, {0.5f, 4, 100});
  GraphMaker::Add(test.graph, "Binarize", "sign", {"product"});
  EXPECT_TRUE(PromisesOf(test).ok());
  EXPECT_EQ(PromisesOf(test)->at("product").kind, Kind::kSameValues);

  test = FloatGemm({1, 2, -3}, {0.1f, 4, 100});
  EXPECT_EQ(PromisesOf(test)->at("product").kind, Kind::kClose);
  EXPECT_LT(PromisesOf(test)->at("product").bound, 1e-3);
  GraphMaker::Add(test.graph, "Binarize", "sign", {"product"});
  EXPECT_FALSE(PromisesOf(test).ok());

  // A batch norm that joins the weights rounds them.
  test = FloatGemm({1, 2, -3}, {1, 4, 100});
  Multiply(test, "a", "product", 0.1f);
  EXPECT_EQ(PromisesOf(test)->at("a").kind, Kind::kClose);
  GraphMaker::Add(test.graph, "Binarize", "sign", {"a"});
  EXPECT_FALSE(PromisesOf(test).ok());
}

TEST(Promise, AccumulatorsMayRoundWhereNoSignFollows) {
  TestCase test = AllAccumulators({});
  Multiply(test, "a", "product", 0.1f);
  Multiply(test, "b", "a", 0.3f);
  EXPECT_EQ(PromisesOf(test)->at("product").kind, Kind::kSameBits);
  EXPECT_EQ(PromisesOf(test)->at("b").kind, Kind::kClose);
  EXPECT_LT(PromisesOf(test)->at("b").bound, 1e-5);
  GraphMaker::Add(test.graph, "Relu", "c", {"b"});
  GraphMaker::Add(test.graph, "Binarize", "sign", {"c"});
  EXPECT_EQ(PromisesOf(test)->at("b").kind, Kind::kSameBits);
}

TEST(Promise, OpsOnInputsAreExact) {
  TestCase test = FloatGemm({0.1f, 1e38f, 1e-45f}, {1, 1, 1});
  Multiply(test, "a", "x", 0.1f);
  Multiply(test, "b", "a", 0.3f);
  EXPECT_EQ(PromisesOf(test)->at("b").kind, Kind::kSameBits);
}

}  // namespace
}  // namespace bqengine::fuzz
