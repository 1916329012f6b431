#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "passes_test_util.h"

namespace bqengine {
namespace {

using testing::BatchNorm;
using testing::GraphMaker;
using testing::Ops;
using testing::Optimized;
using testing::RunGraph;
using testing::StartProduct;

TEST(FoldAffine, BatchNormBehindABinaryProductKeepsItsBits) {
  GraphMaker maker(10);
  Graph graph = StartProduct(maker, 77, 9);
  auto norm = BatchNorm(maker.Floats(9, -1, 1), maker.Floats(9, -1, 1),
                        maker.Floats(9, -5, 5), maker.Floats(9, 0.1f, 9));
  norm["scale"] = Constant::Floats({9}, {0, -0.0f, -3, 1, 2, 3, 4, 5, 6});
  GraphMaker::Add(graph, "BatchNormalization", "norm", {"product"}, {}, norm);
  const Graph folded = Optimized(graph, FoldAffine);
  EXPECT_EQ(Ops(folded), (std::vector<std::string>{"Binarize", "BinaryGemm"}));
  EXPECT_TRUE(folded.nodes[1].constants.contains("mul"));
  const auto input = maker.Floats(3 * 77, -1, 1);
  EXPECT_EQ(RunGraph(graph, input), RunGraph(folded, input));
}

// Tolerance: the folded weights are rounded once more, so each of the 2K+4
// roundings is at most half an ulp of the sum of magnitudes.
TEST(FoldAffine, BatchNormJoinsFloatWeights) {
  GraphMaker maker(11);
  Graph graph = maker.Start({kBatch, 20});
  GraphMaker::Add(graph, "Gemm", "product", {"x"}, {},
                  {{"weight", maker.RandomFloats({6, 20}, -1, 1)},
                   {"bias", maker.RandomFloats({6}, -1, 1)}});
  GraphMaker::Add(graph, "BatchNormalization", "norm", {"product"}, {},
                  BatchNorm({1, -2, 0, 3, 0.5f, 1}, maker.Floats(6, -1, 1),
                            maker.Floats(6, -1, 1), maker.Floats(6, 0.5f, 2)));
  GraphMaker::Add(graph, "Mul", "scaled", {"norm"}, {},
                  {{"value", Constant::Floats({1}, {0.25f})}});
  const Graph folded = Optimized(graph);
  EXPECT_EQ(Ops(folded), (std::vector<std::string>{"Gemm"}));
  const auto input = maker.Floats(20, -1, 1);
  const auto before = RunGraph(graph, input), after = RunGraph(folded, input);
  float a[6], b[6];
  std::memcpy(a, before.data(), sizeof(a));
  std::memcpy(b, after.data(), sizeof(b));
  // |x|, |w| <= 1, 20 of them; the norm scales by at most 3 / sqrt(0.5).
  const float magnitude = (21.0f * 3 / std::sqrt(0.5f) + 6) * 0.25f;
  for (int i = 0; i < 6; ++i) {
    EXPECT_NEAR(a[i], b[i], 44 * magnitude * 0x1p-24f) << i;
  }
}

TEST(FoldAffine, SharedAndUntrainedNodesAreLeftAlone) {
  GraphMaker maker(12);
  Graph graph = StartProduct(maker, 10, 3);
  GraphMaker::Add(graph, "Mul", "scaled", {"product"}, {},
                  {{"value", Constant::Declare({DataType::kFloat32, {3}})}});
  EXPECT_EQ(Ops(Optimized(graph)).size(), 3u);
  graph.constants["scaled.value"] = Constant::Floats({3}, {1, 2, 3});
  graph.outputs = {{.name = "scaled"}, {.name = "product"}};
  EXPECT_EQ(Ops(Optimized(graph)).size(), 3u);
}

// Product, scale, batch norm, shortcut, sign, of numbers that often tie: were
// the two factors one, a sum that is 0 would be a little more or less.
TEST(FoldAffine, FactorsStayApartBeforeAShortcutThatASignFollows) {
  constexpr int64_t kFeatures = 30, kChannels = 64;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    GraphMaker maker(seed);
    Graph graph = StartProduct(maker, kFeatures, kChannels);
    std::vector<float> scale(kChannels), bias(kChannels), mean(kChannels),
        var(kChannels), shortcut(kFeatures * kChannels);
    for (float& v : scale) v = 0.1f * static_cast<float>(maker.Int(1, 9));
    for (float& v : bias) v = 0.1f * static_cast<float>(maker.Int(-9, 9));
    for (float& v : mean) v = static_cast<float>(maker.Int(-3, 3));
    for (float& v : var) v = static_cast<float>(maker.Int(1, 4));
    GraphMaker::Add(graph, "Mul", "scaled", {"product"}, {},
                    {{"value", maker.RandomFloats({kChannels}, 0.05f, 0.2f)}});
    GraphMaker::Add(graph, "BatchNormalization", "norm", {"scaled"}, {},
                    BatchNorm(scale, bias, mean, var));
    // The same again with the other sign, so that all sums are near 0.
    GraphMaker::Add(graph, "Mul", "negative", {"norm"}, {},
                    {{"value", Constant::Floats({1}, {-1.0f})}});
    GraphMaker::Add(graph, "Relu", "shortcut", {"negative"});
    GraphMaker::Add(graph, "Add", "sum", {"norm", "shortcut"});
    GraphMaker::Add(graph, "Binarize", "sign", {"sum"});
    for (const char* sum : {"norm", "sum"}) {
      // Only a sum that is compared keeps its factors.
      graph.nodes.back().inputs = {sum};
      const Graph folded = Optimized(graph);
      const auto input = maker.Floats(3 * kFeatures, -1, 1);
      EXPECT_EQ(RunGraph(graph, input), RunGraph(folded, input)) << sum;
    }
    const Graph compared = Optimized(graph, FoldAffine);
    EXPECT_NE(testing::FindOp(compared, "BatchNormalization"), nullptr);
    graph.nodes.pop_back();
    graph.outputs = {{.name = "sum"}};
    const Graph floats = Optimized(graph, FoldAffine);
    EXPECT_EQ(testing::FindOp(floats, "BatchNormalization"), nullptr);
  }
}

// Floor compares, too.
TEST(FoldAffine, FactorsStayApartBeforeFloor) {
  GraphMaker maker(3);
  Graph graph = StartProduct(maker, 10, 3);
  GraphMaker::Add(graph, "Mul", "a", {"product"}, {},
                  {{"value", Constant::Floats({1}, {0.1f})}});
  GraphMaker::Add(graph, "Mul", "b", {"a"}, {},
                  {{"value", Constant::Floats({1}, {10.0f})}});
  GraphMaker::Add(graph, "Add", "c", {"b"}, {},
                  {{"value", Constant::Floats({1}, {0.5f})}});
  GraphMaker::Add(graph, "Floor", "d", {"c"});
  for (int64_t ones = 0; ones <= 10; ++ones) {
    std::vector<float> input(10, -1.0f);
    std::fill_n(input.begin(), ones, 1.0f);
    EXPECT_EQ(RunGraph(graph, input), RunGraph(Optimized(graph), input));
  }
  EXPECT_NE(testing::FindOp(Optimized(graph, FoldAffine), "Mul"), nullptr);
}

// One rounding instead of none and one: exact, so it is done before a sign.
TEST(FoldAffine, PowersOfTwoJoinAnything) {
  GraphMaker maker(4);
  Graph graph = StartProduct(maker, 10, 3);
  GraphMaker::Add(graph, "Mul", "a", {"product"}, {},
                  {{"value", Constant::Floats({1}, {0.25f})}});
  GraphMaker::Add(graph, "Mul", "b", {"a"}, {},
                  {{"value", Constant::Floats({3}, {0.1f, -3, 7e5f})}});
  GraphMaker::Add(graph, "Floor", "d", {"b"});
  const Graph folded = Optimized(graph, FoldAffine);
  EXPECT_EQ(Ops(folded),
            (std::vector<std::string>{"Binarize", "BinaryGemm", "Floor"}));
  const auto input = maker.Floats(3 * 10, -1, 1);
  EXPECT_EQ(RunGraph(graph, input), RunGraph(folded, input));
}

// 0 * 1e30 * 1e30 is 0, for 0 times infinity would be NaN; and what is folded
// can be written.
TEST(FoldAffine, NothingBecomesInfinite) {
  GraphMaker maker(5);
  for (const bool binary : {true, false}) {
    SCOPED_TRACE(binary);
    Graph graph = maker.Start({kBatch, 2});
    if (binary) {
      graph = StartProduct(maker, 2, 3);
      graph.constants["product.weight"] =
          Constant::Bits(DataType::kBipolar, {1, 3, 2}, {0b01, 0b01, 0b01});
    } else {
      GraphMaker::Add(
          graph, "Gemm", "product", {"x"}, {},
          {{"weight", Constant::Floats({3, 2}, {1, -1, 0, 0, 1, -1})}});
    }
    for (const char* name : {"a", "b"}) {
      GraphMaker::Add(graph, "Mul", name, {name[0] == 'a' ? "product" : "a"},
                      {}, {{"value", Constant::Floats({1}, {1e30f})}});
    }
    const Graph folded = Optimized(graph);
    for (const auto& [name, constant] : folded.constants) {
      for (float value : constant.floats()) {
        EXPECT_TRUE(std::isfinite(value)) << name;
      }
    }
    const std::vector<float> input = {1, 1};  // all sums are 0
    EXPECT_EQ(RunGraph(folded, input), (std::vector<uint64_t>{0, 0}));
    EXPECT_EQ(RunGraph(graph, input), (std::vector<uint64_t>{0, 0}));
  }
}

// (-5 + 7.8) * 1e38 is finite; -5e38 + 7.8e38 would not be, and NaN after the
// last factor.
TEST(FoldAffine, NothingOverflowsOnTheOtherWay) {
  GraphMaker maker(6);
  Graph graph = StartProduct(maker, 5, 1);
  graph.constants["product.weight"] =
      Constant::Bits(DataType::kBipolar, {1, 1, 5}, {0});
  GraphMaker::Add(graph, "Add", "a", {"product"}, {},
                  {{"value", Constant::Floats({1}, {7.8f})}});
  GraphMaker::Add(graph, "Mul", "b", {"a"}, {},
                  {{"value", Constant::Floats({1}, {1e38f})}});
  GraphMaker::Add(graph, "Mul", "c", {"b"}, {},
                  {{"value", Constant::Floats({1}, {0.0f})}});
  const std::vector<float> input(5, 1.0f);  // the accumulator is -5
  EXPECT_EQ(RunGraph(graph, input), (std::vector<uint64_t>{0}));
  EXPECT_EQ(RunGraph(Optimized(graph), input), (std::vector<uint64_t>{0}));
}

}  // namespace
}  // namespace bqengine
