// The innermost loop of a binary product that counts bits: for a tile of rows x
// vectors of channels, the ones of (row OP weights) over all steps of K.
//
// To give a target another inner loop, change what this file defines for it:
// the counters (BitCounts), the shape of the tile, and CountedTile; or whether
// it looks ones up instead, BQE_LOOK_UP.

// Per-target include guard.
#if defined(KERNELS_SRC_BGEMM_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_BGEMM_TILE_INL_H_
#undef KERNELS_SRC_BGEMM_TILE_INL_H_
#else
#define KERNELS_SRC_BGEMM_TILE_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

// Inside the SIMD region: true where looking ones up (bgemm_lookup-inl.h) is
// faster than counting them, which needs an instruction for that.
#undef BQE_LOOK_UP
#define BQE_LOOK_UP \
  (HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3)

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Rows x vectors of a tile: as many accumulators as leave registers for a row
// of weights, a broadcast activation and the temporaries of a count. Of 32
// registers a 4 x 4 tile takes 16, of 16 registers a 4 x 2 tile takes 8. With
// vector popcount smaller tiles load too much for each count; where counting
// takes more instructions the shape hardly matters (figures: bench/README.md).
inline constexpr int kTileRows = 4;
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_SSE4
inline constexpr int kBlockVectors = 2;
#else
inline constexpr int kBlockVectors = 4;
#endif

using D32 = hn::ScalableTag<uint32_t>;
using V32 = hn::Vec<D32>;

struct XorBits {
  template <class V>
  static HWY_INLINE HWY_ATTR V Combine(V a, V w) {
    return hn::Xor(a, w);
  }
};
struct AndBits {
  template <class V>
  static HWY_INLINE HWY_ATTR V Combine(V a, V w) {
    return hn::And(a, w);
  }
};

// Counters of ones. Add(bits, counts) adds the ones of each 32-bit lane of
// `bits` to `counts`, in whatever form, at most kMaxSteps times; ToLanes makes
// them one number for each 32-bit lane.
#if HWY_TARGET == HWY_AVX3_DL

// vpopcntd: xor, count and add are 3 instructions on 2 ports.
struct BitCounts {
  static constexpr int64_t kMaxSteps = INT64_MAX;
  HWY_INLINE HWY_ATTR V32 Add(V32 bits, V32 counts) const {
    return hn::Add(counts, hn::PopulationCount(bits));
  }
  static HWY_INLINE HWY_ATTR V32 ToLanes(V32 counts) { return counts; }
};

#else

// Counts of bytes, at most 8 a step. NEON has an instruction for them; on x86
// they are looked up, one nibble at a time.
class BitCounts {
 public:
  static constexpr int64_t kMaxSteps = 255 / 8;

  HWY_INLINE HWY_ATTR V32 Add(V32 bits, V32 counts) const {
    const D8 d8;
    const D32 d32;
    const auto bytes = hn::BitCast(d8, bits);
#if HWY_ARCH_ARM
    const auto ones = hn::PopulationCount(bytes);
#else
    // The shift may be one of 16-bit lanes, for the mask removes what it moves
    // from one byte into the other.
    const D16 d16;
    const auto mask = hn::Set(d8, uint8_t{0x0F});
    const auto table = hn::LoadDup128(d8, kNibbleOnes);
    const auto high =
        hn::BitCast(d8, hn::ShiftRight<4>(hn::BitCast(d16, bits)));
    const auto ones = hn::Add(hn::TableLookupBytes(table, hn::And(bytes, mask)),
                              hn::TableLookupBytes(table, hn::And(high, mask)));
#endif
    return hn::BitCast(d32, hn::Add(hn::BitCast(d8, counts), ones));
  }

  static HWY_INLINE HWY_ATTR V32 ToLanes(V32 counts) {
    const D32 d32;
    const D16 d16;
    const auto bytes = hn::BitCast(d16, counts);
    const auto halves =
        hn::BitCast(d32, hn::Add(hn::And(bytes, hn::Set(d16, uint16_t{0xFF})),
                                 hn::ShiftRight<8>(bytes)));
    return hn::Add(hn::And(halves, hn::Set(d32, 0xFFFFu)),
                   hn::ShiftRight<16>(halves));
  }

 private:
  alignas(16) static constexpr uint8_t kNibbleOnes[16] = {
      0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};
  using D8 = hn::Repartition<uint8_t, D32>;
  using D16 = hn::Repartition<uint16_t, D32>;
};

#endif

// One row of a tile: its counters move on by one step. Vectors do not go into
// arrays (Highway allows no arrays of vectors everywhere), so they have names.
template <class Op, int kVectors>
HWY_INLINE HWY_ATTR void CountRow(const BitCounts& counter, const uint8_t* row,
                                  V32 w0, V32 w1, V32 w2, V32 w3, V32& c0,
                                  V32& c1, V32& c2, V32& c3) {
  uint32_t bits;
  std::memcpy(&bits, row, sizeof(bits));
  const V32 a = hn::Set(D32(), bits);
  c0 = counter.Add(Op::Combine(a, w0), c0);
  if constexpr (kVectors > 1) c1 = counter.Add(Op::Combine(a, w1), c1);
  if constexpr (kVectors > 2) c2 = counter.Add(Op::Combine(a, w2), c2);
  if constexpr (kVectors > 3) c3 = counter.Add(Op::Combine(a, w3), c3);
}

