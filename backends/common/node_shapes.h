// From a checked node to the plain structs that kernels take. Shared by the
// built-in backends.
//
// The batch is known only when a kernel runs: what is made here is for one item
// of the batch, and a kernel sets `window.batch`, or multiplies its rows, then.
// Pointers in the results point into the node's constants, which outlive every
// kernel compiled from it; while only Supports is asked, they may be null.
#ifndef BACKENDS_COMMON_NODE_SHAPES_H_
#define BACKENDS_COMMON_NODE_SHAPES_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "batch_norm.h"
#include "bqengine/backend.hpp"
#include "kernels/epilogue.h"
#include "kernels/shapes.h"
#include "post_ops.h"

namespace bqengine::backends {

// Throws backend::Error for a type that is not bits.
inline kernels::Encoding EncodingOf(bqe_type type) {
  if (type == BQE_BIPOLAR) return kernels::Encoding::kBipolar;
  if (type == BQE_UNIPOLAR) return kernels::Encoding::kUnipolar;
  throw backend::Error(BQE_ERROR_INVALID_ARGUMENT, "bits expected");
}

// Throws backend::Error for a type that is not an 8-bit integer.
inline kernels::ByteType ByteTypeOf(bqe_type type) {
  if (type == BQE_INT8) return kernels::ByteType::kInt8;
  if (type == BQE_UINT8) return kernels::ByteType::kUint8;
  throw backend::Error(BQE_ERROR_INVALID_ARGUMENT, "integers expected");
}

// A constant with one value for all channels (stride 0) or one each (stride 1);
// absent: null and 0.
struct PerChannel {
  const float* values = nullptr;
  int64_t stride = 0;
};

inline PerChannel PerChannelOf(const backend::NodeView& node,
                               std::string_view role) {
  const backend::ConstantView constant = node.constant(role);
  if (!constant) return {};
  return {constant.floats(), constant.tensor().dim(-1) == 1 ? 0 : 1};
}

// BatchNormalization.
inline Affine AffineOf(const backend::NodeView& node) {
  const auto channels = [&](std::string_view role) {
    return std::span(node.constant(role).floats(),
                     size_t(node.input(0).dim(-1)));
  };
  return AffineOfBatchNorm(channels("scale"), channels("bias"),
                           channels("mean"), channels("var"),
                           node.Float("epsilon"));
}

// Convolutions and pools over [B, H, W, C].
inline kernels::Window WindowOf(const backend::NodeView& node,
                                int64_t batch = 1) {
  const std::span<const int64_t> kernel = node.Ints("kernel_shape");
  const std::span<const int64_t> strides = node.Ints("strides");
  const std::span<const int64_t> pads = node.Ints("pads");
  kernels::Window window{};
  window.batch = batch;
  window.in_h = node.input(0).dim(1);
  window.in_w = node.input(0).dim(2);
  window.out_h = node.output(0).dim(1);
  window.out_w = node.output(0).dim(2);
  window.kernel_h = kernel[0];
  window.kernel_w = kernel[1];
  window.stride_h = strides[0];
  window.stride_w = strides[1];
  window.dilation_h = window.dilation_w = 1;
  if (node.op() != "AveragePool") {  // the only one without this attribute
    const std::span<const int64_t> dilations = node.Ints("dilations");
    window.dilation_h = dilations[0];
    window.dilation_w = dilations[1];
  }
  window.pad_top = pads[0];
  window.pad_left = pads[1];
  window.pad_bottom = pads[2];
  window.pad_right = pads[3];
  return window;
}

// Conv, BinaryConv, BinaryWeightConv.
inline kernels::ConvShape ConvShapeOf(const backend::NodeView& node,
                                      int64_t batch = 1) {
  return {.window = WindowOf(node, batch),
          .in_channels = node.input(0).dim(-1),
          .out_channels = node.output(0).dim(-1),
          .groups = node.Int("group")};
}

// Gemm, BinaryGemm, BinaryWeightGemm: [rows, k] x [out, k].
struct GemmShape {
  int64_t rows_per_item;
  int64_t k;
  int64_t out;
};

inline GemmShape GemmShapeOf(const backend::NodeView& node) {
  return {.rows_per_item = node.input(0).RowsPerItem(),
          .k = node.input(0).dim(-1),
          .out = node.output(0).dim(-1)};
}

// Encoding of a node's "weight", which are bits.
inline kernels::Encoding WeightEncodingOf(const backend::NodeView& node) {
  return EncodingOf(node.constant("weight").tensor().type());
}

// BinaryConv, BinaryGemm.
inline kernels::BinaryFormat BinaryFormatOf(const backend::NodeView& node) {
  return {
      .activations = EncodingOf(node.input(0).type()),
      .weights = WeightEncodingOf(node),
      .pad_value = node.op() == "BinaryConv" ? int(node.Int("pad_value")) : 0};
}

// Steps behind the affine; the node is known (known_nodes.h).
inline void AddPost(const backend::NodeView& node,
                    kernels::Epilogue* epilogue) {
  for (std::string_view step : SplitPost(node.String("post", ""))) {
    const int i = epilogue->post_steps++;
    const PerChannel constant = PerChannelOf(node, kPostRoles[i]);
    epilogue->post[i] = {.op = *FindPostOp(step),
                         .value = constant.values,
                         .stride = constant.stride};
  }
}

// Binary activations; the last input may be a residual instead.
inline int64_t ActivationBasesOf(const backend::NodeView& node) {
  const bool residual = HasResidual(SplitPost(node.String("post", "")));
  return int64_t(node.num_inputs()) - (residual ? 1 : 0);
}

// All ops with binary weights, which are [M, O, ...].
inline kernels::Epilogue EpilogueOf(const backend::NodeView& node) {
  const PerChannel mul = PerChannelOf(node, "mul");
  const PerChannel add = PerChannelOf(node, "add");
  const PerChannel threshold = PerChannelOf(node, "threshold");
  const backend::ConstantView alpha = node.constant("alpha");
  kernels::Epilogue epilogue = {
      .weight_bases = node.constant("weight").tensor().dim(0),
      .activation_bases = ActivationBasesOf(node),
      .alpha = alpha.floats(),
      .alpha_per_channel = alpha && alpha.tensor().rank() == 2,
      .beta = node.constant("beta").floats(),
      .mul = mul.values,
      .mul_stride = mul.stride,
      .add = add.values,
      .add_stride = add.stride,
      .threshold = threshold.values,
      .threshold_stride = threshold.stride};
  AddPost(node, &epilogue);
  return epilogue;
}

// Where BinaryConv and BinaryGemm find their float input and their outputs.
class BinaryOutputOf {
 public:
  explicit BinaryOutputOf(const backend::NodeView& node)
      : outputs_(node.num_outputs()),
        floats_(!node.output(0).is_bits()),
        bits_(node.output(outputs_ - 1).is_bits()),
        residual_(size_t(ActivationBasesOf(node))),
        has_residual_(residual_ < node.num_inputs()) {}

  bool floats() const { return floats_; }
  bool bits() const { return bits_; }

  kernels::BinaryOutput operator()(const backend::RunContext& run) const {
    kernels::BinaryOutput output;
    if (floats_) output.y = run.output<float>(0);
    if (bits_) output.y_bits = run.output<uint64_t>(outputs_ - 1);
    if (has_residual_) output.residual = run.input<float>(residual_);
    return output;
  }

 private:
  size_t outputs_;
  bool floats_, bits_;
  size_t residual_;  // the position of that input
  bool has_residual_;
};

}  // namespace bqengine::backends

#endif  // BACKENDS_COMMON_NODE_SHAPES_H_
