// The steps behind the affine (kernels/epilogue.h), on one or two rows of a
// block of a tile, whose floats are in registers. The choice of a step is made
// once for all their vectors.

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

// One step. for_each(f) makes f(v, row, at) of every vector v of one or two
// rows; its channels begin at channel + at of the plan, and at `at` of
// residuals[row]. Comparisons and selections instead of Min and Max, which do
// not keep a NaN on every target.
template <class ForEach>
HWY_INLINE HWY_ATTR void ApplyPost(const PostStep& step, int64_t channel,
                                   const float* const* residuals,
                                   const ForEach& for_each) {
  const hn::RebindToFloat<D32> d;
  using VF = hn::Vec<decltype(d)>;
  const auto value = [&](int at) BQE_INLINE_LAMBDA {
    return hn::LoadU(d, step.value + channel + at);
  };
  switch (step.op) {
    case PostOp::kRelu:
      return for_each([&](VF y, int, int) BQE_INLINE_LAMBDA {
        return hn::IfThenZeroElse(hn::Lt(y, hn::Zero(d)), y);
      });
    case PostOp::kPRelu:
      return for_each([&](VF y, int, int at) BQE_INLINE_LAMBDA {
        const auto scaled = hn::Mul(value(at), y);
        return hn::IfThenElse(hn::Lt(y, hn::Zero(d)), scaled, y);
      });
    case PostOp::kClip: {
      const auto low = hn::Set(d, step.value[0]);
      const auto high = hn::Set(d, step.value[1]);
      return for_each([&](VF y, int, int) BQE_INLINE_LAMBDA {
        y = hn::IfThenElse(hn::Lt(y, low), low, y);
        return hn::IfThenElse(hn::Gt(y, high), high, y);
      });
    }
    case PostOp::kAdd:
      return for_each([&](VF y, int, int at)
                          BQE_INLINE_LAMBDA { return hn::Add(y, value(at)); });
    case PostOp::kMul:
      return for_each([&](VF y, int, int at)
                          BQE_INLINE_LAMBDA { return hn::Mul(y, value(at)); });
    case PostOp::kResidual:
      return for_each([&](VF y, int row, int at) BQE_INLINE_LAMBDA {
        return hn::Add(y, hn::LoadU(d, residuals[row] + at));
      });
  }
}

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
