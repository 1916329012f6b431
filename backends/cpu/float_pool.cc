// MaxPool, AveragePool and GlobalAveragePool.
#include <cstdint>
#include <memory>

#include "float_ops.h"
#include "kernels/pool.h"
#include "node_shapes.h"
#include "parallel_ranges.h"

namespace bqengine::backends::cpu {
namespace {

using kernels::FloatPoolKernels;
using kernels::Window;

class PoolKernel : public Kernel {
 public:
  PoolKernel(const NodeView& node, Target target)
      : kernels_(*kernels::GetFloatPoolKernels(target)),
        window_(WindowOf(node)),
        channels_(node.input(0).dim(-1)),
        average_(node.op() == "AveragePool"),
        count_include_pad_(average_ && node.Int("count_include_pad") != 0) {}

  void Run(const RunContext& run) const override {
    Window window = window_;
    window.batch = run.batch();
    const int64_t taps = window.kernel_h * window.kernel_w;
    ForRanges(run, window.batch * window.out_h * window.out_w,
              (taps + 1) * channels_ * int64_t{sizeof(float)},
              [&](int64_t begin, int64_t end) {
                if (average_) {
                  kernels_.average(window, channels_, count_include_pad_, begin,
                                   end, run.input<float>(0),
                                   run.output<float>(0));
                } else {
                  kernels_.max(window, channels_, begin, end,
                               run.input<float>(0), run.output<float>(0));
                }
              });
  }

 private:
  const FloatPoolKernels& kernels_;
  const Window window_;
  const int64_t channels_;
  const bool average_;
  const bool count_include_pad_;
};

class GlobalAveragePoolKernel : public Kernel {
 public:
  GlobalAveragePoolKernel(const NodeView& node, Target target)
      : kernels_(*kernels::GetFloatPoolKernels(target)),
        pixels_(node.input(0).RowsPerItem()),
        channels_(node.input(0).dim(-1)) {}

  void Run(const RunContext& run) const override {
    const int64_t item = pixels_ * channels_;
    ForRanges(run, run.batch(), item * int64_t{sizeof(float)},
              [&](int64_t begin, int64_t end) {
                kernels_.global_average(
                    end - begin, pixels_, channels_,
                    run.input<float>(0) + begin * item,
                    run.output<float>(0) + begin * channels_);
              });
  }

 private:
  const FloatPoolKernels& kernels_;
  const int64_t pixels_, channels_;
};

}  // namespace

std::unique_ptr<Kernel> CompileMaxPool(const NodeView& node, Target target) {
  return std::make_unique<PoolKernel>(node, target);
}

std::unique_ptr<Kernel> CompileAveragePool(const NodeView& node,
                                           Target target) {
  return std::make_unique<PoolKernel>(node, target);
}

std::unique_ptr<Kernel> CompileGlobalAveragePool(const NodeView& node,
                                                 Target target) {
  return std::make_unique<GlobalAveragePoolKernel>(node, target);
}

}  // namespace bqengine::backends::cpu
