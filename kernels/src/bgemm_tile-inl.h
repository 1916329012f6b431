// The innermost loop of a binary product that counts bits: for a tile of rows x
// vectors of channels, the ones of (row OP weights) over all steps of K.
//
// To give a target another inner loop, change what this file defines for it:
// the counters (BitCounts), the shape of the tile, and CountTile; or whether it
// looks ones up instead, BQE_LOOK_UP.

// Per-target include guard.
#if defined(KERNELS_SRC_BGEMM_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_BGEMM_TILE_INL_H_
#undef KERNELS_SRC_BGEMM_TILE_INL_H_
#else
#define KERNELS_SRC_BGEMM_TILE_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "kernels/bgemm.h"

// For lambdas that take or return vectors in registers. GCC's inliner gives up
// on several large ones in a function.
#undef BQE_INLINE_LAMBDA
#define BQE_INLINE_LAMBDA HWY_ATTR __attribute__((always_inline))

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

// What is read through the result is read here, not kept in a register from
// before a loop that needs all of them. (GCC keeps pointers in vector registers
// then, and moving them back waits for the ports that count.)
template <class T>
HWY_INLINE const T* Reload(const T* from) {
  asm("" : "+r"(from));
  return from;
}

// A single row reads weights as fast as it can, once: asks for a stretch of
// them before it needs it. With AVX-512 without popcount that was slower, with
// NEON it is not measured (figures: bench/README.md).
template <int kWords>
HWY_INLINE void PrefetchWeights([[maybe_unused]] const uint32_t* weights) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_AVX3
  constexpr int kAheadBytes = 2048, kLineBytes = 64;
  constexpr int kWordBytes = int(sizeof(uint32_t));
  for (int at = 0; at < kWords * kWordBytes; at += kLineBytes) {
    hwy::Prefetch(weights + (kAheadBytes + at) / kWordBytes);
  }
#endif
}

using D32 = hn::ScalableTag<uint32_t>;
using V32 = hn::Vec<D32>;

// What a tile does with a word of a row and one of a weight, and what its count
// of ones does to an accumulator.
struct XorBits {
  template <class V>
  static HWY_INLINE HWY_ATTR V Combine(V a, V w) {
    return hn::Xor(a, w);
  }
  static HWY_INLINE HWY_ATTR V32 Accumulate(V32 start, V32 ones) {
    return hn::Sub(start, ones);
  }
};
struct AndBits {
  template <class V>
  static HWY_INLINE HWY_ATTR V Combine(V a, V w) {
    return hn::And(a, w);
  }
  static HWY_INLINE HWY_ATTR V32 Accumulate(V32 start, V32 ones) {
    return hn::Add(start, ones);
  }
};

// Counters of ones. Add(bits, counts) counts the ones of each 32-bit lane of
// `bits`, in whatever form, at most kMaxSteps times. Those that can go on for
// ever begin as accumulators; ToLanes makes one number for each 32-bit lane of
// the others.
#if HWY_TARGET == HWY_AVX3_DL

// vpopcntd: combine, count and add are 3 instructions on 2 ports. Counters are
// the accumulators themselves.
template <class Op>
struct BitCounts {
  static constexpr int64_t kMaxSteps = INT64_MAX;
  static HWY_INLINE HWY_ATTR V32 Begin(V32 start) { return start; }
  HWY_INLINE HWY_ATTR V32 Add(V32 bits, V32 counts) const {
    return Op::Accumulate(counts, hn::PopulationCount(bits));
  }
};

#else

// Counts of bytes, at most 8 a step. NEON has an instruction for them; on x86
// they are looked up, one nibble at a time.
template <class Op>
class BitCounts {
 public:
  static constexpr int64_t kMaxSteps = 255 / 8;

