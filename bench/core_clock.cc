#include "core_clock.h"

#include <chrono>
#include <cstdint>

namespace bqengine::bench {
namespace {

// Sixteen additions that neither the compiler (the empty asm may have changed
// x) nor the core can join: both operands are registers, for newer cores take
// additions of small constants out of the chain.
inline void AddSixteenTimes(uint64_t& x, uint64_t y) {
  const auto add = [&] {
    x += y;
    asm volatile("" : "+r"(x));
  };
  add(), add(), add(), add(), add(), add(), add(), add();
  add(), add(), add(), add(), add(), add(), add(), add();
}

}  // namespace

double Seconds() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double CoreGhz() {
  constexpr int kRounds = 4000;
  uint64_t x = 1, y = 3;
  asm volatile("" : "+r"(x), "+r"(y));
  const double start = Seconds();
  for (int i = 0; i < kRounds; ++i) AddSixteenTimes(x, y);
  return 16e-9 * kRounds / (Seconds() - start);
}

}  // namespace bqengine::bench
