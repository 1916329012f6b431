#include "measure.h"

#include <algorithm>
#include <memory>
#include <new>

#include "core_clock.h"

namespace bqengine::bench {
namespace {

double Quantile(std::vector<double> values, double q) {
  const auto at =
      values.begin() + std::ptrdiff_t(double(values.size() - 1) * q);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}
double Median(const std::vector<double>& values) {
  return Quantile(values, 0.5);
}

// Binary multiply-adds a second with everything in registers.
double CountRate(const Roofs& roofs) {
  constexpr int64_t kSteps = 8000;
  roofs.count(kSteps);  // wide units need some time to wake up
  const double start = Seconds();
  roofs.count(kSteps);
  return double(kSteps * roofs.binmacs_per_step) / (Seconds() - start);
}

// Seconds to read the operands once.
double ReadSeconds(const Roofs& roofs, const std::vector<uint8_t>& memory,
                   int64_t bytes) {
  const uint8_t* start_of_line = memory.data();
  while (reinterpret_cast<uintptr_t>(start_of_line) % 64 != 0) ++start_of_line;
  const int repeats = int(std::max<int64_t>(64 * 1024 / bytes, 1));
  const double start = Seconds();
  for (int i = 0; i < repeats; ++i) roofs.read(start_of_line, bytes);
  return (Seconds() - start) / repeats;
}

}  // namespace

void MeasureAgainstRoofs(benchmark::State& state, const Roofs& roofs,
                         double binmacs, int64_t read_bytes,
                         const std::function<void()>& kernel) {
  const int64_t bytes = (read_bytes + 511) / 512 * 512;
  const std::vector<uint8_t> memory(size_t(bytes + 64), 1);
  std::vector<double> rates, roof_rates, percents, clocks;
  for (auto _ : state) {
    state.PauseTiming();
    const double ghz = CoreGhz();
    const double count_seconds = binmacs / CountRate(roofs);
    ReadSeconds(roofs, memory, bytes);  // into the cache
    const double read_seconds = ReadSeconds(roofs, memory, bytes);
    kernel();  // and the kernel's operands back
    state.ResumeTiming();
    const double start = Seconds();
    kernel();
    const double seconds = Seconds() - start;
    state.PauseTiming();
    // The rate can change on the way: take the mean of before and after.
    const double clock = 0.5e9 * (ghz + CoreGhz());
    const double roof_seconds = std::max(count_seconds, read_seconds);
    rates.push_back(binmacs / (seconds * clock));
    roof_rates.push_back(binmacs / (roof_seconds * clock));
    percents.push_back(100 * roof_seconds / seconds);
    clocks.push_back(clock * 1e-9);
    state.ResumeTiming();
  }
  state.counters["binmac_per_cycle"] = Median(rates);
  state.counters["roof"] = Median(roof_rates);
  state.counters["roof_percent"] = Median(percents);
  state.counters["spread_percent"] =
      100 * (Quantile(rates, 0.75) - Quantile(rates, 0.25)) / Median(rates);
  state.counters["ghz"] = Median(clocks);
}

}  // namespace bqengine::bench
