#include "kernels/softmax.h"

#include <cstdint>
#include <memory>

#include "float_ops.h"
#include "parallel_ranges.h"

namespace bqengine::backends::cpu {
namespace {

using kernels::SoftmaxKernels;

class SoftmaxKernel : public Kernel {
 public:
  SoftmaxKernel(const NodeView& node, Target target)
      : kernels_(*kernels::GetSoftmaxKernels(target)) {
    const TensorView x = node.input(0);
    const int64_t axis = node.Int("axis");
    const size_t position = size_t(axis < 0 ? axis + int64_t(x.rank()) : axis);
    outer_per_item_ = x.Count(0, position);
    length_ = x.dim(int(position));
    inner_ = x.Count(position + 1, x.rank());
  }

  void Run(const RunContext& run) const override {
    // An exp takes about as long as moving 4 floats.
    constexpr int64_t kElementBytes = 6 * sizeof(float);
    const int64_t size = length_ * inner_;
    ForRanges(run, run.batch() * outer_per_item_, size * kElementBytes,
              [&](int64_t begin, int64_t end) {
                kernels_.softmax(end - begin, length_, inner_,
                                 run.input<float>(0) + begin * size,
                                 run.output<float>(0) + begin * size);
              });
  }

 private:
  const SoftmaxKernels& kernels_;
  int64_t outer_per_item_, length_, inner_;
};

}  // namespace

std::unique_ptr<Kernel> CompileSoftmax(const NodeView& node, Target target) {
  return std::make_unique<SoftmaxKernel>(node, target);
}

}  // namespace bqengine::backends::cpu
