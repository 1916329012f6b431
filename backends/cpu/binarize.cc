#include "kernels/binarize.h"

#include <vector>

#include "binary_ops.h"
#include "kernels/shapes.h"
#include "node_shapes.h"
#include "parallel_ranges.h"

namespace bqengine::backends::cpu {
namespace {

class BinarizeKernel : public Kernel {
 public:
  BinarizeKernel(const NodeView& node, Target target)
      : kernels_(*kernels::GetBinarizeKernels(target)),
        rows_per_item_(node.input(0).RowsPerItem()),
        channels_(node.input(0).dim(-1)),
        threshold_(PerChannelOf(node, "threshold")) {}

  void Run(const RunContext& run) const override {
    const float* x = run.input<float>(0);
    uint64_t* y = run.output<uint64_t>(0);
    ForRanges(run, rows_per_item_ * run.batch(),
              channels_ * int64_t{sizeof(float)},
              [&](int64_t begin, int64_t end) {
                kernels_.run(end - begin, channels_, x + begin * channels_,
                             threshold_.values, threshold_.stride,
                             y + begin * kernels::WordsFor(channels_));
              });
  }

 private:
  const kernels::BinarizeKernels& kernels_;
  int64_t rows_per_item_, channels_;
  PerChannel threshold_;
};

// Of int8 and uint8.
class BinarizeBytesKernel : public Kernel {
 public:
  BinarizeBytesKernel(const NodeView& node, Target target)
      : kernels_(*kernels::GetBinarizeKernels(target)),
        type_(ByteTypeOf(node.input(0).type())),
        rows_per_item_(node.input(0).RowsPerItem()),
        channels_(node.input(0).dim(-1)),
        smallest_(static_cast<size_t>(channels_)),
        reachable_(static_cast<size_t>(kernels::WordsFor(channels_))) {
    const PerChannel threshold = PerChannelOf(node, "threshold");
    kernels::PrepareByteThresholds(channels_, type_, threshold.values,
                                   threshold.stride, smallest_.data(),
                                   reachable_.data());
  }

  void Run(const RunContext& run) const override {
    const uint8_t* x = run.input<uint8_t>(0);
    uint64_t* y = run.output<uint64_t>(0);
    ForRanges(run, rows_per_item_ * run.batch(), channels_,
              [&](int64_t begin, int64_t end) {
                kernels_.run_bytes(end - begin, channels_, type_,
                                   x + begin * channels_, smallest_.data(),
                                   reachable_.data(),
                                   y + begin * kernels::WordsFor(channels_));
              });
  }

 private:
  const kernels::BinarizeKernels& kernels_;
  kernels::ByteType type_;
  int64_t rows_per_item_, channels_;
  std::vector<int8_t> smallest_;
  std::vector<uint64_t> reachable_;
};

}  // namespace

std::unique_ptr<Kernel> CompileBinarize(const NodeView& node, Target target) {
  if (node.input(0).is_integer()) {
    return std::make_unique<BinarizeBytesKernel>(node, target);
  }
  return std::make_unique<BinarizeKernel>(node, target);
}

}  // namespace bqengine::backends::cpu
