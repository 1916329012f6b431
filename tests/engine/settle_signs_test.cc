// The sign behind an accumulator is that of exact arithmetic: in every backend,
// fused and node by node.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "bqengine/registry.h"
#include "passes_test_util.h"

namespace bqengine {
namespace {

using testing::BatchNorm;
using testing::FindOp;
using testing::GraphMaker;
using testing::Ops;
using testing::Optimized;

constexpr float kTiny = std::numeric_limits<float>::denorm_min();

// A product of `k` features whose `channels` weights are all +1: with n inputs
// of +1 its accumulators are all 2n - k.
Graph StartSum(int64_t k, int64_t channels) {
  GraphMaker maker(1);
  Graph graph = maker.Start({kBatch, k});
  GraphMaker::Add(graph, "Binarize", "bits", {"x"});
  const auto row = static_cast<size_t>((k + 63) / 64);
  std::vector<uint64_t> words(row * static_cast<size_t>(channels),
                              ~uint64_t{0});
  if (k % 64 != 0) {
    for (size_t c = 1; c <= static_cast<size_t>(channels); ++c) {
      words[c * row - 1] = (uint64_t{1} << (k % 64)) - 1;
    }
  }
  GraphMaker::Add(graph, "BinaryGemm", "product", {"bits"}, {},
                  {{"weight", Constant::Bits(DataType::kBipolar,
                                             {1, channels, k}, words)}});
  return graph;
}

std::vector<float> InputFor(int64_t k, int64_t accumulator) {
  std::vector<float> input(static_cast<size_t>(k), -1.0f);
  std::fill_n(input.begin(), (k + accumulator) / 2, 1.0f);
  return input;
}

// The first word of output `i`, the same from every backend, fused and not.
uint64_t Bits(const Graph& graph, const std::vector<float>& input,
              size_t output = 0) {
  std::vector<uint64_t> results;
  const auto model = Model::FromGraph(graph);
  EXPECT_TRUE(model.ok()) << model.status().message();
  const auto backends = ListBackends();
  for (const BackendInfo& backend : *backends) {
    if (backend.score == 0) continue;
    for (const bool optimize : {false, true}) {
      auto session = Session::Create(
          *model, {.backend = backend.name, .optimize = optimize});
      EXPECT_TRUE(session.ok()) << session.status().message();
      if (!session.ok()) continue;
      std::vector<std::vector<uint64_t>> outputs;
      std::vector<OutputView> views;
      for (size_t i = 0; i < model->num_outputs(); ++i) {
        const auto bytes = static_cast<size_t>(*ByteCount(model->output(i)));
        outputs.emplace_back((bytes + 7) / 8);
        views.push_back({outputs.back().data(), bytes});
      }
      const InputView in = {input.data(), input.size() * sizeof(float)};
      EXPECT_TRUE(session->Run(1, {&in, 1}, views).ok());
      results.push_back(outputs[output][0]);
      EXPECT_EQ(results.back(), results[0])
          << backend.name << (optimize ? ", fused" : ", node by node");
    }
  }
  EXPECT_FALSE(results.empty());
  return results.empty() ? 0 : results[0];
}

// From a published ResNet-18 for CIFAR-10. By float(x) * mul + add, with mul
// and add rounded from double, 587 gives 0.0 and so +1; exactly it is -1.7e-6.
TEST(SettleSigns, BatchNormOfLargeAccumulators) {
  constexpr int64_t kFeatures = 1153;
  Graph graph = StartSum(kFeatures, 1);
  GraphMaker::Add(
      graph, "BatchNormalization", "norm", {"product"}, {{"epsilon", 2e-5f}},
      BatchNorm({0.81096435f}, {-0.06873564f}, {584.83264f}, {653.917f}));
  GraphMaker::Add(graph, "Binarize", "sign", {"norm"});
  EXPECT_EQ(Bits(graph, InputFor(kFeatures, 585)), 0u);
  EXPECT_EQ(Bits(graph, InputFor(kFeatures, 587)), 0u);
  EXPECT_EQ(Bits(graph, InputFor(kFeatures, 589)), 1u);
  // Falling: +1 where the other is not.
  graph.constants["norm.scale"] = Constant::Floats({1}, {-0.81096435f});
  graph.constants["norm.bias"] = Constant::Floats({1}, {0.06873564f});
  EXPECT_EQ(Bits(graph, InputFor(kFeatures, 587)), 1u);
  EXPECT_EQ(Bits(graph, InputFor(kFeatures, 589)), 0u);
}

// The sign stands behind what only moves values, beside others that use the
// batch norm's floats.
TEST(SettleSigns, ThroughPoolsAndReshapesAndBesideOthers) {
  GraphMaker maker(1);
  constexpr int64_t kChannels = 1153;
  Graph graph = maker.Start({kBatch, 2, 2, kChannels});
  GraphMaker::Add(graph, "Binarize", "bits", {"x"});
  const size_t row = (kChannels + 63) / 64;
  std::vector<uint64_t> words(2 * row, ~uint64_t{0});
  for (size_t o = 1; o <= 2; ++o) {
    words[o * row - 1] = (uint64_t{1} << (kChannels % 64)) - 1;
  }
  GraphMaker::Add(graph, "BinaryConv", "product", {"bits"},
                  {{"kernel_shape", std::vector<int64_t>{1, 1}}},
                  {{"weight", Constant::Bits(DataType::kBipolar,
                                             {1, 2, 1, 1, kChannels}, words)}});
  GraphMaker::Add(graph, "BatchNormalization", "norm", {"product"},
                  {{"epsilon", 2e-5f}},
                  BatchNorm({1, 0.81096435f}, {0, -0.06873564f},
                            {0, 584.83264f}, {1, 653.917f}));
  GraphMaker::Add(graph, "MaxPool", "pool", {"norm"},
                  {{"kernel_shape", std::vector<int64_t>{1, 2}}});
  GraphMaker::Add(graph, "Flatten", "flat", {"pool"});
  GraphMaker::Add(graph, "Binarize", "sign", {"flat"});
  GraphMaker::Add(graph, "Relu", "floats", {"norm"});
  graph.outputs = {{.name = "sign"}, {.name = "floats"}};
  std::vector<float> input;
  for (int64_t pixel = 0; pixel < 4; ++pixel) {
    const auto one = InputFor(kChannels, pixel < 2 ? 587 - 2 * pixel : 589);
    input.insert(input.end(), one.begin(), one.end());
  }
  // Pixels 0 and 1 have 587 and 585, 2 and 3 have 589; channel 0 is above 0
  // everywhere.
  EXPECT_EQ(Bits(graph, input), 0b1101u);
}

// Two bases of one half each are a sign with three values; their sum is the
// accumulator that the source has, and its sign one of integers.
TEST(SettleSigns, TwoBasesOfOneHalf) {
  constexpr int64_t kFeatures = 1153;
  Graph graph = StartSum(kFeatures, 1);
  GraphMaker::Add(graph, "Binarize", "above", {"x"}, {},
                  {{"threshold", Constant::Floats({1}, {kTiny})}});
  Node& product = graph.nodes[1];
  product.inputs = {"bits", "above"};
  graph.constants["product.beta"] = Constant::Floats({2}, {0.5f, 0.5f});
  product.constants["beta"] = "product.beta";
  GraphMaker::Add(
      graph, "BatchNormalization", "norm", {"product"}, {{"epsilon", 2e-5f}},
      BatchNorm({0.81096435f}, {-0.06873564f}, {584.83264f}, {653.917f}));
  GraphMaker::Add(graph, "Binarize", "sign", {"norm"});

  std::vector<float> input = InputFor(kFeatures, 587);
  EXPECT_EQ(Bits(graph, input), 0u);
  input[0] = 0;  // was +1
  EXPECT_EQ(Bits(graph, input), 0u);
  input[kFeatures - 1] = 0;  // was -1
  EXPECT_EQ(Bits(graph, input), 0u);
  input[kFeatures - 2] = 0;
  EXPECT_EQ(Bits(graph, input), 1u);  // 588

  const Graph fused = Optimized(graph);
  EXPECT_EQ(Ops(fused),
            (std::vector<std::string>{"Binarize", "BinaryGemm", "Binarize"}));
  const Node* gemm = FindOp(fused, "BinaryGemm");
  ASSERT_NE(gemm, nullptr);
  EXPECT_FALSE(gemm->constants.contains("beta"));
  EXPECT_FALSE(gemm->constants.contains("add"));
  // The halves of 587 and 588 are twice as many.
  EXPECT_EQ(fused.constants.at(gemm->constants.at("threshold")).floats()[0],
            1175);
}

TEST(SettleSigns, SumOfTwoAccumulators) {
  constexpr int64_t kFeatures = 577;
  Graph graph = StartSum(kFeatures, 1);
  Node other = graph.nodes[1];
  other.name = "other";
  other.outputs = {"other"};
  graph.nodes.push_back(other);
  GraphMaker::Add(graph, "Add", "sum", {"product", "other"});
  GraphMaker::Add(
      graph, "BatchNormalization", "norm", {"sum"}, {{"epsilon", 2e-5f}},
      BatchNorm({0.81096435f}, {-0.06873564f}, {585.83264f}, {653.917f}));
  GraphMaker::Add(graph, "Add", "shift", {"norm"}, {},
                  {{"value", Constant::Floats({1}, {0.0f})}});
  GraphMaker::Add(graph, "Binarize", "sign", {"shift"});
  // Twice 293 is 586, twice 295 is 590.
  EXPECT_EQ(Bits(graph, InputFor(kFeatures, 293)), 0u);
  EXPECT_EQ(Bits(graph, InputFor(kFeatures, 295)), 1u);
}

// What is zero exactly, but not in floats: (5 - 5) / sqrt(1 + epsilon) is, for
// mul * 5 + add may not be.
TEST(SettleSigns, ExactZeroIsZeroForBothOfItsSigns) {
  constexpr int64_t kFeatures = 31;
  constexpr int64_t kChannels = 60;
  std::vector<float> scale, bias, mean, var;
  GraphMaker maker(7);
  for (int64_t c = 0; c < kChannels; ++c) {
    scale.push_back(maker.Uniform(-2, 2));
    bias.push_back(0);
    mean.push_back(static_cast<float>(2 * maker.Int(-10, 10) + 1));
    var.push_back(maker.Uniform(0.1f, 30));
  }
  Graph graph = StartSum(kFeatures, kChannels);
  GraphMaker::Add(graph, "BatchNormalization", "norm", {"product"}, {},
                  BatchNorm(scale, bias, mean, var));
  GraphMaker::Add(graph, "Binarize", "not_below", {"norm"});
  GraphMaker::Add(graph, "Binarize", "above", {"norm"}, {},
                  {{"threshold", Constant::Floats({1}, {kTiny})}});
  graph.outputs = {{.name = "not_below"}, {.name = "above"}};
  for (int64_t acc = -21; acc <= 21; acc += 2) {
    uint64_t not_below = 0, above = 0;
    for (int64_t c = 0; c < kChannels; ++c) {
      const auto i = static_cast<size_t>(c);
      const float side = (static_cast<float>(acc) - mean[i]) * scale[i];
      not_below |= uint64_t{side >= 0} << c;
      above |= uint64_t{side > 0} << c;
    }
    EXPECT_EQ(Bits(graph, InputFor(kFeatures, acc), 0), not_below) << acc;
    EXPECT_EQ(Bits(graph, InputFor(kFeatures, acc), 1), above) << acc;
  }
}

// A written model means the same when it is read: what was settled stays.
TEST(SettleSigns, SettledGraphsStayAsTheyAre) {
  Graph graph = StartSum(1153, 1);
  GraphMaker::Add(
      graph, "BatchNormalization", "norm", {"product"}, {{"epsilon", 2e-5f}},
      BatchNorm({0.81096435f}, {-0.06873564f}, {584.83264f}, {653.917f}));
  GraphMaker::Add(graph, "Binarize", "sign", {"norm"});
  const Graph once = Optimized(graph, SettleSigns);
  const Graph twice = Optimized(once, SettleSigns);
  ASSERT_EQ(once.nodes.size(), 4u);
  EXPECT_TRUE(once.nodes[3].constants.contains("threshold"));
  EXPECT_EQ(once.nodes[3].constants, twice.nodes[3].constants);
}

}  // namespace
}  // namespace bqengine
