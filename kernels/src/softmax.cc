#include "kernels/softmax.h"

#include <cstdint>
#include <limits>

#include "target_policy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "softmax.cc"
// The order matters: the first compiles this file again for each target.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

#include "lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

// exp for x <= 0 or NaN, of which Highway's makes 0. Its error is one unit in
// the last place.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpOrNaN(D d, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, x));
}

// Calls body(d, i) for full vectors and then single elements.
template <class Body>
HWY_INLINE void ForEachOnce(int64_t count, const Body& body) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i <= count - lanes; i += lanes) body(d, i);
  for (; i < count; ++i) body(hn::CappedTag<float, 1>(), i);
}

float RowMax(int64_t length, const float* x) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = hn::Lanes(d);
  auto max = hn::Set(d, -std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i <= length - lanes; i += lanes) {
    max = hn::Max(max, hn::LoadU(d, x + i));
  }
  float result = hn::GetLane(hn::MaxOfLanes(d, max));
  for (; i < length; ++i) result = x[i] > result ? x[i] : result;
  return result;
}

float RowSum(int64_t length, const float* x) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = hn::Lanes(d);
  auto sum = hn::Zero(d);
  int64_t i = 0;
  for (; i <= length - lanes; i += lanes) {
    sum = hn::Add(sum, hn::LoadU(d, x + i));
  }
  float result = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < length; ++i) result += x[i];
  return result;
}

// Neighbouring elements.
void SoftmaxRow(int64_t length, const float* x, float* y) {
  // Where there is a NaN, the largest may be any value: the sum is NaN.
  const float max = RowMax(length, x);
  ForEachOnce(length, [&](auto d, int64_t i) HWY_ATTR {
    const auto shifted = hn::Sub(hn::LoadU(d, x + i), hn::Set(d, max));
    hn::StoreU(ExpOrNaN(d, shifted), d, y + i);
  });
  const float sum = RowSum(length, y);
  ForEachOnce(length, [&](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Div(hn::LoadU(d, y + i), hn::Set(d, sum)), d, y + i);
  });
}

// Elements `inner` apart: that many rows side by side, one in each lane.
void SoftmaxColumns(int64_t length, int64_t inner, const float* x, float* y) {
  ForEachVector(inner, [&](auto d, int64_t column) HWY_ATTR {
    auto max = hn::LoadU(d, x + column);
    for (int64_t i = 1; i < length; ++i) {
      max = hn::Max(max, hn::LoadU(d, x + i * inner + column));
    }
    auto sum = hn::Zero(d);
    for (int64_t i = 0; i < length; ++i) {
      const int64_t at = i * inner + column;
      const auto exp = ExpOrNaN(d, hn::Sub(hn::LoadU(d, x + at), max));
      hn::StoreU(exp, d, y + at);
      sum = hn::Add(sum, exp);
    }
    for (int64_t i = 0; i < length; ++i) {
      const int64_t at = i * inner + column;
      hn::StoreU(hn::Div(hn::LoadU(d, y + at), sum), d, y + at);
    }
  });
}

void Softmax(int64_t outer, int64_t length, int64_t inner, const float* x,
             float* y) {
  const int64_t size = length * inner;
  for (int64_t i = 0; i < outer; ++i, x += size, y += size) {
    if (inner == 1) {
      SoftmaxRow(length, x, y);
    } else {
      SoftmaxColumns(length, inner, x, y);
    }
  }
}

const SoftmaxKernels kTable = {.softmax = Softmax};
const SoftmaxKernels* const kSoftmax = &kTable;

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bqengine::kernels {

const SoftmaxKernels* GetSoftmaxKernels(Target target) {
  return BQE_SELECT_TARGET(target, kSoftmax);
}

}  // namespace bqengine::kernels
#endif  // HWY_ONCE
