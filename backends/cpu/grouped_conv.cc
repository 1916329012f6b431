#include "grouped_conv.h"

#include <algorithm>

namespace bqengine::backends::cpu {
namespace {

// Rows of a task, which is to be worth another thread: some 10 microseconds, in
// which a core counts some 100 terms and writes some 10 bytes a cycle.
int64_t RowsOfTask(const kernels::BgroupedPlan& plan, int64_t rows,
                   int64_t threads) {
  constexpr int64_t kMinTaskCycles = 30'000;
  const kernels::Window& w = plan.shape.window;
  const int64_t outputs = rows * w.out_w * plan.shape.out_channels;
  const int64_t output_bytes = plan.bits_out ? 0 : int64_t{sizeof(float)};
  const int64_t cycles =
      outputs * plan.steps / 100 + outputs * output_bytes / 10;
  // A few tasks for each thread, for some finish late, and as many for each. A
  // task begins with rows of the image that its neighbour has made planes of,
  // too: these are to be a small part of its own.
  int64_t tasks = std::min(cycles / kMinTaskCycles, 3 * threads);
  if (tasks * 3 * w.kernel_h > rows) tasks = std::min(tasks, threads);
  if (tasks > threads) tasks = tasks / threads * threads;
  tasks = std::max(tasks, int64_t{1});
  return (rows + tasks - 1) / tasks;
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
