// Clock cycles of the core, without performance counters.
#ifndef BENCH_CORE_CLOCK_H_
#define BENCH_CORE_CLOCK_H_

namespace bqengine::bench {

// Seconds since some point in the past.
double Seconds();

// Cycles per nanosecond over the next 15 microseconds or so, from a chain of
// dependent additions, which take a cycle each on every core there is. (The
// time stamp counter of x86 runs at a rate of its own.) An interruption makes
// it too low: take medians.
double CoreGhz();

}  // namespace bqengine::bench

#endif  // BENCH_CORE_CLOCK_H_
