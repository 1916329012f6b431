// Numbers as planes of bits: bit p of a number is in plane p, at the number's
// own position. Counting with carry-save adders, comparing, and making bytes
// of them.

// Per-target include guard.
#if defined(KERNELS_SRC_BIT_PLANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_BIT_PLANES_INL_H_
#undef KERNELS_SRC_BIT_PLANES_INL_H_
#else
#define KERNELS_SRC_BIT_PLANES_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using D64 = hn::ScalableTag<uint64_t>;
using V64 = hn::Vec<D64>;

// Bits of `yes` where mask is 1, else of `no`. Highway's own blends whole bytes
// where there is no instruction for bits.
HWY_INLINE HWY_ATTR V64 Select(V64 mask, V64 yes, V64 no) {
#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2
  return hn::Or(hn::And(mask, yes), hn::AndNot(mask, no));
#else
  return hn::IfVecThenElse(mask, yes, no);
#endif
}

// sum += a + b; returns the carry.
HWY_INLINE HWY_ATTR V64 FullAdd(V64& sum, V64 a, V64 b) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  // The majority of three, for which Highway has no name.
  const V64 carry{_mm512_ternarylogic_epi64(sum.raw, a.raw, b.raw, 0xE8)};
  sum = hn::Xor3(sum, a, b);
#else
  const V64 differ = hn::Xor(sum, a);
  const V64 carry = Select(differ, b, sum);
  sum = hn::Xor(differ, b);
#endif
  return carry;
}

// Counts of ones, below 2^kPlanes.
template <int kPlanes>
struct PlaneCounter {
  V64 planes[kPlanes];

  HWY_INLINE HWY_ATTR PlaneCounter() {
    HWY_UNROLL(8)
    for (int p = 0; p < kPlanes; ++p) planes[p] = hn::Zero(D64());
  }

  // Adds 2^kFrom.
  template <int kFrom>
  HWY_INLINE HWY_ATTR void Ripple(V64 carry) {
    HWY_UNROLL(8)
    for (int p = kFrom; p < kPlanes; ++p) {
      const V64 next = hn::And(planes[p], carry);
      planes[p] = hn::Xor(planes[p], carry);
      carry = next;
    }
  }

  // Adds `count` terms, each of which next() returns. The few before the eights
  // go first, for planes that are still zero need no adder.
  template <class Next>
  HWY_INLINE HWY_ATTR void AddAll(int64_t count, Next&& next) {
    if (count % 2 == 1) planes[0] = next();
    for (int64_t pairs = count % 8 / 2; pairs > 0; --pairs) {
      Ripple<1>(AddTwo(next));
    }
    if (count % 16 >= 8) Ripple<3>(AddEight(next));
    for (int64_t sixteens = count / 16; sixteens > 0; --sixteens) {
      const V64 eight = AddEight(next);
      Ripple<4>(FullAdd(planes[3], eight, AddEight(next)));
    }
  }

  // Ones where the count is below the number whose planes are at `bounds`,
  // `pitch` words apart.
  HWY_INLINE HWY_ATTR V64 Below(const uint64_t* bounds, int64_t pitch) const {
    V64 below = hn::Zero(D64());
    HWY_UNROLL(8)
    for (int p = 0; p < kPlanes; ++p) {
      const V64 bound = hn::LoadU(D64(), bounds + p * pitch);
      below = Select(hn::Xor(planes[p], bound), bound, below);
    }
    return below;
  }

 private:
  template <class Next>
  HWY_INLINE HWY_ATTR V64 AddTwo(Next& next) {
    const V64 a = next();
    return FullAdd(planes[0], a, next());
  }
  template <class Next>
  HWY_INLINE HWY_ATTR V64 AddFour(Next& next) {
    const V64 two = AddTwo(next);
    return FullAdd(planes[1], two, AddTwo(next));
  }
  template <class Next>
  HWY_INLINE HWY_ATTR V64 AddEight(Next& next) {
    const V64 four = AddFour(next);
    return FullAdd(planes[2], four, AddFour(next));
  }
};

// Takes bits at `mask` from a and from b << kShift, others into `high`: pairs
// of bits, or fours, become neighbours.
template <int kShift>
HWY_INLINE HWY_ATTR void Interlace(V64 a, V64 b, V64 mask, V64& low,
                                   V64& high) {
  low = Select(mask, a, hn::ShiftLeft<kShift>(b));
  high = Select(mask, hn::ShiftRight<kShift>(a), b);
}

