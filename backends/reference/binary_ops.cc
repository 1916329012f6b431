// Ops on bits, and products with binary weights.
#include "kernels/reference.h"
#include "node_shapes.h"
#include "reference_backend.h"

namespace bqengine::backends::reference {
namespace {

namespace ref = kernels::reference;
using kernels::BinaryFormat;
using kernels::ConvShape;
using kernels::Encoding;
using kernels::Epilogue;
using kernels::Window;

// The activation bases of a run as an array of packed tensors. It stands in
// the workspace, since a run must not allocate.
const uint64_t* const* PackedInputs(const RunContext& run, int64_t count) {
  const uint64_t** inputs = static_cast<const uint64_t**>(run.workspace());
  for (int64_t n = 0; n < count; ++n) {
    inputs[n] = run.input<uint64_t>(size_t(n));
  }
  return inputs;
}

uint64_t PackedInputsBytes(const NodeView& node) {
  return node.num_inputs() * sizeof(const uint64_t*);
}

// Calls make(zero) with a zero of the type of the node's real input.
template <typename Make>
std::unique_ptr<Kernel> MakeForInput(const NodeView& node, const Make& make) {
  const bqe_type type = node.input(0).type();
  if (type == BQE_INT8) return make(int8_t{});
  if (type == BQE_UINT8) return make(uint8_t{});
  return make(float{});
}

std::unique_ptr<Kernel> CompileBinarize(const NodeView& node) {
  const int64_t rows = node.input(0).RowsPerItem();
  const int64_t channels = node.input(0).dim(-1);
  const PerChannel threshold = PerChannelOf(node, "threshold");
  return MakeForInput(node, [&](auto zero) {
    return MakeKernel([=](const RunContext& run) {
      ref::Binarize(rows * run.batch(), channels, run.input<decltype(zero)>(0),
                    threshold.values, threshold.stride,
                    run.output<uint64_t>(0));
    });
  });
}

std::unique_ptr<Kernel> CompileBinaryConv(const NodeView& node) {
  const ConvShape shape = ConvShapeOf(node);
  const BinaryFormat format = BinaryFormatOf(node);
  const Epilogue epilogue = EpilogueOf(node);
  const uint64_t* weight = node.constant("weight").words();
  const BinaryOutputOf output_of(node);
  return MakeKernel(
      [=](const RunContext& run) {
        ConvShape batched = shape;
        batched.window.batch = run.batch();
        ref::BinaryConv(batched, format,
                        PackedInputs(run, epilogue.activation_bases), weight,
                        epilogue, output_of(run));
      },
      PackedInputsBytes(node));
}

std::unique_ptr<Kernel> CompileBinaryGemm(const NodeView& node) {
  const GemmShape shape = GemmShapeOf(node);
  const BinaryFormat format = BinaryFormatOf(node);
  const Epilogue epilogue = EpilogueOf(node);
  const uint64_t* weight = node.constant("weight").words();
  const BinaryOutputOf output_of(node);
  return MakeKernel(
      [=](const RunContext& run) {
        ref::BinaryGemm(shape.rows_per_item * run.batch(), shape.k, shape.out,
                        format, PackedInputs(run, epilogue.activation_bases),
                        weight, epilogue, output_of(run));
      },
      PackedInputsBytes(node));
}

std::unique_ptr<Kernel> CompileBinaryMaxPool(const NodeView& node) {
  const Window window = WindowOf(node);
  const int64_t channels = node.input(0).dim(-1);
  return MakeKernel([=](const RunContext& run) {
    Window batched = window;
    batched.batch = run.batch();
    ref::BinaryMaxPool(batched, channels, run.input<uint64_t>(0),
                       run.output<uint64_t>(0));
  });
}

std::unique_ptr<Kernel> CompileBinaryWeightConv(const NodeView& node) {
  const ConvShape shape = ConvShapeOf(node);
  const Encoding encoding = WeightEncodingOf(node);
  const Epilogue epilogue = EpilogueOf(node);
  const uint64_t* weight = node.constant("weight").words();
  return MakeForInput(node, [&](auto zero) {
    return MakeKernel([=](const RunContext& run) {
      ConvShape batched = shape;
      batched.window.batch = run.batch();
      ref::BinaryWeightConv(batched, encoding, run.input<decltype(zero)>(0),
                            weight, epilogue, run.output<float>(0));
    });
  });
}

std::unique_ptr<Kernel> CompileBinaryWeightGemm(const NodeView& node) {
  const GemmShape shape = GemmShapeOf(node);
  const Encoding encoding = WeightEncodingOf(node);
  const Epilogue epilogue = EpilogueOf(node);
  const uint64_t* weight = node.constant("weight").words();
  return MakeForInput(node, [&](auto zero) {
    return MakeKernel([=](const RunContext& run) {
      ref::BinaryWeightGemm(shape.rows_per_item * run.batch(), shape.k,
                            shape.out, encoding, run.input<decltype(zero)>(0),
                            weight, epilogue, run.output<float>(0));
    });
  });
}

constexpr Op kOps[] = {
    {"Binarize", CompileBinarize},
    {"BinaryConv", CompileBinaryConv},
    {"BinaryGemm", CompileBinaryGemm},
    {"BinaryMaxPool", CompileBinaryMaxPool},
    {"BinaryWeightConv", CompileBinaryWeightConv},
    {"BinaryWeightGemm", CompileBinaryWeightGemm},
};

}  // namespace

std::span<const Op> BinaryOps() { return kOps; }

}  // namespace bqengine::backends::reference
