// XNNPACK: its NHWC operators, in fp32 and in int8 with one scale per output
// channel (qc8; matrix products, which have no qc8, with one scale: qs8).
#include <pthreadpool.h>
#include <xnnpack.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "peers/contender.h"

namespace bqengine::bench {
namespace {

// What XNNPACK may read beyond the end, in elements of a byte or more.
constexpr size_t kSlack = XNN_EXTRA_BYTES;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Of int8 outputs: accumulators of K signs go to sqrt(K) and some more.
constexpr float kOutputScale = 4.0f;
constexpr int8_t kLowest = -128, kHighest = 127;
// Of int8 weights where there is only one: a part of every factor.
constexpr float kOneScale = 0.25f;

void Check(xnn_status status, const char* what) {
  if (status == xnn_status_success) return;
  throw std::runtime_error(std::string("XNNPACK: ") + what + ": status " +
                           std::to_string(status));
}

// `T` is float or int8_t.
template <typename T>
class XnnpackContender : public Contender {
 public:
  XnnpackContender(const Layer& layer, int threads)
      : x_(layer.inputs[0].x.size() + kSlack),
        y_(size_t(layer.OutputPixels() * layer.shape.out_channels)),
        threads_(threads) {
    Check(xnn_initialize(nullptr), "it does not know this processor");
    if (threads > 1) pool_.reset(pthreadpool_create(size_t(threads)));
    const size_t per_channel =
        layer.weight.size() / size_t(layer.shape.out_channels);
    // fp32 has its factors in the weights, int8 in scales, if it has them.
    std::vector<T> weight;
    for (size_t i = 0; i < layer.weight.size(); ++i) {
      const float mul = layer.mul[i / per_channel];
      const float factor = std::is_same_v<T, float> ? mul
                           : layer.is_gemm          ? mul / kOneScale
                                                    : 1.0f;
      weight.push_back(T(layer.weight[i] * factor));
    }
    if (layer.is_gemm) {
      MakeFullyConnected(layer, weight);
    } else {
      MakeConvolution(layer, weight);
    }
  }

  void SetInput(const LayerInput& input) override {
    std::copy(input.x.begin(), input.x.end(), x_.begin());
  }

  void Run() override {
    Check(xnn_run_operator(op_.get(), pool_.get()), "run");
  }

  void Rest() override {
    if (pool_ == nullptr) return;
    pthreadpool_parallelize_1d(
        pool_.get(), [](void*, size_t) {}, nullptr, size_t(threads_),
        PTHREADPOOL_FLAG_YIELD_WORKERS);
  }

  Answer Output() override {
    if constexpr (std::is_same_v<T, float>) {
      return {.values = y_};
    } else {
      Answer answer = {.values = {y_.begin(), y_.end()},
                       .step = kOutputScale,
                       .lowest = kLowest * kOutputScale,
                       .highest = kHighest * kOutputScale};
      for (float& value : answer.values) value *= kOutputScale;
      return answer;
    }
  }

 private:
  struct DeleteOperator {
    void operator()(xnn_operator_t op) const { xnn_delete_operator(op); }
  };
  struct DeletePool {
    void operator()(pthreadpool_t pool) const { pthreadpool_destroy(pool); }
  };

  // Of int8: in units of the accumulators.
  static std::vector<int32_t> Biases(const Layer& layer) {
    std::vector<int32_t> biases;
    for (size_t o = 0; o < layer.add.size(); ++o) {
      const float scale = layer.is_gemm ? kOneScale : layer.mul[o];
      biases.push_back(int32_t(layer.add[o] / scale));
    }
    return biases;
  }

  void MakeFullyConnected(const Layer& layer, const std::vector<T>& weight) {
    const size_t in = size_t(layer.shape.in_channels);
    const size_t out = size_t(layer.shape.out_channels);
    const size_t rows = size_t(layer.shape.window.batch);
    xnn_operator_t op = nullptr;
    if constexpr (std::is_same_v<T, float>) {
      Check(xnn_create_fully_connected_nc_f32(in, out, in, out, weight.data(),
                                              layer.add.data(), -kInfinity,
                                              kInfinity, 0, &op),
            "fully connected layer");
      op_.reset(op);
      Check(xnn_setup_fully_connected_nc_f32(op, rows, x_.data(), y_.data(),
                                             pool_.get()),
            "set up");
    } else {
      Check(
          xnn_create_fully_connected_nc_qs8(
              in, out, in, out, 0, 1.0f, kOneScale, weight.data(),
              Biases(layer).data(), 0, kOutputScale, kLowest, kHighest, 0, &op),
          "fully connected layer");
      op_.reset(op);
      Check(xnn_setup_fully_connected_nc_qs8(op, rows, x_.data(), y_.data(),
                                             pool_.get()),
            "set up");
    }
  }

  void MakeConvolution(const Layer& layer, const std::vector<T>& weight) {
    const kernels::ConvShape& conv = layer.shape;
    const kernels::Window& w = conv.window;
    const auto create = [&](auto function, auto... numbers) {
      xnn_operator_t op = nullptr;
      Check(function(uint32_t(w.pad_top), uint32_t(w.pad_right),
                     uint32_t(w.pad_bottom), uint32_t(w.pad_left),
                     uint32_t(w.kernel_h), uint32_t(w.kernel_w),
                     uint32_t(w.stride_h), uint32_t(w.stride_w),
                     uint32_t(w.dilation_h), uint32_t(w.dilation_w),
                     uint32_t(conv.groups),
                     size_t(conv.in_channels / conv.groups),
                     size_t(conv.out_channels / conv.groups),
                     size_t(conv.in_channels), size_t(conv.out_channels),
                     numbers..., 0, &op),
            "convolution");
      op_.reset(op);
    };
    const auto set_up = [&](auto function) {
      Check(function(op_.get(), size_t(w.batch), size_t(w.in_h), size_t(w.in_w),
                     x_.data(), y_.data(), pool_.get()),
            "set up");
    };
    if constexpr (std::is_same_v<T, float>) {
      create(xnn_create_convolution2d_nhwc_f32, weight.data(), layer.add.data(),
             -kInfinity, kInfinity);
      set_up(xnn_setup_convolution2d_nhwc_f32);
    } else {
      const std::vector<int32_t> biases = Biases(layer);
      create(xnn_create_convolution2d_nhwc_qc8, int8_t{0}, 1.0f,
             layer.mul.data(), weight.data(), biases.data(), int8_t{0},
             kOutputScale, kLowest, kHighest);
      set_up(xnn_setup_convolution2d_nhwc_qc8);
    }
  }

  std::vector<T> x_, y_;
  int threads_;
  std::unique_ptr<pthreadpool, DeletePool> pool_;
  std::unique_ptr<xnn_operator, DeleteOperator> op_;
};

template <typename T>
Column MakeColumn(const std::string& type) {
  return {.key = "xnnpack_" + type + "_us",
          .heading = "XNNPACK " + type,
          .make = [](const Layer& layer, int threads) {
            return std::make_unique<XnnpackContender<T>>(layer, threads);
          }};
}

}  // namespace

void AddXnnpack(Engines& engines) {
  engines.columns.push_back(MakeColumn<int8_t>("int8"));
  engines.columns.push_back(MakeColumn<float>("fp32"));
}

}  // namespace bqengine::bench
