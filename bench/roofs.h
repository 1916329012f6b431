// The limits of a target on this machine: what the inner loop of a kernel could
// do if it did nothing else.
#ifndef BENCH_ROOFS_H_
#define BENCH_ROOFS_H_

#include <cstdint>

#include "kernels/targets.h"

namespace bqengine::bench {

struct Roofs {
  // Combines (XOR), counts and adds 8 vectors in registers, as the target's own
  // kernel does, `steps` times, a multiple of 8.
  void (*count)(int64_t steps);
  // Binary multiply-adds of one step.
  int64_t binmacs_per_step;
  // Reads `bytes`, a multiple of 512, from 64-byte aligned memory.
  void (*read)(const uint8_t* memory, int64_t bytes);
  // Writes them.
  void (*write)(uint8_t* memory, int64_t bytes);
};

// Both are null if this build does not contain the target.
// Of products: counts, or looks up and adds.
const Roofs* GetRoofs(kernels::Target target);
// Of narrow groups: a full adder of bit planes for each vector.
const Roofs* GetPlaneRoofs(kernels::Target target);

}  // namespace bqengine::bench

#endif  // BENCH_ROOFS_H_
