// Networks built by hand, of torch's modules and bqtrain's, against bqengine
// running what ExportSequential makes of them.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cfloat>

#include "bqtrain/binary_modules.h"
#include "bqtrain/export.h"
#include "train_test_util.h"

namespace bqtrain {
namespace {

namespace nn = torch::nn;
using bqengine::Graph;
using bqengine::StatusCode;
using torch::Tensor;

// What LibTorch wants of a Sequential in a Sequential: a forward() without
// templates.
struct BlockImpl : nn::SequentialImpl {
  using SequentialImpl::SequentialImpl;
  Tensor forward(const Tensor& x) { return SequentialImpl::forward(x); }
};
TORCH_MODULE(Block);

// Multiples of 1/8, of which sums of products are exact in float.
Tensor Eighths(torch::IntArrayRef shape) {
  return torch::randint(-8, 9, shape).div(8);
}

// Values for batch norms, biases and slopes that are not those of the start.
void Shake(nn::Sequential& network) {
  const torch::NoGradGuard no_grad;
  for (Tensor& tensor : network->parameters()) {
    tensor.add_(torch::randn_like(tensor) * 0.2);
  }
  network->train();
  for (const auto& buffer : network->named_buffers()) {
    const bool is_var = buffer.key().ends_with("running_var");
    if (is_var) buffer.value().uniform_(0.5, 2);
    if (buffer.key().ends_with("running_mean")) buffer.value().normal_(0, 0.5);
  }
  network->eval();
}

// x is [B, C, H, W] or [B, K].
void ExpectExportedNear(nn::Sequential network, const Tensor& x) {
  Shake(network);
  const auto graph = ExportSequential(
      network, {.input_shape = x.sizes().slice(1).vec(), .labels = {}});
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  const torch::NoGradGuard no_grad;
  Tensor y = network->forward(x);
  if (y.dim() == 4) y = y.permute({0, 2, 3, 1});
  const Tensor input = x.dim() == 4 ? x.permute({0, 2, 3, 1}) : x;
  // No sum here has more than a hundred terms.
  const Tensor bound = (y.abs() + y.abs().max()) * (100 * FLT_EPSILON);
  for (const bool optimize : {true, false}) {
    ExpectNear(y.contiguous(), RunGraph(*graph, input, optimize), bound);
  }
}

class SequentialTest : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(20261123); }
};

TEST_F(SequentialTest, BinaryNets) {
  for (const char* method :
       {"binaryconnect", "bwn", "bnn", "xnor", "abcnet", "unipolar"}) {
    SCOPED_TRACE(method);
    const auto q = Method(method);
    ExpectExportedNear(
        nn::Sequential(
            BinaryConv2d(BinaryConv2dOptions(3, 8, 3).padding(1).quantization(
                Method("bwn"))),
            nn::MaxPool2d(2), nn::BatchNorm2d(8),
            BinaryConv2d(
                BinaryConv2dOptions(8, 12, 3).stride(2).groups(2).quantization(
                    q)),
            nn::BatchNorm2d(12), nn::Flatten(),
            BinaryLinear(BinaryLinearOptions(12 * 2 * 3, 20).quantization(q)),
            nn::BatchNorm1d(20), nn::Linear(20, 10)),
        Eighths({4, 3, 10, 14}));
  }
}

TEST_F(SequentialTest, TorchsOwnModules) {
  ExpectExportedNear(
      nn::Sequential(
          nn::Conv2d(nn::Conv2dOptions(4, 6, {3, 2})
                         .padding({1, 0})
                         .stride({1, 2})
                         .dilation({1, 2})
                         .groups(2)
                         .bias(false)),
          nn::PReLU(),
          nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(1).padding(1)),
          nn::PReLU(nn::PReLUOptions().num_parameters(6)),
          Block(nn::AvgPool2d(nn::AvgPool2dOptions(2).stride(1)),
                nn::Dropout(0.5)),
          nn::Hardtanh(nn::HardtanhOptions().min_val(-0.5).max_val(0.75)),
          nn::ReLU(), nn::Conv2d(nn::Conv2dOptions(6, 8, 1)),
          nn::AdaptiveAvgPool2d(1), nn::Flatten(), nn::Linear(8, 5)),
      Eighths({3, 4, 8, 11}));
}

