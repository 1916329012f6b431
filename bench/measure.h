// Rates of a kernel against the roofs of its target, measured in turns, for a
// machine that others use at the same time.
#ifndef BENCH_MEASURE_H_
#define BENCH_MEASURE_H_

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "roofs.h"

namespace bqengine::bench {

// Bytes that a kernel has to move, each counted once.
struct Traffic {
  int64_t read;
  int64_t write = 0;
};

// Runs `kernel` once per iteration of `state`, each time after measuring the
// clock and the roofs, and sets the counters: medians over the iterations.
//
//   binmac_per_cycle  binary multiply-adds a clock cycle of the core
//   roof              the same, of the lower of the two roofs
//   roof_percent      the kernel's part of that
//   spread_percent    of binmac_per_cycle: from the lower to the upper quartile
//   ghz               clock rate
//
// `binmacs`: of one run, without those on padding (TapsInside). The bandwidth
// is that of reading and writing as many bytes again and again, from and to
// whatever cache they fit in.
void MeasureAgainstRoofs(benchmark::State& state, const Roofs& roofs,
                         double binmacs, const Traffic& traffic,
                         const std::function<void()>& kernel);

}  // namespace bqengine::bench

#endif  // BENCH_MEASURE_H_
