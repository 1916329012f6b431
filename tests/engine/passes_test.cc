#include "passes/passes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "passes_test_util.h"
#include "tests/support/graph_maker.h"

namespace bqengine {
namespace {

using testing::BatchNorm;
using testing::FindOp;
using testing::GraphMaker;
using testing::Ops;
using testing::Optimized;
using testing::RunGraph;
using testing::StartProduct;

constexpr float kInf = std::numeric_limits<float>::infinity();

// All accumulators that `k` bits can give, as inputs: the first i bits agree
// with the weights of channel 0, which are all +1.
TEST(FuseBinarize, BatchNormOfEverySignIsExactForEveryAccumulator) {
  constexpr int64_t kFeatures = 40;
  // Positive, negative, zero, denormal scale; switching points at integers, and
  // between; an infinite scale.
  std::vector<float> scale = {1, -1, 0, 1e-39f, 0.3f, -0.7f, 2, kInf};
  const std::vector<float> bias = {0, 0, 0, 0, 0.1f, -2.5f, 1e30f, 0};
  const std::vector<float> mean = {4, 4, 1, 0, -7.5f, 3.3f, 0, 0};
  const std::vector<float> var = {1, 1, 1, 1, 2, 0.01f, 1, 4};
  Graph graph;
  GraphMaker maker(1);
  graph = maker.Start({kBatch, kFeatures});
  GraphMaker::Add(graph, "Binarize", "bits", {"x"});
  GraphMaker::Add(
      graph, "BinaryGemm", "product", {"bits"}, {},
      {{"weight", Constant::Bits(DataType::kBipolar, {1, 8, kFeatures},
                                 std::vector<uint64_t>(
                                     8, (uint64_t{1} << kFeatures) - 1))}});
  GraphMaker::Add(graph, "BatchNormalization", "norm", {"product"}, {},
                  BatchNorm(scale, bias, mean, var));
  GraphMaker::Add(graph, "Binarize", "sign", {"norm"});

  // Infinity times zero is NaN: that keeps the whole layer from fusing.
  EXPECT_EQ(Ops(Optimized(graph, FuseBinarize)).size(), 4u);
  scale[7] = 1;
  graph.constants["norm.scale"] = Constant::Floats({8}, scale);
  const Graph fused = Optimized(graph, FuseBinarize);
  EXPECT_EQ(Ops(fused), (std::vector<std::string>{"Binarize", "BinaryGemm"}));
  EXPECT_EQ(fused.outputs[0].name, "sign");
  for (int64_t ones = 0; ones <= kFeatures; ++ones) {
    std::vector<float> input(kFeatures, -1.0f);
    std::fill_n(input.begin(), ones, 1.0f);
    EXPECT_EQ(RunGraph(graph, input), RunGraph(fused, input)) << ones;
  }
}

TEST(FuseBinarize, LongChainsStayExact) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    GraphMaker maker(seed);
    const int64_t k = maker.Int(1, 200);
    const int64_t out = maker.Int(1, 70);
    Graph graph = StartProduct(maker, k, out);
    const float reach = static_cast<float>(k);
    GraphMaker::Add(graph, "Add", "a", {"product"}, {},
                    {{"value", maker.RandomFloats({out}, -reach, reach)}});
    GraphMaker::Add(graph, "Mul", "b", {"a"}, {},
                    {{"value", maker.RandomFloats({out}, -0.7f, 0.7f)}});
    GraphMaker::Add(graph, "PRelu", "c", {"b"}, {},
                    {{"slope", maker.RandomFloats({out}, 0, 1)}});
    GraphMaker::Add(graph, "Clip", "d", {"c"}, {{"min", -3.0f}, {"max", 5.0f}});
    GraphMaker::Add(graph, "Floor", "e", {"d"});
    GraphMaker::Add(graph, "Binarize", "sign", {"e"},
                    {{"encoding", std::string("unipolar")}},
                    {{"threshold", maker.RandomFloats({out}, -2, 2)}});
    const Graph fused = Optimized(graph);
    ASSERT_EQ(Ops(fused), (std::vector<std::string>{"Binarize", "BinaryGemm"}));
    const auto input = maker.Floats(3 * k, -1, 1);
    EXPECT_EQ(RunGraph(graph, input), RunGraph(fused, input));
  }
}