  static HWY_INLINE HWY_ATTR V32 Begin(V32 /*start*/) {
    return hn::Zero(D32());
  }

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
HWY_INLINE HWY_ATTR void CountRow(const BitCounts<Op>& counter,
                                  const uint8_t* row, V32 w0, V32 w1, V32 w2,
                                  V32 w3, V32& c0, V32& c1, V32& c2, V32& c3) {
  uint32_t bits;
  std::memcpy(&bits, row, sizeof(bits));
  const V32 a = hn::Set(D32(), bits);
  c0 = counter.Add(Op::Combine(a, w0), c0);
  if constexpr (kVectors > 1) c1 = counter.Add(Op::Combine(a, w1), c1);
  if constexpr (kVectors > 2) c2 = counter.Add(Op::Combine(a, w2), c2);
  if constexpr (kVectors > 3) c3 = counter.Add(Op::Combine(a, w3), c3);
}

// A tile of rows x vectors of channels, which are one block of the weights.
template <class Op, int kRows, int kVectors>
class CountTile {
 public:
  // Row i begins at activations + row_offsets[i]. `starts` has the channels'
  // accumulators before anything is counted.
  HWY_INLINE HWY_ATTR CountTile(const uint8_t* activations,
                                const int64_t* row_offsets,
                                const uint32_t* weights, const int32_t* starts)
      : activations_(activations),
        row_offsets_(row_offsets),
        weights_(weights),
        starts_(starts) {}

  // Calls put(row, h0, h1, h2, h3) with the accumulators of each row, inlined
  // for each, where they are still in registers.
  template <class Put>
  HWY_INLINE HWY_ATTR void Run(const BgemmSpan& span, const Put& put_tile) {
    static_assert(kRows <= 4 && kVectors <= 4);
    const BitCounts<Op> counter;
    const V32 b0 = Begin<0>(), b1 = Begin<1>();
    const V32 b2 = Begin<2>(), b3 = Begin<3>();
    V32 c00 = b0, c01 = b1, c02 = b2, c03 = b3;
    V32 c10 = b0, c11 = b1, c12 = b2, c13 = b3;
    V32 c20 = b0, c21 = b1, c22 = b2, c23 = b3;
    V32 c30 = b0, c31 = b1, c32 = b2, c33 = b3;
    const D32 d;
    const int64_t lanes = int64_t(hn::Lanes(d));
    int64_t room = BitCounts<Op>::kMaxSteps;
    for (const BgemmRun* run = span.runs; run < span.runs + span.num_runs;
         ++run) {
      const uint8_t* const from = activations_ + run->offset;
      const int64_t* const offsets = Reload(row_offsets_);
      const uint8_t* a0 = from + offsets[0];
      const uint8_t* a1 = kRows > 1 ? from + offsets[1] : a0;
      const uint8_t* a2 = kRows > 2 ? from + offsets[2] : a0;
      const uint8_t* a3 = kRows > 3 ? from + offsets[3] : a0;
      const uint32_t* weights = weights_ + run->step * kVectors * lanes;
      for (int64_t left = run->steps; left > 0;) {
        const int64_t steps = HWY_MIN(left, room);
        for (int64_t i = 0; i < steps; ++i) {
          const V32 w0 = hn::LoadU(d, weights);
          const V32 w1 = kVectors > 1 ? hn::LoadU(d, weights + lanes) : w0;
          const V32 w2 = kVectors > 2 ? hn::LoadU(d, weights + 2 * lanes) : w0;
          const V32 w3 = kVectors > 3 ? hn::LoadU(d, weights + 3 * lanes) : w0;
          weights += kVectors * lanes;
          if constexpr (kRows == 1) {
            PrefetchWeights<kVectors * kLanes>(weights);
          }
          const auto count_row = [&](const uint8_t*& row, V32& c0, V32& c1,
                                     V32& c2, V32& c3) BQE_INLINE_LAMBDA {
            CountRow<Op, kVectors>(counter, row + i * kStepBytes, w0, w1, w2,
                                   w3, c0, c1, c2, c3);
          };
          count_row(a0, c00, c01, c02, c03);
          if constexpr (kRows > 1) count_row(a1, c10, c11, c12, c13);
          if constexpr (kRows > 2) count_row(a2, c20, c21, c22, c23);
          if constexpr (kRows > 3) count_row(a3, c30, c31, c32, c33);
        }
        left -= steps;
        if constexpr (kSpills) {
          a0 += steps * kStepBytes, a1 += steps * kStepBytes;
          a2 += steps * kStepBytes, a3 += steps * kStepBytes;
          room -= steps;
          if (room > 0) continue;
          Spill(0, c00, c01, c02, c03);
          if constexpr (kRows > 1) Spill(1, c10, c11, c12, c13);
          if constexpr (kRows > 2) Spill(2, c20, c21, c22, c23);
          if constexpr (kRows > 3) Spill(3, c30, c31, c32, c33);
          spilled_ = true;
          room = BitCounts<Op>::kMaxSteps;
        }
      }
    }

    put_tile([&](const auto& put_row) BQE_INLINE_LAMBDA {
      Finish(put_row, 0, c00, c01, c02, c03);
      if constexpr (kRows > 1) Finish(put_row, 1, c10, c11, c12, c13);
      if constexpr (kRows > 2) Finish(put_row, 2, c20, c21, c22, c23);
      if constexpr (kRows > 3) Finish(put_row, 3, c30, c31, c32, c33);
    });
  }

