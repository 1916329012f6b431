#include "grouped_conv.h"

#include <algorithm>

namespace bqengine::backends::cpu {
namespace {

// Rows of a task. A task begins with kernel_h - 1 rows of the image that its
// neighbour has made planes of, too: that is to be a small part of its work.
// And it is to be worth another thread, some 10 microseconds: a core counts
// some 100 terms and writes some 10 bytes in a cycle.
int64_t RowsOfTask(const kernels::BgroupedPlan& plan, int64_t rows,
                   uint32_t threads) {
  constexpr int64_t kMinTaskCycles = 30'000;
  const kernels::Window& w = plan.shape.window;
  const int64_t outputs = w.out_w * plan.shape.out_channels;
  const int64_t row_cycles =
      outputs * plan.steps / 100 +
      (plan.bits_out ? 0 : outputs * int64_t{sizeof(float)} / 10) + 1;
  const int64_t fewest =
      std::max(kMinTaskCycles / row_cycles, 3 * w.kernel_h) + 1;
  // A few tasks for each thread, for some finish late.
  return std::max(fewest, rows / (int64_t{3} * threads) + 1);
}

}  // namespace

GroupedConv::GroupedConv(const kernels::BconvSpec& spec, const uint64_t* weight,
                         Target target)
    : kernels_(*kernels::GetBgroupedKernels(target)),
      memory_(NewAlignedArray<std::byte>(
          int64_t(kernels::BgroupedPlanBytes(kernels_, spec)))),
      plan_(kernels::MakeBgroupedPlan(kernels_, spec, weight, memory_.get())),
      scratch_bytes_(kernels::BgroupedScratchBytes(plan_)) {}

uint64_t GroupedConv::WorkspaceBytes(int64_t /*batch*/,
                                     uint32_t threads) const {
  return threads * scratch_bytes_;
}

void GroupedConv::Run(const RunContext& run) const {
  const int64_t rows = run.batch() * plan_.shape.window.out_h;
  const int64_t task_rows = RowsOfTask(plan_, rows, run.threads());
  const int64_t tasks = (rows + task_rows - 1) / task_rows;
  std::byte* const workspace = static_cast<std::byte*>(run.workspace());
  const uint64_t* const x = run.input<uint64_t>(0);
  float* const y = plan_.bits_out ? nullptr : run.output<float>(0);
  uint64_t* const y_bits = plan_.bits_out ? run.output<uint64_t>(0) : nullptr;
  const auto run_rows = [&](int64_t first, int64_t count, uint32_t thread) {
    kernels_.run(plan_, first, count, x, y, y_bits,
                 workspace + thread * scratch_bytes_);
  };
  if (run.threads() == 1 || tasks == 1) {
    run_rows(0, rows, 0);
    return;
  }
  run.ParallelFor(tasks, [&](int64_t index, uint32_t thread) {
    const int64_t first = index * task_rows;
    run_rows(first, std::min(task_rows, rows - first), thread);
  });
}

}  // namespace bqengine::backends::cpu