// Four planes to nibbles: nibble i of nibbles[r] is the number at position
// 4 * i + r.
HWY_INLINE HWY_ATTR void ToNibbles(const V64* planes, V64* nibbles) {
  const D64 d;
  const V64 odd = hn::Set(d, 0x5555555555555555u);
  const V64 pairs = hn::Set(d, 0x3333333333333333u);
  V64 low_even, low_odd, high_even, high_odd;
  Interlace<1>(planes[0], planes[1], odd, low_even, low_odd);
  Interlace<1>(planes[2], planes[3], odd, high_even, high_odd);
  Interlace<2>(low_even, high_even, pairs, nibbles[0], nibbles[2]);
  Interlace<2>(low_odd, high_odd, pairs, nibbles[1], nibbles[3]);
}

// Four or eight planes to bytes: byte i of bytes[r] is the number at position
// 8 * i + r.
template <int kPlanes>
HWY_INLINE HWY_ATTR void ToStridedBytes(const V64* planes, V64* bytes) {
  static_assert(kPlanes == 4 || kPlanes == 8);
  const V64 low_half = hn::Set(D64(), 0x0F0F0F0F0F0F0F0Fu);
  V64 low[4], high[4];
  ToNibbles(planes, low);
  if constexpr (kPlanes == 8) ToNibbles(planes + 4, high);
  HWY_UNROLL(4)
  for (int r = 0; r < 4; ++r) {
    if constexpr (kPlanes == 8) {
      Interlace<4>(low[r], high[r], low_half, bytes[r], bytes[r + 4]);
    } else {
      bytes[r] = hn::And(low[r], low_half);
      bytes[r + 4] = hn::And(hn::ShiftRight<4>(low[r]), low_half);
    }
  }
}

// Zips vectors v[i] and v[i + kStep] as lanes of T, for all pairs.
template <class T, int kFrom, int kTo>
HWY_INLINE HWY_ATTR void Zip(V64* v) {
  const hn::Repartition<T, D64> d;
  const auto a = hn::BitCast(d, v[kFrom]), b = hn::BitCast(d, v[kTo]);
  v[kFrom] = hn::BitCast(D64(), hn::InterleaveLower(d, a, b));
  v[kTo] = hn::BitCast(D64(), hn::InterleaveUpper(d, a, b));
}

// Stores the numbers as bytes, 16 in a row: those of word w of the vector, from
// its position 16 * q on, are at to + ByteChunk(w) + q * kChunkPitch.
inline constexpr int64_t kChunkPitch = HWY_LANES(uint8_t);

constexpr int64_t ByteChunk(int64_t word) {
  return word / 2 * 16 + word % 2 * 4 * kChunkPitch;
}

template <int kPlanes>
HWY_INLINE HWY_ATTR void StoreBytes(const PlaneCounter<kPlanes>& counter,
                                    uint8_t* HWY_RESTRICT to) {
  const D64 d;
  V64 v[8];
  ToStridedBytes<kPlanes>(counter.planes, v);
  // Position 8 * i + r of each 128 bits is in byte i of v[r]. Afterwards, in
  // lanes of 8 bytes, v[0] has i = 0, 1, v[4] 2, 3, v[2] 4, 5 and so on.
  Zip<uint8_t, 0, 1>(v), Zip<uint8_t, 2, 3>(v);
  Zip<uint8_t, 4, 5>(v), Zip<uint8_t, 6, 7>(v);
  Zip<uint16_t, 0, 2>(v), Zip<uint16_t, 4, 6>(v);
  Zip<uint16_t, 1, 3>(v), Zip<uint16_t, 5, 7>(v);
  Zip<uint32_t, 0, 4>(v), Zip<uint32_t, 2, 6>(v);
  Zip<uint32_t, 1, 5>(v), Zip<uint32_t, 3, 7>(v);
  const int kOrder[8] = {0, 4, 2, 6, 1, 5, 3, 7};
  HWY_UNROLL(8)
  for (int k = 0; k < 8; ++k) {
    hn::StoreU(v[kOrder[k]], d,
               reinterpret_cast<uint64_t*>(to + k * kChunkPitch));
  }
}

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
