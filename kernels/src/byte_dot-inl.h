// The dot product of bytes that a target has: 4 activations, as uint8, by 4
// weights of -1, 0 or +1 in each 32-bit lane.
//
// ByteWeight is the byte that a weight becomes (behind the last stand zeros),
// ByteTerm what such a byte adds for an activation of u. ByteDot<encoding> has
// the step itself, Add, to Partial sums which hold kMostSteps of them, and
// Widen, which makes these int32. kNeedsMask: activations behind the last have
// to be 0.

#if defined(KERNELS_SRC_BYTE_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_BYTE_DOT_INL_H_
#undef KERNELS_SRC_BYTE_DOT_INL_H_
#else
#define KERNELS_SRC_BYTE_DOT_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "kernels/shapes.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using ByteVec = hn::Vec<hn::ScalableTag<uint8_t>>;
using SumTag = hn::ScalableTag<int32_t>;
using SumVec = hn::Vec<SumTag>;

#if HWY_TARGET == BQE_HWY_NEON

// Bytes are summed in pairs. A bipolar weight of +1 leaves its activation as it
// is, and -1 makes it 255 - u by XOR; a unipolar weight of 0 clears it by AND.
constexpr Encoding kUnipolarDot = Encoding::kUnipolar;

HWY_INLINE uint8_t ByteWeight(Encoding encoding, bool bit) {
  return bit == (encoding == Encoding::kUnipolar) ? 0xFF : 0;
}
HWY_INLINE int32_t ByteTerm(Encoding encoding, uint8_t weight, uint8_t u) {
  return encoding == Encoding::kBipolar ? weight ^ u : weight & u;
}

template <Encoding kEncoding>
struct ByteDot {
  // XOR by a weight of 0 leaves what should not count.
  static constexpr bool kNeedsMask = kEncoding == Encoding::kBipolar;
  using Partial = hn::Vec<hn::ScalableTag<uint16_t>>;
  static constexpr size_t kMostSteps = 65535 / (2 * 255);

  static HWY_INLINE void Add(ByteVec u, ByteVec weights, Partial& sums) {
    const ByteVec terms = kEncoding == Encoding::kBipolar ? hn::Xor(u, weights)
                                                          : hn::And(u, weights);
    sums.raw = vpadalq_u8(sums.raw, terms.raw);
  }
  static HWY_INLINE SumVec Widen(Partial sums) {
    return SumVec(vreinterpretq_s32_u32(vpaddlq_u16(sums.raw)));
  }
};

#else

// x86 multiplies uint8 by int8, whatever the encoding.
constexpr Encoding kUnipolarDot = Encoding::kBipolar;

HWY_INLINE uint8_t ByteWeight(Encoding encoding, bool bit) {
  return bit ? 1 : encoding == Encoding::kBipolar ? 0xFF : 0;
}
HWY_INLINE int32_t ByteTerm(Encoding /*encoding*/, uint8_t weight, uint8_t u) {
  return int8_t(weight) * int32_t{u};
}

#if HWY_TARGET == HWY_AVX3_DL

template <Encoding>
struct ByteDot {
  static constexpr bool kNeedsMask = false;
  using Partial = SumVec;
  static constexpr size_t kMostSteps = SIZE_MAX;

  static HWY_INLINE void Add(ByteVec u, ByteVec weights, Partial& sums) {
    sums.raw = _mm512_dpbusd_epi32(sums.raw, u.raw, weights.raw);
  }
  static HWY_INLINE SumVec Widen(Partial sums) { return sums; }
};

#else

// The same two instructions, in three lengths.
#if HWY_TARGET == HWY_AVX3
#define BQE_MADDUBS _mm512_maddubs_epi16
#define BQE_MADD _mm512_madd_epi16
#define BQE_STAY(vector) asm("" : "+v"(vector))
#elif HWY_TARGET == HWY_AVX2
#define BQE_MADDUBS _mm256_maddubs_epi16
#define BQE_MADD _mm256_madd_epi16
#define BQE_STAY(vector) asm("" : "+x"(vector))
#else
#define BQE_MADDUBS _mm_maddubs_epi16
#define BQE_MADD _mm_madd_epi16
#define BQE_STAY(vector) asm("" : "+x"(vector))
#endif

template <Encoding>
struct ByteDot {
  static constexpr bool kNeedsMask = false;
  using PartialTag = hn::ScalableTag<int16_t>;
  using Partial = hn::Vec<PartialTag>;
  // Sums of two products are 510 at most: nothing saturates.
  static constexpr size_t kMostSteps = 32767 / (2 * 255);

  static HWY_INLINE void Add(ByteVec u, ByteVec weights, Partial& sums) {
    sums = hn::Add(sums, Partial{BQE_MADDUBS(u.raw, weights.raw)});
    BQE_STAY(sums.raw);
  }
  static HWY_INLINE SumVec Widen(Partial sums) {
    return SumVec{BQE_MADD(sums.raw, hn::Set(PartialTag(), 1).raw)};
  }
};

#undef BQE_MADDUBS
#undef BQE_MADD
#undef BQE_STAY

#endif
#endif

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // KERNELS_SRC_BYTE_DOT_INL_H_