// Pads count or do not; windows that do not fill the image.
TEST_F(SequentialTest, Pools) {
  for (const bool counts : {true, false}) {
    for (const bool ceil : {true, false}) {
      SCOPED_TRACE(std::to_string(counts) + std::to_string(ceil));
      ExpectExportedNear(
          nn::Sequential(nn::AvgPool2d(nn::AvgPool2dOptions(3)
                                           .stride(2)
                                           .padding(1)
                                           .count_include_pad(counts)
                                           .ceil_mode(ceil))),
          Eighths({2, 3, 8, 9}));
      ExpectExportedNear(
          nn::Sequential(nn::MaxPool2d(
              nn::MaxPool2dOptions(2).stride(3).padding(1).ceil_mode(ceil))),
          Eighths({2, 3, 7, 9}));
    }
  }
}

// Its weights meet channels, rows, columns; in the engine channels come last.
TEST_F(SequentialTest, DenseLayersBehindFlatten) {
  ExpectExportedNear(
      nn::Sequential(nn::Flatten(), nn::ReLU(), nn::Linear(3 * 4 * 5, 7)),
      Eighths({2, 3, 4, 5}));
  ExpectExportedNear(
      nn::Sequential(nn::Flatten(),
                     BinaryLinear(BinaryLinearOptions(60, 7).quantization(
                         Method("abcnet", 2, 3)))),
      Eighths({2, 3, 4, 5}));
}

TEST_F(SequentialTest, Vectors) {
  ExpectExportedNear(
      nn::Sequential(nn::Linear(12, 9), nn::BatchNorm1d(9), nn::ReLU(),
                     nn::Linear(nn::LinearOptions(9, 4).bias(false))),
      Eighths({3, 12}));
}

TEST_F(SequentialTest, ErrorsNameTheModule) {
  const auto expect = [](const nn::Sequential& network,
                         const std::vector<int64_t>& input, StatusCode code,
                         const std::string& what) {
    const auto graph =
        ExportSequential(network, {.input_shape = input, .labels = {}});
    ASSERT_FALSE(graph.ok()) << what;
    EXPECT_EQ(graph.status().code(), code);
    EXPECT_NE(graph.status().message().find(what), std::string::npos)
        << graph.status().message();
  };
  constexpr StatusCode kBad = StatusCode::kInvalidArgument;
  constexpr StatusCode kNone = StatusCode::kUnsupported;
  expect(nn::Sequential(nn::Linear(4, 4), nn::Sigmoid()), {4}, kNone,
         "module '1' (torch::nn::SigmoidImpl)");
  expect(nn::Sequential(Block(nn::Tanh())), {4}, kNone, "module '0.0'");
  expect(nn::Sequential(nn::Linear(5, 4)), {4}, kBad, "node '0'");
  expect(nn::Sequential(nn::Conv2d(nn::Conv2dOptions(3, 4, 9))), {3, 8, 8},
         kBad, "node '0'");
  expect(nn::Sequential(nn::AdaptiveAvgPool2d(2)), {3, 8, 8}, kNone,
         "module '0': only to a size of 1 x 1");
  expect(nn::Sequential(nn::Flatten(), nn::BatchNorm1d(48)), {3, 4, 4}, kNone,
         "module '1': per-channel ops between Flatten and a dense layer");
  expect(nn::Sequential(nn::Linear(4, 4)), {3, 4, 4}, kNone,
         "module '0': a dense layer needs Flatten before it");
  expect(nn::Sequential(nn::Conv2d(
             nn::Conv2dOptions(3, 4, 3).padding_mode(torch::kReflect))),
         {3, 8, 8}, kNone, "module '0'");
  expect(nn::Sequential(), {4}, kBad, "no modules");
  expect(nn::Sequential(nn::ReLU()), {4, 4}, kBad, "input_shape");
}

}  // namespace
}  // namespace bqtrain