TEST(FuseBinarize, NegativeSlopeOfPReluIsNotMonotone) {
  GraphMaker maker(3);
  Graph graph = StartProduct(maker, 30, 2);
  GraphMaker::Add(graph, "PRelu", "c", {"product"}, {},
                  {{"slope", Constant::Floats({1}, {-0.5f})}});
  GraphMaker::Add(graph, "Binarize", "sign", {"c"}, {},
                  {{"threshold", Constant::Floats({1}, {3})}});
  EXPECT_EQ(Ops(Optimized(graph, FuseBinarize)).size(), 4u);
}

TEST(FuseBinarize, SharedProductIsLeftAlone) {
  GraphMaker maker(4);
  Graph graph = StartProduct(maker, 30, 2);
  GraphMaker::Add(graph, "Binarize", "sign", {"product"});
  graph.outputs = {{.name = "sign"}, {.name = "product"}};
  EXPECT_EQ(Ops(Optimized(graph, FuseBinarize)).size(), 3u);
}

TEST(FuseBinarize, SeveralBasesCompareInFloat) {
  GraphMaker maker(5);
  Graph graph = maker.Start({kBatch, 100});
  GraphMaker::Add(graph, "Binarize", "b0", {"x"});
  GraphMaker::Add(graph, "Binarize", "b1", {"x"}, {},
                  {{"threshold", Constant::Floats({1}, {0.4f})}});
  GraphMaker::Add(
      graph, "BinaryGemm", "product", {"b0", "b1"}, {},
      {{"weight", maker.RandomBits(DataType::kBipolar, {3, 20, 100})},
       {"alpha", maker.RandomFloats({3, 20}, 0, 1)},
       {"beta", maker.RandomFloats({2}, 0, 1)}});
  GraphMaker::Add(
      graph, "BatchNormalization", "norm", {"product"}, {},
      BatchNorm(maker.Floats(20, -1, 1), maker.Floats(20, -1, 1),
                maker.Floats(20, -5, 5), maker.Floats(20, 0.1f, 9)));
  GraphMaker::Add(graph, "Binarize", "sign", {"norm"});
  const Graph fused = Optimized(graph);
  EXPECT_EQ(Ops(fused).size(), 3u);
  const auto input = maker.Floats(300, -1, 1);
  EXPECT_EQ(RunGraph(graph, input), RunGraph(fused, input));
}

TEST(HoistBinarize, SignMovesBeforePoolAndFlatten) {
  GraphMaker maker(6);
  Graph graph = maker.Start({kBatch, 6, 6, 5});
  GraphMaker::Add(graph, "Binarize", "bits", {"x"});
  GraphMaker::Add(
      graph, "BinaryConv", "conv", {"bits"},
      {{"kernel_shape", std::vector<int64_t>{3, 3}}},
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, 7, 3, 3, 5})}});
  GraphMaker::Add(graph, "BatchNormalization", "norm", {"conv"}, {},
                  BatchNorm(maker.Floats(7, -1, 1), maker.Floats(7, -1, 1),
                            maker.Floats(7, -5, 5), maker.Floats(7, 0.1f, 9)));
  GraphMaker::Add(graph, "MaxPool", "pool", {"norm"},
                  {{"kernel_shape", std::vector<int64_t>{2, 2}},
                   {"strides", std::vector<int64_t>{2, 2}}});
  GraphMaker::Add(graph, "Flatten", "flat", {"pool"});
  GraphMaker::Add(graph, "Binarize", "sign", {"flat"});
  const Graph fused = Optimized(graph);
  EXPECT_EQ(Ops(fused), (std::vector<std::string>{"Binarize", "BinaryConv",
                                                  "BinaryMaxPool", "Flatten"}));
  const auto input = maker.Floats(3 * 180, -1, 1);
  EXPECT_EQ(RunGraph(graph, input), RunGraph(fused, input));
}

