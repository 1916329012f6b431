#include "kernels/binary_pool.h"

#include "binary_ops.h"
#include "kernels/shapes.h"
#include "node_shapes.h"
#include "parallel_ranges.h"

namespace bqengine::backends::cpu {
namespace {

class BinaryMaxPoolKernel : public Kernel {
 public:
  BinaryMaxPoolKernel(const NodeView& node, Target target)
      : kernels_(*kernels::GetBinaryPoolKernels(target)),
        window_(WindowOf(node)),
        channels_(node.input(0).dim(-1)) {}

  void Run(const RunContext& run) const override {
    kernels::Window window = window_;
    window.batch = run.batch();
    const uint64_t* x = run.input<uint64_t>(0);
    uint64_t* y = run.output<uint64_t>(0);
    const int64_t row_bytes = window.out_w * window.kernel_h * window.kernel_w *
                              kernels::WordsFor(channels_) *
                              int64_t{sizeof(uint64_t)};
    ForRanges(run, window.batch * window.out_h, row_bytes,
              [&](int64_t begin, int64_t end) {
                kernels_.max(window, channels_, begin, end - begin, x, y);
              });
  }

 private:
  const kernels::BinaryPoolKernels& kernels_;
  kernels::Window window_;
  int64_t channels_;
};

}  // namespace

std::unique_ptr<Kernel> CompileBinaryMaxPool(const NodeView& node,
                                             Target target) {
  return std::make_unique<BinaryMaxPoolKernel>(node, target);
}

}  // namespace bqengine::backends::cpu
