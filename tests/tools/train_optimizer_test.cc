// Steps of bq-train's optimizers and its losses, against the formulas.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "tests/support/graph_maker.h"
#include "train/command/loss.h"
#include "train/command/optimizer.h"
#include "train_test_util.h"

namespace bqengine::train {
namespace {

using bqtrain::NetworkImpl;
using testing::GraphMaker;
using torch::Tensor;

constexpr double kRate = 0.01, kFactor = 0.5, kDecay = 0.1;
constexpr double kGradient = 0.25;

Constant Floats(Shape shape) {
  return Constant::Declare({DataType::kFloat32, std::move(shape)});
}

// A convolution by `method`, and a float dense layer with a bias.
std::shared_ptr<NetworkImpl> MakeNetwork(const std::string& method) {
  torch::manual_seed(1);
  GraphMaker maker(1);
  Graph graph = maker.Start({kBatch, 5, 5, 3});
  GraphMaker::Add(graph, "Conv", "conv", {"x"},
                  {{"kernel_shape", std::vector<int64_t>{3, 3}}},
                  {{"weight", Floats({4, 3, 3, 3})}});
  GraphMaker::Add(graph, "Flatten", "flat", {"conv"});
  GraphMaker::Add(graph, "Gemm", "dense", {"flat"}, {},
                  {{"weight", Floats({10, 36})}, {"bias", Floats({10})}});
  bqtrain::Quantization quantization = bqtrain::Method(method);
  quantization.activations = bqtrain::ActivationMethod::kFloat;
  const auto network = NetworkImpl::Make(
      graph, {{"conv", quantization}, {"dense", bqtrain::Quantization{}}});
  EXPECT_TRUE(network.ok()) << network.status().message();
  return *network;
}

struct Weights {
  Tensor conv, dense, bias;
};

Weights Copies(const NetworkImpl& network) {
  const auto& layers = network.layers();
  return {layers[0].module->weight.detach().clone(),
          layers[1].module->weight.detach().clone(),
          layers[1].module->bias.detach().clone()};
}

// What one step with the same gradient everywhere takes off.
Weights StepsOf(const std::string& method, const std::string& optimizer_name,
                Weights* before) {
  const auto network = MakeNetwork(method);
  Options options;
  options.optimizer = optimizer_name;
  options.learning_rate = kRate;
  options.momentum = 0;
  options.weight_decay = kDecay;
  Optimizer optimizer(network.get(), options);
  for (const Tensor& parameter : network->parameters()) {
    parameter.mutable_grad() = torch::full_like(parameter, kGradient);
  }
  *before = Copies(*network);
  optimizer.Step(kFactor);
  const Weights after = Copies(*network);
  return {before->conv - after.conv, before->dense - after.dense,
          before->bias - after.bias};
}

void ExpectAll(const Tensor& actual, const Tensor& expected) {
  bqtrain::ExpectNear(actual, expected.expand_as(actual),
                      torch::full({1}, 1e-6f));
}

Tensor Value(double value) {
  return torch::full({1}, static_cast<float>(value));
}

// BinaryConnect, section 2.5: the inverse of Glorot's coefficient for Adam, its
// square for SGD. A 3x3 kernel over 3 channels has 27 inputs; its 4 outputs go
// to 36 places.
constexpr double kGlorotSquared = (27 + 36) / 1.5;

TEST(Optimizer, ClippedWeightsGoFasterAndDoNotDecay) {
  Weights before;
  const Weights sgd = StepsOf("binaryconnect", "sgd", &before);
  ExpectAll(sgd.conv, Value(kRate * kFactor * kGradient * kGlorotSquared));
  // The first step of Adam has the length of its rate.
  const Weights adam = StepsOf("binaryconnect", "adam", &before);
  ExpectAll(adam.conv, Value(kRate * kFactor * std::sqrt(kGlorotSquared)));
}

TEST(Optimizer, WeightsWithScalesGoAsFastAsOthers) {
  Weights before;
  const Weights sgd = StepsOf("bwn", "sgd", &before);
  ExpectAll(sgd.conv, Value(kRate * kFactor * kGradient));
}

TEST(Optimizer, FloatWeightsDecayAndBiasesDoNot) {
  Weights before;
  const Weights sgd = StepsOf("binaryconnect", "sgd", &before);
  ExpectAll(sgd.dense, kRate * kFactor * (kGradient + kDecay * before.dense));
  ExpectAll(sgd.bias, Value(kRate * kFactor * kGradient));
}

TEST(Optimizer, ClipsAfterTheStep) {
  const auto network = MakeNetwork("binaryconnect");
  Options options;
  options.learning_rate = 1;
  Optimizer optimizer(network.get(), options);
  for (const Tensor& parameter : network->parameters()) {
    parameter.mutable_grad() = torch::ones_like(parameter);
  }
  optimizer.Step(1);
  const Weights after = Copies(*network);
  EXPECT_TRUE(after.conv.eq(-1).all().item<bool>());
  EXPECT_TRUE(after.dense.lt(-0.5).all().item<bool>());
}

TEST(Loss, SquareHinge) {
  const Tensor scores =
      torch::tensor({{0.5f, -2.0f, 1.5f}, {-1.0f, 1.0f, -1.0f}});
  const Tensor labels = torch::tensor({0, 1}, torch::kInt64);
  // (1 - 0.5)^2, 0, (1 + 1.5)^2; the second row is as right as can be.
  EXPECT_NEAR(Loss("square-hinge", scores, labels).item<double>(),
              (0.25 + 0 + 6.25) / 6, 1e-6);
}

TEST(Loss, CrossEntropy) {
  const Tensor scores = torch::tensor({{1.0f, 0.0f}, {0.0f, 0.0f}});
  const Tensor labels = torch::tensor({0, 1}, torch::kInt64);
  const double first = std::log(1 + std::exp(-1.0));
  EXPECT_NEAR(Loss("cross-entropy", scores, labels).item<double>(),
              (first + std::log(2.0)) / 2, 1e-6);
}

}  // namespace
}  // namespace bqengine::train
