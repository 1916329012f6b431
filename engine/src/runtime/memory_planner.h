// Where each buffer of a run lies in the arena. A pure function.
#ifndef ENGINE_SRC_RUNTIME_MEMORY_PLANNER_H_
#define ENGINE_SRC_RUNTIME_MEMORY_PLANNER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "bqengine/status.h"

namespace bqengine {

// A cache line, and the largest vector.
inline constexpr uint64_t kArenaAlignment = 64;

// Alive in steps [first, last], both included.
struct BufferLifetime {
  uint64_t bytes;
  int64_t first;
  int64_t last;
};

struct MemoryPlan {
  std::vector<uint64_t> offsets;  // in the order of the buffers, aligned
  uint64_t bytes = 0;             // of the arena
};

// Buffers whose lifetimes meet do not overlap. Greedy by size: the largest
// first, each at the lowest offset that is free (as in "Efficient Memory
// Management for Deep Neural Net Inference", arXiv:2001.03288, section 5.2).
// kOutOfMemory if the total cannot be expressed.
Result<MemoryPlan> PlanMemory(std::span<const BufferLifetime> buffers);

}  // namespace bqengine

#endif  // ENGINE_SRC_RUNTIME_MEMORY_PLANNER_H_
