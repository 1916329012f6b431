// Ops on each element by itself: BatchNormalization, Add, Mul, Relu, PRelu,
// Clip and Floor.
#include "kernels/elementwise.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "float_ops.h"
#include "node_shapes.h"
#include "parallel_ranges.h"

namespace bqengine::backends::cpu {
namespace {

using kernels::ElementwiseKernels;

// Few channels would leave most lanes of a vector idle, so several rows are
// taken for one, with the constants of their channels repeated.
class ChannelRows {
 public:
  explicit ChannelRows(int64_t channels)
      : channels_(channels),
        repeats_(channels >= kWide ? 1 : (kWide + channels - 1) / channels) {}

  // The constants of a wide row; empty if there are none.
  std::vector<float> Repeat(const PerChannel& constant) const {
    std::vector<float> values;
    if (constant.values == nullptr) return values;
    for (int64_t i = 0; i < repeats_ * channels_; ++i) {
      values.push_back(constant.values[i % channels_ * constant.stride]);
    }
    return values;
  }

  // Calls body(rows, channels, offset) for wide rows, then for the rest.
  template <typename Body>
  void Run(const RunContext& run, int64_t rows, const Body& body) const {
    constexpr int64_t kReadAndWritten = 2 * sizeof(float);
    ForRanges(run, rows, channels_ * kReadAndWritten,
              [&](int64_t begin, int64_t end) {
                const int64_t wide = (end - begin) / repeats_;
                const int64_t last = begin + wide * repeats_;
                body(wide, repeats_ * channels_, begin * channels_);
                body(end - last, channels_, last * channels_);
              });
  }

 private:
  // Four vectors of 16 lanes.
  static constexpr int64_t kWide = 64;
  int64_t channels_, repeats_;
};

// BatchNormalization, and Add and Mul with a constant.
class AffineKernel : public Kernel {
 public:
  AffineKernel(const NodeView& node, const PerChannel& mul,
               const PerChannel& add, Target target)
      : kernels_(*kernels::GetElementwiseKernels(target)),
        rows_per_item_(node.input(0).RowsPerItem()),
        rows_(node.input(0).dim(-1)),
        mul_(rows_.Repeat(mul)),
        add_(rows_.Repeat(add)) {}

  void Run(const RunContext& run) const override {
    rows_.Run(run, run.batch() * rows_per_item_,
              [&](int64_t rows, int64_t channels, int64_t offset) {
                kernels_.affine(rows, channels, run.input<float>(0) + offset,
                                mul_.empty() ? nullptr : mul_.data(),
                                add_.empty() ? nullptr : add_.data(),
                                run.output<float>(0) + offset);
              });
  }

 private:
  const ElementwiseKernels& kernels_;
  const int64_t rows_per_item_;
  const ChannelRows rows_;
  const std::vector<float> mul_, add_;
};

class PReluKernel : public Kernel {
 public:
  PReluKernel(const NodeView& node, Target target)
      : kernels_(*kernels::GetElementwiseKernels(target)),
        rows_per_item_(node.input(0).RowsPerItem()),
        rows_(node.input(0).dim(-1)),
        slope_(rows_.Repeat(PerChannelOf(node, "slope"))) {}

  void Run(const RunContext& run) const override {
    rows_.Run(run, run.batch() * rows_per_item_,
              [&](int64_t rows, int64_t channels, int64_t offset) {
                kernels_.prelu(rows, channels, run.input<float>(0) + offset,
                               slope_.data(), run.output<float>(0) + offset);
              });
  }

 private:
  const ElementwiseKernels& kernels_;
  const int64_t rows_per_item_;
  const ChannelRows rows_;
  const std::vector<float> slope_;
};

// Ops without channels. Apply: void(const RunContext&, int64_t offset, int64_t
// count), for a range of elements.
template <typename Apply>
class FlatKernel : public Kernel {
 public:
  FlatKernel(const NodeView& node, Apply apply)
      : item_(node.input(0).Count(0, node.input(0).rank())),
        element_bytes_(int64_t(node.num_inputs() + 1) * int64_t{sizeof(float)}),
        apply_(std::move(apply)) {}

  void Run(const RunContext& run) const override {
    ForRanges(
        run, run.batch() * item_, element_bytes_,
        [&](int64_t begin, int64_t end) { apply_(run, begin, end - begin); });
  }

 private:
  const int64_t item_;
  const int64_t element_bytes_;  // read and written
  const Apply apply_;
};

template <typename Apply>
std::unique_ptr<Kernel> MakeFlat(const NodeView& node, Apply apply) {
  return std::make_unique<FlatKernel<Apply>>(node, std::move(apply));
}

std::unique_ptr<Kernel> MakeUnary(const NodeView& node,
                                  void (*op)(int64_t count, const float* x,
                                             float* y)) {
  return MakeFlat(
      node, [op](const RunContext& run, int64_t offset, int64_t count) {
        op(count, run.input<float>(0) + offset, run.output<float>(0) + offset);
      });
}

std::unique_ptr<Kernel> MakeBinary(const NodeView& node,
                                   void (*op)(int64_t count, const float* a,
                                              const float* b, float* y)) {
  return MakeFlat(
      node, [op](const RunContext& run, int64_t offset, int64_t count) {
        op(count, run.input<float>(0) + offset, run.input<float>(1) + offset,
           run.output<float>(0) + offset);
      });
}

}  // namespace

std::unique_ptr<Kernel> CompileBatchNormalization(const NodeView& node,
                                                  Target target) {
  const Affine affine = AffineOf(node);
  return std::make_unique<AffineKernel>(node, PerChannel{affine.mul.data(), 1},
                                        PerChannel{affine.add.data(), 1},
                                        target);
}

std::unique_ptr<Kernel> CompileAdd(const NodeView& node, Target target) {
  if (node.num_inputs() == 2) {
    return MakeBinary(node, kernels::GetElementwiseKernels(target)->add);
  }
  return std::make_unique<AffineKernel>(node, PerChannel{},
                                        PerChannelOf(node, "value"), target);
}

std::unique_ptr<Kernel> CompileMul(const NodeView& node, Target target) {
  if (node.num_inputs() == 2) {
    return MakeBinary(node, kernels::GetElementwiseKernels(target)->mul);
  }
  return std::make_unique<AffineKernel>(node, PerChannelOf(node, "value"),
                                        PerChannel{}, target);
}

std::unique_ptr<Kernel> CompileRelu(const NodeView& node, Target target) {
  return MakeUnary(node, kernels::GetElementwiseKernels(target)->relu);
}

std::unique_ptr<Kernel> CompilePRelu(const NodeView& node, Target target) {
  return std::make_unique<PReluKernel>(node, target);
}

std::unique_ptr<Kernel> CompileClip(const NodeView& node, Target target) {
  const auto clip = kernels::GetElementwiseKernels(target)->clip;
  const float min = node.Float("min");
  const float max = node.Float("max");
  return MakeFlat(node,
                  [=](const RunContext& run, int64_t offset, int64_t count) {
                    clip(count, min, max, run.input<float>(0) + offset,
                         run.output<float>(0) + offset);
                  });
}

std::unique_ptr<Kernel> CompileFloor(const NodeView& node, Target target) {
  return MakeUnary(node, kernels::GetElementwiseKernels(target)->floor);
}

}  // namespace bqengine::backends::cpu
