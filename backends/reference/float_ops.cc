// Ops that compute with floats alone.
#include <utility>

#include "kernels/reference.h"
#include "node_shapes.h"
#include "reference_backend.h"

namespace bqengine::backends::reference {
namespace {

namespace ref = kernels::reference;
using kernels::ConvShape;
using kernels::Window;

std::unique_ptr<Kernel> CompileConv(const NodeView& node) {
  const ConvShape shape = ConvShapeOf(node);
  const float* weight = node.constant("weight").floats();
  const float* bias = node.constant("bias").floats();
  return MakeKernel([=](const RunContext& run) {
    ConvShape batched = shape;
    batched.window.batch = run.batch();
    ref::Conv(batched, run.input<float>(0), weight, bias, run.output<float>(0));
  });
}

std::unique_ptr<Kernel> CompileGemm(const NodeView& node) {
  const GemmShape shape = GemmShapeOf(node);
  const float* weight = node.constant("weight").floats();
  const float* bias = node.constant("bias").floats();
  return MakeKernel([=](const RunContext& run) {
    ref::Gemm(shape.rows_per_item * run.batch(), shape.k, shape.out,
              run.input<float>(0), weight, bias, run.output<float>(0));
  });
}

// ----------------------------------------------------------------------- pools

std::unique_ptr<Kernel> CompileMaxPool(const NodeView& node) {
  const Window window = WindowOf(node);
  const int64_t channels = node.input(0).dim(-1);
  return MakeKernel([=](const RunContext& run) {
    Window batched = window;
    batched.batch = run.batch();
    ref::MaxPool(batched, channels, run.input<float>(0), run.output<float>(0));
  });
}

std::unique_ptr<Kernel> CompileAveragePool(const NodeView& node) {
  const Window window = WindowOf(node);
  const int64_t channels = node.input(0).dim(-1);
  const bool count_include_pad = node.Int("count_include_pad") != 0;
  return MakeKernel([=](const RunContext& run) {
    Window batched = window;
    batched.batch = run.batch();
    ref::AveragePool(batched, channels, count_include_pad, run.input<float>(0),
                     run.output<float>(0));
  });
}

std::unique_ptr<Kernel> CompileGlobalAveragePool(const NodeView& node) {
  const int64_t pixels = node.input(0).RowsPerItem();
  const int64_t channels = node.input(0).dim(-1);
  return MakeKernel([=](const RunContext& run) {
    ref::GlobalAveragePool(run.batch(), pixels, channels, run.input<float>(0),
                           run.output<float>(0));
  });
}

// ---------------------------------------------------------------- elementwise

std::unique_ptr<Kernel> CompileBatchNormalization(const NodeView& node) {
  const int64_t rows = node.input(0).RowsPerItem();
  const int64_t channels = node.input(0).dim(-1);
  return MakeKernel([=, affine = AffineOf(node)](const RunContext& run) {
    ref::Affine(rows * run.batch(), channels, run.input<float>(0),
                affine.mul.data(), 1, affine.add.data(), 1,
                run.output<float>(0));
  });
}

std::unique_ptr<Kernel> CompileAdd(const NodeView& node) {
  if (node.num_inputs() == 2) {
    const int64_t size = ItemSize(node.output(0));
    return MakeKernel([=](const RunContext& run) {
      ref::AddTensors(size * run.batch(), run.input<float>(0),
                      run.input<float>(1), run.output<float>(0));
    });
  }
  const int64_t rows = node.input(0).RowsPerItem();
  const int64_t channels = node.input(0).dim(-1);
  const PerChannel value = PerChannelOf(node, "value");
  return MakeKernel([=](const RunContext& run) {
    ref::Affine(rows * run.batch(), channels, run.input<float>(0), nullptr, 0,
                value.values, value.stride, run.output<float>(0));
  });
}

std::unique_ptr<Kernel> CompileMul(const NodeView& node) {
  if (node.num_inputs() == 2) {
    const int64_t size = ItemSize(node.output(0));
    return MakeKernel([=](const RunContext& run) {
      ref::MulTensors(size * run.batch(), run.input<float>(0),
                      run.input<float>(1), run.output<float>(0));
    });
  }
  const int64_t rows = node.input(0).RowsPerItem();
  const int64_t channels = node.input(0).dim(-1);
  const PerChannel value = PerChannelOf(node, "value");
  return MakeKernel([=](const RunContext& run) {
    ref::Affine(rows * run.batch(), channels, run.input<float>(0), value.values,
                value.stride, nullptr, 0, run.output<float>(0));
  });
}

std::unique_ptr<Kernel> CompileRelu(const NodeView& node) {
  const int64_t size = ItemSize(node.output(0));
  return MakeKernel([=](const RunContext& run) {
    ref::Relu(size * run.batch(), run.input<float>(0), run.output<float>(0));
  });
}

std::unique_ptr<Kernel> CompilePRelu(const NodeView& node) {
  const int64_t rows = node.input(0).RowsPerItem();
  const int64_t channels = node.input(0).dim(-1);
  const PerChannel slope = PerChannelOf(node, "slope");
  return MakeKernel([=](const RunContext& run) {
    ref::PRelu(rows * run.batch(), channels, run.input<float>(0), slope.values,
               slope.stride, run.output<float>(0));
  });
}

std::unique_ptr<Kernel> CompileClip(const NodeView& node) {
  const int64_t size = ItemSize(node.output(0));
  const float min = node.Float("min");
  const float max = node.Float("max");
  return MakeKernel([=](const RunContext& run) {
    ref::Clip(size * run.batch(), min, max, run.input<float>(0),
              run.output<float>(0));
  });
}

std::unique_ptr<Kernel> CompileFloor(const NodeView& node) {
  const int64_t size = ItemSize(node.output(0));
  return MakeKernel([=](const RunContext& run) {
    ref::Floor(size * run.batch(), run.input<float>(0), run.output<float>(0));
  });
}

std::unique_ptr<Kernel> CompileSoftmax(const NodeView& node) {
  const TensorView input = node.input(0);
  const int64_t attribute = node.Int("axis");
  const size_t axis =
      size_t(attribute < 0 ? attribute + int64_t(input.rank()) : attribute);
  const int64_t outer = input.Count(0, axis);
  const int64_t length = input.dim(int(axis));
  const int64_t inner = input.Count(axis + 1, input.rank());
  return MakeKernel([=](const RunContext& run) {
    ref::Softmax(outer * run.batch(), length, inner, run.input<float>(0),
                 run.output<float>(0));
  });
}

constexpr Op kOps[] = {
    {"Add", CompileAdd},
    {"AveragePool", CompileAveragePool},
    {"BatchNormalization", CompileBatchNormalization},
    {"Clip", CompileClip},
    {"Conv", CompileConv},
    {"Floor", CompileFloor},
    {"Gemm", CompileGemm},
    {"GlobalAveragePool", CompileGlobalAveragePool},
    {"MaxPool", CompileMaxPool},
    {"Mul", CompileMul},
    {"PRelu", CompilePRelu},
    {"Relu", CompileRelu},
    {"Softmax", CompileSoftmax},
};

}  // namespace

std::span<const Op> FloatOps() { return kOps; }

}  // namespace bqengine::backends::reference
