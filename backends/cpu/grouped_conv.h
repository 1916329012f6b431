// A binary convolution of narrow groups, with its packed weights.
#ifndef BACKENDS_CPU_GROUPED_CONV_H_
#define BACKENDS_CPU_GROUPED_CONV_H_

#include <cstddef>
#include <cstdint>

#include "aligned_array.h"
#include "cpu_backend.h"
#include "kernels/bgrouped.h"

namespace bqengine::backends::cpu {

class GroupedConv : public Kernel {
 public:
  // UsesBgrouped(spec). `spec.shape` is of one item of the run's batch.
  // `weight`: [O, kernel_h, kernel_w, WordsFor(C / groups)]; not kept.
  GroupedConv(const kernels::BconvSpec& spec, const uint64_t* weight,
              Target target);

  uint64_t WorkspaceBytes(int64_t batch, uint32_t threads) const override;
  void Run(const RunContext& run) const override;

 private:
  const kernels::BgroupedKernels& kernels_;
  AlignedArray<std::byte> memory_;
  kernels::BgroupedPlan plan_;
  uint64_t scratch_bytes_;  // of each thread
};

}  // namespace bqengine::backends::cpu

#endif  // BACKENDS_CPU_GROUPED_CONV_H_
