// Floats that are a function of one integer: what a binary product, or a sum of
// such, makes of its accumulators.
#ifndef ENGINE_SRC_PASSES_ACCUMULATOR_H_
#define ENGINE_SRC_PASSES_ACCUMULATOR_H_

#include <cstdint>
#include <optional>

#include "passes/monotone_chain.h"

namespace bqengine {

// If the root of `chain` is a function of one integer: puts that function
// before the chain, and returns the largest magnitude of the integer. It is the
// accumulator of a product with one base; the sum of several with equal scales,
// if those are powers of two (floats of others are no function of the sum, for
// each rounds by itself); or a sum of accumulators as they are.
std::optional<int32_t> PrependAccumulator(GraphEditor& editor,
                                          MonotoneChain* chain);

// A bit that switches at most once between two integers.
struct BitSwitch {
  bool at_low;   // the bit at the lower end
  bool changes;  // somewhere up to the upper end
  // If it changes: the last integer with the bit at_low, and the next one.
  int32_t last, next;
};

template <typename Bit>
BitSwitch FindSwitch(int32_t low, int32_t high, const Bit& bit) {
  const bool at_low = bit(low);
  if (at_low == bit(high)) return {at_low, false, low, high};
  while (high - low > 1) {
    const int32_t middle = low + (high - low) / 2;
    (bit(middle) == at_low ? low : high) = middle;
  }
  return {at_low, true, low, high};
}

}  // namespace bqengine

#endif  // ENGINE_SRC_PASSES_ACCUMULATOR_H_
