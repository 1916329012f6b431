#include "runtime/memory_planner.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace bqengine {
namespace {

// No machine has more, and sums of a few of these do not overflow.
constexpr uint64_t kMostBytes = std::numeric_limits<uint64_t>::max() / 16;

uint64_t RoundUp(uint64_t bytes) {
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

bool Meet(const BufferLifetime& a, const BufferLifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

}  // namespace

Result<MemoryPlan> PlanMemory(std::span<const BufferLifetime> buffers) {
  MemoryPlan plan;
  plan.offsets.assign(buffers.size(), 0);
  std::vector<size_t> by_size(buffers.size());
  std::iota(by_size.begin(), by_size.end(), 0);
  std::stable_sort(by_size.begin(), by_size.end(), [&](size_t a, size_t b) {
    return buffers[a].bytes > buffers[b].bytes;
  });

  std::vector<size_t> placed;  // by offset
  for (size_t i : by_size) {
    if (buffers[i].bytes > kMostBytes) {
      return Status(StatusCode::kOutOfMemory, "a tensor is too large");
    }
    const uint64_t bytes = RoundUp(buffers[i].bytes);
    uint64_t offset = 0;
    for (size_t k : placed) {
      if (!Meet(buffers[i], buffers[k])) continue;
      if (offset + bytes <= plan.offsets[k]) break;  // fits into the gap
      offset = std::max(offset, plan.offsets[k] + RoundUp(buffers[k].bytes));
    }
    if (offset > kMostBytes) {
      return Status(StatusCode::kOutOfMemory, "the tensors are too large");
    }
    plan.offsets[i] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    const auto position = std::upper_bound(
        placed.begin(), placed.end(), offset,
        [&](uint64_t value, size_t k) { return value < plan.offsets[k]; });
    placed.insert(position, i);
  }
  return plan;
}

}  // namespace bqengine