 private:
  static constexpr bool kSpills = BitCounts<Op>::kMaxSteps != INT64_MAX;
  static constexpr int kLanes = int(HWY_LANES(uint32_t));

  template <int kVector>
  HWY_INLINE HWY_ATTR V32 Start() const {
    if constexpr (kVector >= kVectors) return hn::Zero(D32());
    const hn::RebindToSigned<D32> di;
    return hn::BitCast(D32(), hn::LoadU(di, starts_ + kVector * kLanes));
  }

  template <int kVector>
  HWY_INLINE HWY_ATTR V32 Begin() const {
    return BitCounts<Op>::Begin(Start<kVector>());
  }

  // Counters that are full move to memory.
  HWY_INLINE HWY_ATTR void Spill(int row, V32& c0, V32& c1, V32& c2, V32& c3) {
    uint32_t* to = counts_ + row * kVectors * kLanes;
    const auto spill = [&](V32& c) BQE_INLINE_LAMBDA {
      const D32 d;
      const V32 ones = BitCounts<Op>::ToLanes(c);
      hn::Store(spilled_ ? hn::Add(hn::Load(d, to), ones) : ones, d, to);
      c = hn::Zero(d);
      to += kLanes;
    };
    spill(c0);
    if constexpr (kVectors > 1) spill(c1);
    if constexpr (kVectors > 2) spill(c2);
    if constexpr (kVectors > 3) spill(c3);
  }

  template <int kVector>
  HWY_INLINE HWY_ATTR V32 Total(int row, V32 counts) const {
    if constexpr (!kSpills || kVector >= kVectors) {
      return counts;
    } else {
      V32 ones = BitCounts<Op>::ToLanes(counts);
      if (spilled_) {
        const uint32_t* from = counts_ + (row * kVectors + kVector) * kLanes;
        ones = hn::Add(ones, hn::Load(D32(), from));
      }
      return Op::Accumulate(Start<kVector>(), ones);
    }
  }

  template <class PutRow>
  HWY_INLINE HWY_ATTR void Finish(const PutRow& put_row, int row, V32 c0,
                                  V32 c1, V32 c2, V32 c3) const {
    put_row(row, Total<0>(row, c0), Total<1>(row, c1), Total<2>(row, c2),
            Total<3>(row, c3));
  }

  const uint8_t* activations_;
  const int64_t* row_offsets_;
  const uint32_t* weights_;
  const int32_t* starts_;
  bool spilled_ = false;
  alignas(64) uint32_t counts_[kSpills ? kRows * kVectors * kLanes : 1];
};

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
