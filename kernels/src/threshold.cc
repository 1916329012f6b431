#include "kernels/threshold.h"

#include <cmath>

namespace bqengine::kernels {
namespace {

// One channel's way from its accumulator to its bit.
class Expression {
 public:
  // An absent step becomes one that changes nothing: -0 is the neutral element
  // of addition (+0 is not, for -0 + +0 = +0).
  Expression(const Epilogue& e, int64_t channel)
      : alpha_(e.alpha == nullptr ? 1.0f
                                  : e.alpha[e.alpha_per_channel ? channel : 0]),
        beta_(e.beta == nullptr ? 1.0f : e.beta[0]),
        mul_(e.mul == nullptr ? 1.0f : e.mul[channel * e.mul_stride]),
        add_(e.add == nullptr ? -0.0f : e.add[channel * e.add_stride]),
        threshold_(e.threshold == nullptr
                       ? 0.0f
                       : e.threshold[channel * e.threshold_stride]) {}

  bool operator()(int32_t acc) const {
    return float(acc) * alpha_ * beta_ * mul_ + add_ >= threshold_;
  }

  // No NaN can appear for accumulators of at most this magnitude, so that the
  // bit switches at most once. Intermediate results only grow with |acc|.
  bool IsMonotoneUpTo(int32_t max_abs) const {
    const float scaled = float(max_abs) * alpha_;
    return std::isfinite(scaled) && std::isfinite(scaled * beta_) &&
           std::isfinite(scaled * beta_ * mul_) && std::isfinite(add_) &&
           !std::isnan(threshold_);
  }

 private:
  float alpha_, beta_, mul_, add_, threshold_;
};

// {first, first + 1, .., last}, modulo 2^32.
AccumulatorRange Interval(uint32_t first, uint32_t last) {
  constexpr uint32_t kSignBit = 0x80000000u;
  // acc is inside if (acc - first) <= (last - first) as unsigned numbers, that
  // is, as signed ones after the sign bits are flipped.
  return {int32_t(kSignBit - first), int32_t((last - first) ^ kSignBit)};
}

AccumulatorRange All() { return Interval(0, ~uint32_t{0}); }
// Only INT32_MIN, which is no accumulator.
AccumulatorRange None() { return Interval(0x80000000u, 0x80000000u); }

// The bit is `low` up to some accumulator and !low beyond it.
AccumulatorRange Bisect(const Expression& bit, bool low, int32_t max_abs) {
  int64_t last_low = -int64_t{max_abs}, first_high = max_abs;
  while (first_high - last_low > 1) {
    const int64_t middle = (last_low + first_high) >> 1;
    (bit(int32_t(middle)) == low ? last_low : first_high) = middle;
  }
  return low ? Interval(uint32_t(-max_abs), uint32_t(last_low))
             : Interval(uint32_t(first_high), uint32_t(max_abs));
}

// One run of !low between two (possibly empty) runs of `low`.
AccumulatorRange Scan(const Expression& bit, bool low, int32_t max_abs) {
  const int64_t end = max_abs;
  int64_t first = -end, last = end;
  while (first <= end && bit(int32_t(first)) == low) ++first;
  if (first > end) return low ? All() : None();
  while (bit(int32_t(last)) == low) --last;
  return low ? Interval(uint32_t(last + 1), uint32_t(first - 1))
             : Interval(uint32_t(first), uint32_t(last));
}

}  // namespace

AccumulatorRange FindAccumulatorRange(const Epilogue& epilogue, int64_t channel,
                                      int32_t max_abs) {
  const Expression bit(epilogue, channel);
  const bool low = bit(-max_abs), high = bit(max_abs);
  if (!bit.IsMonotoneUpTo(max_abs)) return Scan(bit, low, max_abs);
  if (low == high) return low ? All() : None();
  return Bisect(bit, low, max_abs);
}

}  // namespace bqengine::kernels
