// Fused sign: the accumulators for which a binary layer's output bit is 1.
//
// With one weight base and one activation base, the float expression of an
// Epilogue is a function of one integer, and `y >= threshold` selects a set of
// integers. Every step (conversion, product, sum) rounds monotonically, so the
// set is a half-line, to the right or (negative scale) to the left, found by
// bisection over the expression itself. Infinite constants and overflow make
// NaNs at either end or at 0, which compare false. Whatever the constants, the
// set or its complement is one interval:
//   - a factor of 0 leaves 0 or NaN, symmetrically about 0: an interval;
//   - an infinite factor leaves -Inf, NaN around 0, +Inf: a half-line, or, if
//     the threshold is -Inf, the complement of an interval;
//   - infinite `add` cuts off the end that overflowed to the other infinity.
// In arithmetic modulo 2^32 the complement of an interval is an interval again,
// so two numbers per channel describe every case, constant ones included, and a
// kernel spends one addition and one comparison.
#ifndef KERNELS_THRESHOLD_H_
#define KERNELS_THRESHOLD_H_

#include <cstdint>

#include "kernels/epilogue.h"

namespace bqengine::kernels {

// The bit is 1 where acc + offset <= limit, the sum wrapping around.
struct AccumulatorRange {
  int32_t offset;
  int32_t limit;

  bool Contains(int32_t acc) const {
    return int32_t(uint32_t(acc) + uint32_t(offset)) <= limit;
  }
};

// Exact for every accumulator in [-max_abs, max_abs]; 1 <= max_abs < 2^31 - 1.
// `epilogue` has one weight base, one activation base and no `post`. O(log
// max_abs) unless something in the expression is infinite or NaN, then
// O(max_abs).
AccumulatorRange FindAccumulatorRange(const Epilogue& epilogue, int64_t channel,
                                      int32_t max_abs);

}  // namespace bqengine::kernels

#endif  // KERNELS_THRESHOLD_H_
