// BinaryWeightConv and BinaryWeightGemm of floats and of 8-bit integers.
#include <cstdint>
#include <memory>

#include "aligned_array.h"
#include "float_ops.h"
#include "kernels/w8gemm.h"
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

// Of integers. A matrix product is a convolution that has its rows for a batch.
class ByteWeightKernel : public Kernel {
 public:
  ByteWeightKernel(const NodeView& node, Target target, const ConvShape& shape,
                   int64_t batch_per_item)
      : kernels_(*kernels::GetByteProductKernels(target)),
        shape_(shape),
        batch_per_item_(batch_per_item),
        encoding_(WeightEncodingOf(node)),
        type_(ByteTypeOf(node.input(0).type())) {
    const kernels::Epilogue epilogue = EpilogueOf(node);
    bases_ = epilogue.weight_bases;
    packed_ = NewAlignedArray<uint32_t>(kernels_.packed_words(shape_, bases_));
    kernels_.pack_weights(shape_, encoding_, type_,
                          node.constant("weight").words(), epilogue,
                          packed_.get());
  }

  uint64_t WorkspaceBytes(int64_t batch, uint32_t threads) const override {
    return Scratch(batch).WorkspaceBytes(threads);
  }

  void Run(const RunContext& run) const override {
    const ConvShape shape = Batched(run.batch());
    const kernels::Window& window = shape.window;
    const ThreadScratch scratch = Scratch(run.batch());
    const int64_t out = shape.out_channels;
    ForProductParts(run, window.batch * window.out_h * window.out_w, out,
                    shape.groups == 1 ? kernels_.panel_channels : out,
                    window.kernel_h * window.kernel_w *
                        (shape.in_channels / shape.groups) * bases_,
                    [&](int64_t pixel, int64_t pixels, int64_t begin,
                        int64_t end, uint32_t thread) {
                      kernels_.conv(
                          shape, bases_, encoding_, type_, pixel,
                          pixel + pixels, begin, end, run.input<uint8_t>(0),
                          packed_.get(), run.output<float>(0),
                          reinterpret_cast<uint8_t*>(scratch.Of(run, thread)));
                    });
  }

 private:
  ConvShape Batched(int64_t batch) const {
    ConvShape shape = shape_;
    shape.window.batch = batch * batch_per_item_;
    return shape;
  }
  ThreadScratch Scratch(int64_t batch) const {
    constexpr int64_t kFloatBytes = sizeof(float);
    return ThreadScratch(
        (kernels_.scratch_bytes(Batched(batch)) + kFloatBytes - 1) /
        kFloatBytes);
  }

  const kernels::ByteProductKernels& kernels_;
  const ConvShape shape_;
  const int64_t batch_per_item_;
  const Encoding encoding_;
  const kernels::ByteType type_;
  int64_t bases_;
  AlignedArray<uint32_t> packed_;
};

}  // namespace

std::unique_ptr<Kernel> CompileBinaryWeightConv(const NodeView& node,
                                                Target target) {
  if (node.input(0).is_integer()) {
    return std::make_unique<ByteWeightKernel>(node, target, ConvShapeOf(node),
                                              /*batch_per_item=*/1);
  }
  return std::make_unique<BinaryWeightConvKernel>(node, target);
}

std::unique_ptr<Kernel> CompileBinaryWeightGemm(const NodeView& node,
                                                Target target) {
  if (node.input(0).is_integer()) {
    const GemmShape shape = GemmShapeOf(node);
    return std::make_unique<ByteWeightKernel>(
        node, target, kernels::GemmAsConv(1, shape.k, shape.out),
        shape.rows_per_item);
  }
  return std::make_unique<BinaryWeightGemmKernel>(node, target);
}

}  // namespace bqengine::backends::cpu
