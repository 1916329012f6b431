// The steps behind the affine (kernels/epilogue.h), on a row of a block of a
// tile, whose floats are in registers. The choice of a step is made once for
// all vectors of the row.

// Per-target include guard.
#if defined(KERNELS_SRC_BGEMM_POST_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_BGEMM_POST_INL_H_
#undef KERNELS_SRC_BGEMM_POST_INL_H_
#else
#define KERNELS_SRC_BGEMM_POST_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "bgemm_tile-inl.h"
#include "kernels/bgemm.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// One step, for kVectors of the vectors; channels of them begin at `channel` of
// the plan and at `residual`. Comparisons and selections instead of Min and
// Max, which do not keep a NaN on every target.
template <int kVectors, class VF>
HWY_INLINE HWY_ATTR void ApplyPost(const PostStep& step, int64_t channel,
                                   const float* residual, VF& v0, VF& v1,
                                   VF& v2, VF& v3) {
  const hn::RebindToFloat<D32> d;
  constexpr int kLanes = int(HWY_LANES(uint32_t));
  const auto for_each = [&](const auto& f) BQE_INLINE_LAMBDA {
    v0 = f(v0, 0);
    if constexpr (kVectors > 1) v1 = f(v1, kLanes);
    if constexpr (kVectors > 2) v2 = f(v2, 2 * kLanes);
    if constexpr (kVectors > 3) v3 = f(v3, 3 * kLanes);
  };
  const auto value = [&](int at) BQE_INLINE_LAMBDA {
    return hn::LoadU(d, step.value + channel + at);
  };
  switch (step.op) {
    case PostOp::kRelu:
      return for_each([&](VF y, int /*at*/) BQE_INLINE_LAMBDA {
        return hn::IfThenZeroElse(hn::Lt(y, hn::Zero(d)), y);
      });
    case PostOp::kPRelu:
      return for_each([&](VF y, int at) BQE_INLINE_LAMBDA {
        const auto scaled = hn::Mul(value(at), y);
        return hn::IfThenElse(hn::Lt(y, hn::Zero(d)), scaled, y);
      });
    case PostOp::kClip: {
      const auto low = hn::Set(d, step.value[0]);
      const auto high = hn::Set(d, step.value[1]);
      return for_each([&](VF y, int /*at*/) BQE_INLINE_LAMBDA {
        y = hn::IfThenElse(hn::Lt(y, low), low, y);
        return hn::IfThenElse(hn::Gt(y, high), high, y);
      });
    }
    case PostOp::kAdd:
      return for_each([&](VF y, int at)
                          BQE_INLINE_LAMBDA { return hn::Add(y, value(at)); });
    case PostOp::kMul:
      return for_each([&](VF y, int at)
                          BQE_INLINE_LAMBDA { return hn::Mul(y, value(at)); });
    case PostOp::kResidual:
      return for_each([&](VF y, int at) BQE_INLINE_LAMBDA {
        return hn::Add(y, hn::LoadU(d, residual + at));
      });
  }
}

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
