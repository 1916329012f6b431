// Masks of vectors as bits of a word.

// Per-target include guard.
#if defined(KERNELS_SRC_SIMD_BITS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_SIMD_BITS_INL_H_
#undef KERNELS_SRC_SIMD_BITS_INL_H_
#else
#define KERNELS_SRC_SIMD_BITS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Bit i: lane i of a mask of at most 64 lanes.
template <class D, class M>
HWY_INLINE HWY_ATTR uint64_t MaskBits(D d, M mask) {
  uint8_t bytes[8];  // what StoreMaskBits may write, though it does not
  hn::StoreMaskBits(d, mask, bytes);
  if (hn::Lanes(d) <= 8) return bytes[0];
  uint64_t bits = 0;  // a copy of known size is a load
  if (hn::Lanes(d) == 16) std::memcpy(&bits, bytes, 2);
  if (hn::Lanes(d) == 32) std::memcpy(&bits, bytes, 4);
  if (hn::Lanes(d) == 64) std::memcpy(&bits, bytes, 8);
  return bits;
}

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
