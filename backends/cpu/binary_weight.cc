// BinaryWeightConv and BinaryWeightGemm.
#include <cstdint>
#include <memory>

#include "aligned_array.h"
#include "float_ops.h"
#include "kernels/wgemm.h"
#include "node_shapes.h"
#include "product_tasks.h"

namespace bqengine::backends::cpu {
namespace {

using kernels::BinaryWeightProductKernels;
using kernels::ConvShape;
using kernels::Encoding;

class BinaryWeightGemmKernel : public Kernel {
 public:
  BinaryWeightGemmKernel(const NodeView& node, Target target)
      : kernels_(*kernels::GetBinaryWeightProductKernels(target)),
        shape_(GemmShapeOf(node)),
        encoding_(WeightEncodingOf(node)) {
    const kernels::Epilogue epilogue = EpilogueOf(node);
    bases_ = epilogue.weight_bases;
    packed_ = NewAlignedArray<uint32_t>(
        kernels_.packed_words(shape_.k, shape_.out, bases_));
    kernels_.pack_weights(1, shape_.k, shape_.out, 0, shape_.out, encoding_,
                          node.constant("weight").words(), epilogue,
                          packed_.get());
  }

  void Run(const RunContext& run) const override {
    const int64_t k = shape_.k, out = shape_.out;
    ForProductParts(run, run.batch() * shape_.rows_per_item, out,
                    kernels_.panel_channels, k * bases_,
                    [&](int64_t row, int64_t rows, int64_t begin, int64_t end,
                        uint32_t /*thread*/) {
                      kernels_.gemm(rows, k, bases_, encoding_,
                                    run.input<float>(0) + row * k, k,
                                    packed_.get(), begin, end,
                                    run.output<float>(0) + row * out, out);
                    });
  }

 private:
  const BinaryWeightProductKernels& kernels_;
  const GemmShape shape_;
  const Encoding encoding_;
  int64_t bases_;
  AlignedArray<uint32_t> packed_;
};

class BinaryWeightConvKernel : public Kernel {
 public:
  BinaryWeightConvKernel(const NodeView& node, Target target)
      : kernels_(*kernels::GetBinaryWeightProductKernels(target)),
        shape_(ConvShapeOf(node)),
        encoding_(WeightEncodingOf(node)),
        taps_(shape_.window.kernel_h * shape_.window.kernel_w),
        group_in_(shape_.in_channels / shape_.groups),
        scratch_(kernels_.conv_scratch_floats(shape_)) {
    const kernels::Epilogue epilogue = EpilogueOf(node);
    bases_ = epilogue.weight_bases;
    const int64_t group_out = shape_.out_channels / shape_.groups;
    const int64_t group_words =
        kernels_.packed_words(taps_ * group_in_, group_out, bases_);
    packed_ = NewAlignedArray<uint32_t>(shape_.groups * group_words);
    for (int64_t group = 0; group < shape_.groups; ++group) {
      kernels_.pack_weights(taps_, group_in_, shape_.out_channels,
                            group * group_out, group_out, encoding_,
                            node.constant("weight").words(), epilogue,
                            packed_.get() + group * group_words);
    }
  }

  uint64_t WorkspaceBytes(int64_t /*batch*/, uint32_t threads) const override {
    return scratch_.WorkspaceBytes(threads);
  }

  void Run(const RunContext& run) const override {
    ConvShape shape = shape_;
    const kernels::Window& window = shape.window;
    shape.window.batch = run.batch();
    const int64_t out = shape.out_channels;
    ForProductParts(run, run.batch() * window.out_h * window.out_w, out, out,
                    taps_ * group_in_ * bases_,
                    [&](int64_t pixel, int64_t pixels, int64_t /*begin*/,
                        int64_t /*end*/, uint32_t thread) {
                      kernels_.conv(shape, bases_, encoding_, pixel,
                                    pixel + pixels, run.input<float>(0),
                                    packed_.get(), run.output<float>(0),
                                    scratch_.Of(run, thread));
                    });
  }

 private:
  const BinaryWeightProductKernels& kernels_;
  const ConvShape shape_;
  const Encoding encoding_;
  const int64_t taps_;
  const int64_t group_in_;
  ThreadScratch scratch_;
  int64_t bases_;
  AlignedArray<uint32_t> packed_;
};

}  // namespace

std::unique_ptr<Kernel> CompileBinaryWeightConv(const NodeView& node,
                                                Target target) {
  return std::make_unique<BinaryWeightConvKernel>(node, target);
}

std::unique_ptr<Kernel> CompileBinaryWeightGemm(const NodeView& node,
                                                Target target) {
  return std::make_unique<BinaryWeightGemmKernel>(node, target);
}

}  // namespace bqengine::backends::cpu