TEST(HoistBinarize, RowsThatWouldBePackedTwiceAreFlattenedFirst) {
  GraphMaker maker(16);
  for (int64_t channels : {1, 64}) {
    Graph graph = maker.Start({kBatch, 4, 4, channels});
    GraphMaker::Add(graph, "Flatten", "flat", {"x"});
    GraphMaker::Add(graph, "Binarize", "sign", {"flat"});
    const Graph hoisted = Optimized(graph);
    EXPECT_EQ(Ops(hoisted)[0], "Flatten");
    EXPECT_EQ(hoisted.nodes[0].inputs[0], channels == 1 ? "x" : "flat");
    const auto input = maker.Floats(16 * channels, -1, 1);
    EXPECT_EQ(RunGraph(graph, input), RunGraph(hoisted, input));
  }
}

TEST(HoistBinarize, FloatsThatMayBeNanKeepTheirPool) {
  GraphMaker maker(7);
  Graph graph = maker.Start({kBatch, 4, 4, 1});
  GraphMaker::Add(graph, "MaxPool", "pool", {"x"},
                  {{"kernel_shape", std::vector<int64_t>{2, 2}}});
  GraphMaker::Add(graph, "Binarize", "sign", {"pool"});
  EXPECT_EQ(Ops(Optimized(graph)),
            (std::vector<std::string>{"MaxPool", "Binarize"}));
}

TEST(FoldIntoThreshold, ThresholdIsTheExactSwitchingPoint) {
  GraphMaker maker(8);
  Graph graph = maker.Start({kBatch, 4});
  GraphMaker::Add(graph, "Mul", "a", {"x"}, {},
                  {{"value", Constant::Floats({4}, {2, 0.1f, 3, 1e-30f})}});
  GraphMaker::Add(graph, "Add", "b", {"a"}, {},
                  {{"value", Constant::Floats({4}, {-1, 0.7f, 1e10f, 0})}});
  GraphMaker::Add(graph, "Binarize", "sign", {"b"});
  const Graph folded = Optimized(graph);
  ASSERT_EQ(Ops(folded), (std::vector<std::string>{"Binarize"}));
  const std::string name = folded.nodes[0].constants.at("threshold");
  const auto threshold = folded.constants.at(name).floats();
  EXPECT_EQ(threshold[0], 0.5f);
  for (float nudge : {-kInf, 0.0f, kInf}) {
    std::vector<float> input;
    for (float t : threshold) {
      input.push_back(nudge == 0 ? t : std::nextafter(t, nudge));
    }
    EXPECT_EQ(RunGraph(graph, input), RunGraph(folded, input)) << nudge;
  }
  const std::vector<float> odd = {std::nanf(""), kInf, -kInf, -0.0f};
  EXPECT_EQ(RunGraph(graph, odd), RunGraph(folded, odd));
}

TEST(FoldIntoThreshold, FallingChannelsAreLeftAlone) {
  GraphMaker maker(9);
  for (float factor : {-1.0f, 0.0f}) {
    Graph graph = maker.Start({kBatch, 2});
    GraphMaker::Add(graph, "Mul", "a", {"x"}, {},
                    {{"value", Constant::Floats({2}, {1, factor})}});
    GraphMaker::Add(graph, "Binarize", "sign", {"a"});
    EXPECT_EQ(Ops(Optimized(graph)).size(), 2u) << factor;
  }
}