// Moves a row's counters to memory: adds them there, or (kFirst) stores them.
template <int kVectors, bool kFirst>
HWY_INLINE HWY_ATTR void FlushRow(V32 c0, V32 c1, V32 c2, V32 c3,
                                  uint32_t* HWY_RESTRICT counts) {
  const D32 d;
  const size_t lanes = hn::Lanes(d);
  const auto flush = [&](V32 c, uint32_t* to) HWY_ATTR {
    const V32 ones = BitCounts::ToLanes(c);
    hn::StoreU(kFirst ? ones : hn::Add(hn::LoadU(d, to), ones), d, to);
  };
  flush(c0, counts);
  if constexpr (kVectors > 1) flush(c1, counts + lanes);
  if constexpr (kVectors > 2) flush(c2, counts + 2 * lanes);
  if constexpr (kVectors > 3) flush(c3, counts + 3 * lanes);
}

// CountedTile::Count over as many steps as the counters can take.
template <class Op, int kRows, int kVectors, bool kFirst>
HWY_INLINE HWY_ATTR void CountPart(const uint8_t* HWY_RESTRICT rows,
                                   int64_t row_bytes,
                                   const uint32_t* HWY_RESTRICT weights,
                                   int64_t steps,
                                   uint32_t* HWY_RESTRICT counts) {
  static_assert(kRows <= 4 && kVectors <= 4);
  const D32 d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  const BitCounts counter;
  const V32 zero = hn::Zero(d);
  const uint8_t* a0 = rows;
  const uint8_t* a1 = kRows > 1 ? rows + row_bytes : rows;
  const uint8_t* a2 = kRows > 2 ? rows + 2 * row_bytes : rows;
  const uint8_t* a3 = kRows > 3 ? rows + 3 * row_bytes : rows;
  V32 c00 = zero, c01 = zero, c02 = zero, c03 = zero;
  V32 c10 = zero, c11 = zero, c12 = zero, c13 = zero;
  V32 c20 = zero, c21 = zero, c22 = zero, c23 = zero;
  V32 c30 = zero, c31 = zero, c32 = zero, c33 = zero;
  for (int64_t step = 0; step < steps; ++step) {
    const V32 w0 = hn::LoadU(d, weights);
    const V32 w1 = kVectors > 1 ? hn::LoadU(d, weights + lanes) : w0;
    const V32 w2 = kVectors > 2 ? hn::LoadU(d, weights + 2 * lanes) : w0;
    const V32 w3 = kVectors > 3 ? hn::LoadU(d, weights + 3 * lanes) : w0;
    weights += kVectors * lanes;
    const auto count_row = [&](const uint8_t* row, V32& c0, V32& c1, V32& c2,
                               V32& c3) HWY_ATTR {
      CountRow<Op, kVectors>(counter, row + step * int64_t{sizeof(uint32_t)},
                             w0, w1, w2, w3, c0, c1, c2, c3);
    };
    count_row(a0, c00, c01, c02, c03);
    if constexpr (kRows > 1) count_row(a1, c10, c11, c12, c13);
    if constexpr (kRows > 2) count_row(a2, c20, c21, c22, c23);
    if constexpr (kRows > 3) count_row(a3, c30, c31, c32, c33);
  }
  const auto flush = [&](V32 c0, V32 c1, V32 c2, V32 c3) HWY_ATTR {
    FlushRow<kVectors, kFirst>(c0, c1, c2, c3, counts);
    counts += kVectors * lanes;
  };
  flush(c00, c01, c02, c03);
  if constexpr (kRows > 1) flush(c10, c11, c12, c13);
  if constexpr (kRows > 2) flush(c20, c21, c22, c23);
  if constexpr (kRows > 3) flush(c30, c31, c32, c33);
}

// A tile of rows x vectors of channels, which are one block of the weights.
template <int kVectorsOfTile>
struct CountedTile {
  static constexpr int kTileBlocks = 1;
  static constexpr int kVectors = kVectorsOfTile;

  // counts[row][vector][lane] = ones of (row OP weights of the channel).
  // rows: the tile's first row, others `row_bytes` apart.
  template <class Op, int kRows>
  static HWY_INLINE HWY_ATTR void Count(const uint8_t* rows, int64_t row_bytes,
                                        const uint32_t* weights, int64_t steps,
                                        uint32_t* counts) {
    int64_t part = HWY_MIN(steps, BitCounts::kMaxSteps);
    CountPart<Op, kRows, kVectors, true>(rows, row_bytes, weights, part,
                                         counts);
    for (int64_t done = part; done < steps; done += part) {
      part = HWY_MIN(steps - done, BitCounts::kMaxSteps);
      CountPart<Op, kRows, kVectors, false>(
          rows + done * int64_t{sizeof(uint32_t)}, row_bytes,
          weights + done * kVectors * int64_t(hn::Lanes(D32())), part, counts);
    }
  }
};

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
