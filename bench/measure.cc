#include "measure.h"

#include <algorithm>
#include <cstring>
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

// Cache lines as large as what a kernel moves, and the time to move them.
class Memory {
 public:
  explicit Memory(const Traffic& traffic)
      : read_bytes_(RoundUp(traffic.read)),
        write_bytes_(RoundUp(traffic.write)),
        memory_(static_cast<uint8_t*>(::operator new(
            size_t(read_bytes_ + write_bytes_), std::align_val_t(64)))) {
    std::memset(memory_.get(), 1, size_t(read_bytes_ + write_bytes_));
  }

  // Seconds to read and write all of it once.
  double Move(const Roofs& roofs) const {
    const int repeats =
        int(std::max<int64_t>(64 * 1024 / (read_bytes_ + write_bytes_), 1));
    const double start = Seconds();
    for (int i = 0; i < repeats; ++i) {
      roofs.read(memory_.get(), read_bytes_);
      if (write_bytes_ > 0) {
        roofs.write(memory_.get() + read_bytes_, write_bytes_);
      }
    }
    return (Seconds() - start) / repeats;
  }

 private:
  static int64_t RoundUp(int64_t bytes) { return (bytes + 511) / 512 * 512; }
  struct Free {
    void operator()(uint8_t* memory) const {
      ::operator delete(memory, std::align_val_t(64));
    }
  };
  int64_t read_bytes_, write_bytes_;
  std::unique_ptr<uint8_t, Free> memory_;
};

}  // namespace

void MeasureAgainstRoofs(benchmark::State& state, const Roofs& roofs,
                         double binmacs, const Traffic& traffic,
                         const std::function<void()>& kernel) {
  const Memory memory(traffic);
  std::vector<double> rates, roof_rates, percents, clocks;
  for (auto _ : state) {
    state.PauseTiming();
    const double ghz = CoreGhz();
    const double count_seconds = binmacs / CountRate(roofs);
    memory.Move(roofs);  // into the cache
    const double move_seconds = memory.Move(roofs);
    kernel();  // and the kernel's operands back
    state.ResumeTiming();
    const double start = Seconds();
    kernel();
    const double seconds = Seconds() - start;
    state.PauseTiming();
    // The rate can change on the way: take the mean of before and after.
    const double clock = 0.5e9 * (ghz + CoreGhz());
    const double roof_seconds = std::max(count_seconds, move_seconds);
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
