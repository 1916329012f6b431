// Covers a range of floats with vectors, without touching what lies beyond.

#if defined(KERNELS_SRC_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_LANES_INL_H_
#undef KERNELS_SRC_LANES_INL_H_
#else
#define KERNELS_SRC_LANES_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

namespace hn = hwy::HWY_NAMESPACE;

template <class D, class Body>
HWY_INLINE void CoverRange(D d, int64_t count, const Body& body) {
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i <= count - lanes; i += lanes) body(d, i);
  if (i < count) body(d, count - lanes);
}

// Calls body(d, i), `d` a tag for float vectors, so that the vectors that begin
// at the offsets `i` cover [0, count). Where the last would reach beyond the
// end it overlaps the one before it: body must give the same when done twice.
// Ranges shorter than a vector take shorter vectors.
template <class Body>
HWY_INLINE void ForEachVector(int64_t count, const Body& body) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 4> d4;
  if (count >= int64_t(hn::Lanes(d))) {
    CoverRange(d, count, body);
  } else if (count >= int64_t(hn::Lanes(d4))) {
    CoverRange(d4, count, body);
  } else {
    CoverRange(hn::CappedTag<float, 1>(), count, body);
  }
}

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // KERNELS_SRC_LANES_INL_H_
