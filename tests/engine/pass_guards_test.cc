// What keeps passes from going too far, each with a graph where going further
// would change bits that are known here.
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "passes_test_util.h"

namespace bqengine {
namespace {

using testing::GraphMaker;
using testing::Optimized;
using testing::RunGraph;

using Ints = std::vector<int64_t>;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int64_t kTaps = 4;

// A row of pixels whose accumulators are the given ones (even, |acc| <= 4), as
// input of the graphs below.
std::vector<float> Pixels(const std::vector<int>& accumulators) {
  std::vector<float> input;
  for (int acc : accumulators) {
    for (int i = 0; i < kTaps; ++i) input.push_back(i < 2 + acc / 2 ? 1 : -1);
  }
  return input;
}

// x [N, 1, 2, 4] -> Binarize -> 1x1 BinaryConv of one channel, "product".
Graph StartConv(std::map<std::string, Constant> constants = {}) {
  GraphMaker maker(1);
  Graph graph = maker.Start({kBatch, 1, 2, kTaps});
  GraphMaker::Add(graph, "Binarize", "bits", {"x"});
  constants["weight"] =
      Constant::Bits(DataType::kBipolar, {1, 1, 1, 1, kTaps}, {0xF});
  GraphMaker::Add(graph, "BinaryConv", "product", {"bits"},
                  {{"kernel_shape", Ints{1, 1}}}, constants);
  return graph;
}

Constant One(float value) { return Constant::Floats({1}, {value}); }

// The sign of the larger of both pixels.
void AddPoolAndSign(Graph& graph, std::map<std::string, Constant> sign = {}) {
  GraphMaker::Add(graph, "MaxPool", "pool", {graph.outputs[0].name},
                  {{"kernel_shape", Ints{1, 2}}});
  GraphMaker::Add(graph, "Binarize", "sign", {"pool"}, {}, sign);
}

// As written and after the passes.
void ExpectBit(const Graph& graph, const std::vector<float>& input,
               uint64_t bit) {
  EXPECT_EQ(RunGraph(graph, input), std::vector<uint64_t>{bit});
  EXPECT_EQ(RunGraph(Optimized(graph), input), std::vector<uint64_t>{bit})
      << "after the passes";
}

// The maximum of a NaN and anything is NaN, whose bit is 0: no OR of two bits.
TEST(PassGuards, NanOfAProductsOwnFactorsStaysBeforeThePool) {
  // 0 * infinity is NaN, 2 * infinity is not.
  Graph graph = StartConv({{"mul", One(kInf)}});
  AddPoolAndSign(graph);
  ExpectBit(graph, Pixels({0, 2}), 0);
  ExpectBit(graph, Pixels({2, 4}), 1);
  // 4e38 * 0, but 0 * 0.
  graph = StartConv({{"alpha", One(2e38f)}, {"mul", One(0)}});
  AddPoolAndSign(graph);
  ExpectBit(graph, Pixels({0, 2}), 0);
  ExpectBit(graph, Pixels({0, 0}), 1);
}

TEST(PassGuards, NanOfAChainStaysBeforeThePool) {
  Graph graph = StartConv();
  GraphMaker::Add(graph, "Mul", "large", {"product"}, {},
                  {{"value", One(2e38f)}});
  GraphMaker::Add(graph, "Mul", "zero", {"large"}, {}, {{"value", One(0)}});
  AddPoolAndSign(graph);
  ExpectBit(graph, Pixels({0, 2}), 0);
  ExpectBit(graph, Pixels({0, 0}), 1);

  graph = StartConv();
  GraphMaker::Add(graph, "Mul", "large", {"product"}, {},
                  {{"value", One(1e38f)}});
  GraphMaker::Add(graph, "Add", "larger", {"large"}, {},
                  {{"value", One(3e38f)}});
  GraphMaker::Add(graph, "Mul", "zero", {"larger"}, {}, {{"value", One(0)}});
  AddPoolAndSign(graph);
  ExpectBit(graph, Pixels({0, 2}), 0);
  ExpectBit(graph, Pixels({0, -2}), 1);

  graph = StartConv();
  GraphMaker::Add(graph, "PRelu", "steep", {"product"}, {},
                  {{"slope", One(2e38f)}});
  GraphMaker::Add(graph, "Mul", "zero", {"steep"}, {}, {{"value", One(0)}});
  AddPoolAndSign(graph);
  ExpectBit(graph, Pixels({0, -2}), 0);
  ExpectBit(graph, Pixels({0, 2}), 1);
}

// A sum that overflows although its summands are as large as floats may be.
TEST(PassGuards, SumsThatOverflowStayBeforeThePool) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  for (bool norm : {false, true}) {
    SCOPED_TRACE(norm ? "BatchNormalization" : "Mul and Add");
    Graph graph = StartConv();
    if (norm) {
      GraphMaker::Add(graph, "BatchNormalization", "largest", {"product"},
                      {{"epsilon", 0.0f}},
                      testing::BatchNorm({1.5e31f}, {kLargest}, {0}, {1}));
    } else {
      GraphMaker::Add(graph, "Mul", "large", {"product"}, {},
                      {{"value", One(1.5e31f)}});
      GraphMaker::Add(graph, "Add", "largest", {"large"}, {},
                      {{"value", One(kLargest)}});
    }
    GraphMaker::Add(graph, "Mul", "zero", {"largest"}, {}, {{"value", One(0)}});
    AddPoolAndSign(graph);
    ExpectBit(graph, Pixels({0, 2}), 0);
    ExpectBit(graph, Pixels({0, -2}), 1);
  }
}

// The sign of the largest is not the largest sign where the chain falls, but
// the pool comes after the chain: those hoist, and stay right.
TEST(PassGuards, FallingChainsBeforeAPool) {
  Graph graph = StartConv();
  GraphMaker::Add(graph, "Mul", "falling", {"product"}, {},
                  {{"value", One(-1)}});
  AddPoolAndSign(graph, {{"threshold", One(1)}});
  ExpectBit(graph, Pixels({-2, 2}), 1);
  ExpectBit(graph, Pixels({0, 2}), 0);
}

// And behind the pool they must not pass it.
TEST(PassGuards, FallingChainsBehindAPool) {
  for (float factor : {-1.0f, 0.0f, 1.0f}) {
    SCOPED_TRACE(factor);
    Graph graph = StartConv();
    GraphMaker::Add(graph, "MaxPool", "pool", {"product"},
                    {{"kernel_shape", Ints{1, 2}}});
    GraphMaker::Add(graph, "Mul", "scaled", {"pool"}, {},
                    {{"value", One(factor)}});
    GraphMaker::Add(graph, "Binarize", "sign", {"scaled"});
    ExpectBit(graph, Pixels({-2, 2}), factor >= 0);
    ExpectBit(graph, Pixels({-2, -4}), factor <= 0);
  }
}

// min wins first, then max: with min > max all become max.
TEST(PassGuards, ClipWithoutRange) {
  GraphMaker maker(2);
  Graph graph = maker.Start({kBatch, 5});
  GraphMaker::Add(graph, "Clip", "clip", {"x"},
                  {{"min", 5.0f}, {"max", -5.0f}});
  GraphMaker::Add(graph, "Binarize", "sign", {"clip"});
  ExpectBit(graph, {-10, 0, 4.5f, 5, 10}, 0);
  GraphMaker::Add(graph, "Binarize", "sign2", {"clip"}, {},
                  {{"threshold", One(-5)}});
  ExpectBit(graph, {-10, 0, 4.5f, 5, 10}, 0b11111);

  graph = StartConv();
  GraphMaker::Add(graph, "Clip", "clip", {"product"},
                  {{"min", 1.0f}, {"max", -1.0f}});
  AddPoolAndSign(graph);
  ExpectBit(graph, Pixels({-4, 4}), 0);

  graph = StartConv();
  GraphMaker::Add(graph, "Clip", "clip", {"product"},
                  {{"min", 1.0f}, {"max", -1.0f}});
  GraphMaker::Add(graph, "Binarize", "sign", {"clip"});
  GraphMaker::Add(graph, "BinaryMaxPool", "any", {"sign"},
                  {{"kernel_shape", Ints{1, 2}}});
  ExpectBit(graph, Pixels({-4, 4}), 0);
}

}  // namespace
}  // namespace bqengine
