// Tensors of LibTorch through bqengine, and how near two of them are.
#ifndef TESTS_TOOLS_TRAIN_TEST_UTIL_H_
#define TESTS_TOOLS_TRAIN_TEST_UTIL_H_

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <bit>
#include <limits>

#include "bqengine/session.h"

namespace bqtrain {

// What bqengine makes of a network with one input and one output.
inline torch::Tensor RunGraph(const bqengine::Graph& graph,
                              const torch::Tensor& x, bool optimize) {
  const auto model = bqengine::Model::FromGraph(graph);
  EXPECT_TRUE(model.ok()) << model.status().message();
  if (!model.ok()) return {};
  auto session = bqengine::Session::Create(
      *model, {.max_batch = x.size(0), .optimize = optimize});
  EXPECT_TRUE(session.ok()) << session.status().message();
  if (!session.ok()) return {};
  bqengine::Shape shape = model->output(0).shape;
  shape[0] = x.size(0);
  torch::Tensor y = torch::full(shape, std::numeric_limits<float>::quiet_NaN());
  const torch::Tensor input = x.contiguous();
  const bqengine::Status status = session->Run(
      {input.data_ptr<float>(), static_cast<size_t>(input.numel())},
      {y.data_ptr<float>(), static_cast<size_t>(y.numel())});
  EXPECT_TRUE(status.ok()) << status.message();
  return y;
}

inline void ExpectSameBits(const torch::Tensor& a, const torch::Tensor& b) {
  ASSERT_TRUE(a.sizes() == b.sizes()) << a.sizes() << " and " << b.sizes();
  const float* p = a.data_ptr<float>();
  const float* q = b.data_ptr<float>();
  for (int64_t i = 0; i < a.numel(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(p[i]), std::bit_cast<uint32_t>(q[i]))
        << "at " << i << ": " << p[i] << " and " << q[i];
  }
}

inline void ExpectNear(const torch::Tensor& a, const torch::Tensor& b,
                       const torch::Tensor& bound) {
  ASSERT_TRUE(a.sizes() == b.sizes()) << a.sizes() << " and " << b.sizes();
  const torch::Tensor excess = (a - b).abs() - bound;
  EXPECT_TRUE(excess.le(0).all().item<bool>())
      << "beyond the bound by " << excess.max().item<float>();
}

}  // namespace bqtrain

#endif  // TESTS_TOOLS_TRAIN_TEST_UTIL_H_
