// Conv and Gemm.
#include <cstdint>
#include <memory>
#include <vector>

#include "aligned_array.h"
#include "float_ops.h"
#include "kernels/depthwise.h"
#include "kernels/fgemm.h"
#include "node_shapes.h"
#include "parallel_ranges.h"
#include "product_tasks.h"

namespace bqengine::backends::cpu {
namespace {

using kernels::ConvShape;
using kernels::DepthwiseKernels;
using kernels::FloatProductKernels;

int64_t OutputPixels(const ConvShape& shape) {
  return shape.window.batch * shape.window.out_h * shape.window.out_w;
}

class GemmKernel : public Kernel {
 public:
  GemmKernel(const NodeView& node, Target target)
      : kernels_(*kernels::GetFloatProductKernels(target)),
        shape_(GemmShapeOf(node)),
        packed_(NewAlignedArray<float>(
            kernels_.packed_floats(shape_.k, shape_.out))) {
    kernels_.pack_weights(shape_.k, shape_.out,
                          node.constant("weight").floats(),
                          node.constant("bias").floats(), packed_.get());
  }

  void Run(const RunContext& run) const override {
    const int64_t k = shape_.k, out = shape_.out;
    ForProductParts(run, run.batch() * shape_.rows_per_item, out,
                    kernels_.panel_channels, k,
                    [&](int64_t row, int64_t rows, int64_t begin, int64_t end,
                        uint32_t /*thread*/) {
                      kernels_.gemm(rows, k, run.input<float>(0) + row * k, k,
                                    packed_.get(), begin, end,
                                    run.output<float>(0) + row * out, out);
                    });
  }

 private:
  const FloatProductKernels& kernels_;
  const GemmShape shape_;
  AlignedArray<float> packed_;
};

class ConvKernel : public Kernel {
 public:
  ConvKernel(const NodeView& node, Target target)
      : kernels_(*kernels::GetFloatProductKernels(target)),
        shape_(ConvShapeOf(node)),
        group_out_(shape_.out_channels / shape_.groups),
        k_(shape_.window.kernel_h * shape_.window.kernel_w *
           (shape_.in_channels / shape_.groups)),
        packed_(NewAlignedArray<float>(shape_.groups *
                                       kernels_.packed_floats(k_, group_out_))),
        scratch_(kernels_.conv_scratch_floats(shape_)) {
    const float* weight = node.constant("weight").floats();
    const float* bias = node.constant("bias").floats();
    float* packed = packed_.get();
    for (int64_t first = 0; first < shape_.out_channels; first += group_out_) {
      kernels_.pack_weights(k_, group_out_, weight + first * k_,
                            bias == nullptr ? nullptr : bias + first, packed);
      packed += kernels_.packed_floats(k_, group_out_);
    }
  }

  uint64_t WorkspaceBytes(int64_t /*batch*/, uint32_t threads) const override {
    return scratch_.WorkspaceBytes(threads);
  }

  void Run(const RunContext& run) const override {
    ConvShape shape = shape_;
    shape.window.batch = run.batch();
    const int64_t out = shape.out_channels;
    ForProductParts(run, OutputPixels(shape), out, out, k_,
                    [&](int64_t pixel, int64_t pixels, int64_t /*begin*/,
                        int64_t /*end*/, uint32_t thread) {
                      kernels_.conv(shape, pixel, pixel + pixels,
                                    run.input<float>(0), packed_.get(),
                                    run.output<float>(0),
                                    scratch_.Of(run, thread));
                    });
  }

 private:
  const FloatProductKernels& kernels_;
  const ConvShape shape_;
  const int64_t group_out_;
  const int64_t k_;
  AlignedArray<float> packed_;
  ThreadScratch scratch_;
};

class DepthwiseConvKernel : public Kernel {
 public:
  DepthwiseConvKernel(const NodeView& node, Target target)
      : kernels_(*kernels::GetDepthwiseKernels(target)),
        shape_(ConvShapeOf(node)),
        bias_(size_t(shape_.out_channels), 0.0f) {
    const int64_t channels = shape_.out_channels;
    const int64_t taps = shape_.window.kernel_h * shape_.window.kernel_w;
    const float* weight = node.constant("weight").floats();
    for (int64_t tap = 0; tap < taps; ++tap) {
      for (int64_t c = 0; c < channels; ++c) {
        weight_.push_back(weight[c * taps + tap]);
      }
    }
    if (const auto bias = node.constant("bias")) {
      bias_.assign(bias.floats(), bias.floats() + channels);
    }
  }

  void Run(const RunContext& run) const override {
    ConvShape shape = shape_;
    shape.window.batch = run.batch();
    // Each tap reads a pixel, if only from cache, and its weights.
    const int64_t pixel_bytes = int64_t(weight_.size() * sizeof(float)) * 2;
    ForRanges(
        run, OutputPixels(shape), pixel_bytes, [&](int64_t begin, int64_t end) {
          kernels_.conv(shape, begin, end, run.input<float>(0), weight_.data(),
                        bias_.data(), run.output<float>(0));
        });
  }

 private:
  const DepthwiseKernels& kernels_;
  const ConvShape shape_;
  std::vector<float> weight_;  // [kernel_h, kernel_w, C]
  std::vector<float> bias_;
};

}  // namespace

std::unique_ptr<Kernel> CompileConv(const NodeView& node, Target target) {
  const ConvShape shape = ConvShapeOf(node);
  if (shape.groups > 1 && shape.groups == shape.in_channels &&
      shape.groups == shape.out_channels) {
    return std::make_unique<DepthwiseConvKernel>(node, target);
  }
  return std::make_unique<ConvKernel>(node, target);
}

std::unique_ptr<Kernel> CompileGemm(const NodeView& node, Target target) {
  return std::make_unique<GemmKernel>(node, target);
}

}  // namespace bqengine::backends::cpu
