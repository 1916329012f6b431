// Splitting a loop over rows into tasks.
#ifndef BACKENDS_CPU_PARALLEL_RANGES_H_
#define BACKENDS_CPU_PARALLEL_RANGES_H_

#include <algorithm>
#include <cstdint>

#include "bqengine/backend.hpp"

namespace bqengine::backends::cpu {

// Calls body(begin, end) on ranges that make up [0, count). `item_bytes`: what
// one item reads and writes. A task that starts on another thread costs some
// microseconds, the time in which a core moves about as many bytes as below;
// less than two such tasks are done by the caller.
template <typename Body>
void ForRanges(const backend::RunContext& run, int64_t count,
               int64_t item_bytes, const Body& body) {
  constexpr int64_t kTaskBytes = 128 * 1024;
  const int64_t grain = std::max<int64_t>(
      kTaskBytes / std::max<int64_t>(item_bytes, 1), int64_t{1});
  const int64_t tasks = (count + grain - 1) / grain;
  if (run.threads() == 1 || tasks < 2) {
    body(int64_t{0}, count);
    return;
  }
  run.ParallelFor(tasks, [&](int64_t index, uint32_t /*thread*/) {
    body(index * grain, std::min(count, (index + 1) * grain));
  });
}

}  // namespace bqengine::backends::cpu

#endif  // BACKENDS_CPU_PARALLEL_RANGES_H_