TEST(DropDeadNodes, OnlyWhatOutputsNeedRemains) {
  GraphMaker maker(13);
  Graph graph = StartProduct(maker, 10, 3);
  GraphMaker::Add(graph, "Mul", "dead", {"product"}, {},
                  {{"value", Constant::Floats({3}, {1, 2, 3})}});
  GraphMaker::Add(graph, "Relu", "deader", {"dead"});
  graph.outputs = {{.name = "product"}};
  ASSERT_EQ(graph.nodes.size(), 4u);
  const Graph kept = Optimized(graph);
  EXPECT_EQ(Ops(kept), (std::vector<std::string>{"Binarize", "BinaryGemm"}));
  EXPECT_EQ(kept.constants.size(), 1u);
}

TEST(Passes, AreIdempotentAndKeepNames) {
  GraphMaker maker(14);
  Graph graph = StartProduct(maker, 10, 3);
  GraphMaker::Add(graph, "BatchNormalization", "norm", {"product"}, {},
                  BatchNorm({1, -1, 0}, {0, 0, 1}, {2, 2, 2}, {1, 1, 1}));
  GraphMaker::Add(graph, "Binarize", "sign", {"norm"});
  const Graph once = Optimized(graph);
  const Graph twice = Optimized(once);
  EXPECT_EQ(Ops(once), Ops(twice));
  ASSERT_NE(FindOp(once, "BinaryGemm"), nullptr);
  EXPECT_EQ(FindOp(once, "BinaryGemm")->name, "product");
  const auto input = maker.Floats(10, -1, 1);
  EXPECT_EQ(RunGraph(once, input), RunGraph(twice, input));
}

// Each pass is near linear: a graph as large as a file may have takes seconds
// at most, also where every node could move or fold.
TEST(Passes, LongChainsOfEveryKindAreNoTrap) {
  GraphMaker maker(17);
  for (const char* op : {"Relu", "Flatten", "MaxPool"}) {
    Graph graph = maker.Start({kBatch, 1, 1, 64});
    GraphMaker::Add(graph, "Binarize", "bits", {"x"});
    GraphMaker::Add(
        graph, "BinaryConv", "n0", {"bits"},
        {{"kernel_shape", std::vector<int64_t>{1, 1}}},
        {{"weight", maker.RandomBits(DataType::kBipolar, {1, 3, 1, 1, 64})}});
    constexpr int kNodes = 5000;
    for (int i = 1; i <= kNodes; ++i) {
      std::map<std::string, Attribute> attributes;
      if (std::string(op) == "MaxPool") {
        attributes["kernel_shape"] = std::vector<int64_t>{1, 1};
      }
      GraphMaker::Add(graph, op, "n" + std::to_string(i),
                      {"n" + std::to_string(i - 1)}, attributes);
    }
    GraphMaker::Add(graph, "Binarize", "sign", {"n" + std::to_string(kNodes)});
    const Graph optimized = Optimized(graph);
    EXPECT_LE(optimized.nodes.size(), graph.nodes.size());
    const auto input = maker.Floats(64, -1, 1);
    EXPECT_EQ(RunGraph(graph, input), RunGraph(optimized, input)) << op;
  }
}

// The bound that fusing relies on is one number for the whole layer; a chain
// that overflows must not be fused by it.
TEST(Passes, OverflowingChainsStayUnfused) {
  GraphMaker maker(15);
  Graph graph = StartProduct(maker, 10, 1);
  GraphMaker::Add(graph, "Mul", "a", {"product"}, {},
                  {{"value", Constant::Floats({1}, {1e38f})}});
  GraphMaker::Add(graph, "Mul", "b", {"a"}, {},
                  {{"value", Constant::Floats({1}, {0})}});
  GraphMaker::Add(graph, "Binarize", "sign", {"b"});
  const Graph optimized = Optimized(graph);
  for (int ones = 0; ones <= 10; ++ones) {
    std::vector<float> input(10, -1.0f);
    std::fill_n(input.begin(), ones, 1.0f);
    EXPECT_EQ(RunGraph(graph, input), RunGraph(optimized, input)) << ones;
  }
}

}  // namespace
}  // namespace bqengine
