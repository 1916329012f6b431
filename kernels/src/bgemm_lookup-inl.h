// The innermost loop of a binary product on x86 without vector popcount: counts
// ones by looking them up, with output channels in the bytes of a vector and a
// piece of 4 bits of K in each byte.
//
// The 4 bits of a row select one of 16 constant tables, "ones of (these bits OP
// w) for every w", and one byte shuffle looks up the piece of as many channels
// as a vector has bytes. With one addition that makes 4 multiply-adds a byte:
// no combining, masking or shifting, for all of it is in the tables.
//
// Rows therefore come as offsets of tables, one byte for each piece (LookUpRow
// makes them), and weights as one byte for each piece and channel
// (bgemm_plan.cc). A step of 32 bits is 8 pieces: the low halves of its 4
// bytes, then the high ones.

// Per-target include guard.
#if defined(KERNELS_SRC_BGEMM_LOOKUP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_BGEMM_LOOKUP_INL_H_
#undef KERNELS_SRC_BGEMM_LOOKUP_INL_H_
#else
#define KERNELS_SRC_BGEMM_LOOKUP_INL_H_
#endif

#include <hwy/highway.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "bgemm_tile-inl.h"
#include "kernels/bgemm.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET && BQE_LOOK_UP
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using D8 = hn::Repartition<uint8_t, D32>;
using D16 = hn::Repartition<uint16_t, D32>;
using V8 = hn::Vec<D8>;

inline constexpr int64_t kPieceBits = 4;
inline constexpr int64_t kStepPieces = kStepBits / kPieceBits;

// [bits of the row][bits of the weight]: ones.
using LookUpTables = std::array<std::array<uint8_t, 16>, 16>;
template <class Op>
constexpr LookUpTables MakeLookUpTables() {
  LookUpTables tables{};
  for (unsigned a = 0; a < 16; ++a) {
    for (unsigned w = 0; w < 16; ++w) {
      const unsigned bits = std::is_same_v<Op, XorBits> ? a ^ w : a & w;
      tables[a][w] = uint8_t(std::popcount(bits));
    }
  }
  return tables;
}
template <class Op>
alignas(64) inline constexpr LookUpTables kLookUpTables =
    MakeLookUpTables<Op>();

// Adds to each byte of `counts` the ones of its piece. Nothing saturates, but
// by the port model such additions of 512 bits keep off the only port of an
// Intel core that shuffles (bench/README.md: a gain no larger than the spread).
// The empty asm keeps additions where they are: GCC would join those of several
// pieces into trees, and spill the looked-up values until it adds them (112 in
// place of 171 multiply-adds a cycle with AVX2).
HWY_INLINE HWY_ATTR void AddLookedUp(V8 table, V8 weights, V8& counts) {
  const V8 ones = hn::TableLookupBytes(table, weights);
#if HWY_TARGET == HWY_AVX3
  counts = hn::SaturatedAdd(counts, ones);
  asm("" : "+v"(counts.raw));
#else
  counts = hn::Add(counts, ones);
  asm("" : "+x"(counts.raw));
#endif
}

// Turns rows of bits into rows of offsets, kStepPieces bytes a step.
HWY_ATTR void LookUpRow(const uint8_t* HWY_RESTRICT bits, int64_t steps,
                        uint8_t* HWY_RESTRICT offsets) {
  const hn::Full128<uint8_t> d8;
  const hn::Full128<uint32_t> d32;
  const auto high = hn::Set(d32, 0xF0F0F0F0u);
  constexpr int64_t kSteps = 4;
  for (; steps >= kSteps; steps -= kSteps) {
    const auto four = hn::BitCast(d32, hn::LoadU(d8, bits));
    const auto lows = hn::And(hn::ShiftLeft<4>(four), high);
    const auto highs = hn::And(four, high);
    hn::StoreU(hn::BitCast(d8, hn::InterleaveLower(d32, lows, highs)), d8,
               offsets);
    hn::StoreU(hn::BitCast(d8, hn::InterleaveUpper(d32, lows, highs)), d8,
               offsets + 16);
    bits += kSteps * kStepBytes;
    offsets += kSteps * kStepPieces;
  }
  for (; steps > 0; --steps) {
    uint32_t step;
    std::memcpy(&step, bits, sizeof(step));
    const uint32_t pieces[2] = {step << 4 & 0xF0F0F0F0u, step & 0xF0F0F0F0u};
    std::memcpy(offsets, pieces, sizeof(pieces));
    bits += kStepBytes;
    offsets += kStepPieces;
  }
}

// A tile of rows x blocks of channels, a block being a vector of bytes. The
// count of byte i of the 32-bit lane l belongs to lane l of the block's i-th
// vector of 32-bit counts, so that they come apart by masks and shifts.
template <int kBlocks>
class LookUpTile {
 public:
  static constexpr int kTileBlocks = kBlocks;
  static constexpr int kVectors = 4;

  // counts[block][row][vector][lane] = ones of (row OP weights of the channel).
  template <class Op, int kRows>
  static HWY_INLINE HWY_ATTR void Count(const uint8_t* rows, int64_t row_bytes,
                                        const uint32_t* weights, int64_t steps,
                                        uint32_t* counts) {
    const uint8_t* pieces = reinterpret_cast<const uint8_t*>(weights);
    const int64_t block_bytes = steps * kStepPieces * kBytes;
    for (int64_t done = 0; done < steps;) {
      alignas(64) uint16_t halves[kBlocks * kRows * kBytes] = {};
      const int64_t end = HWY_MIN(done + kMaxHalfSteps, steps);
      for (int64_t at = done; at < end; at += kMaxByteSteps) {
        CountPart<Op, kRows>(rows + at * kStepPieces, row_bytes,
                             pieces + at * kStepPieces * kBytes, block_bytes,
                             HWY_MIN(kMaxByteSteps, end - at), halves);
      }
      HWY_UNROLL(1)  // or GCC moves the array into registers that it spills
      for (int i = 0; i < kBlocks * kRows; ++i) {
        HalvesToLanes(halves + i * kBytes, done == 0, counts + i * kBytes);
      }
      done = end;
    }
  }

 private:
  static constexpr int kBytes = int(HWY_LANES(uint8_t));
  // Steps that a count of 8 and of 16 bits can take.
  static constexpr int64_t kMaxByteSteps = UINT8_MAX / kStepBits;
  static constexpr int64_t kMaxHalfSteps = UINT16_MAX / kStepBits;

  template <class Op>
  static HWY_INLINE HWY_ATTR void CountRow(const uint8_t* offset, V8 w0, V8 w1,
                                           V8& c0, V8& c1) {
    const V8 table =
        hn::LoadDup128(D8(), kLookUpTables<Op>.front().data() + *offset);
    AddLookedUp(table, w0, c0);
    if constexpr (kBlocks > 1) AddLookedUp(table, w1, c1);
  }

  // Count over as many steps as counts of 8 bits can take, into counts of 16.
  template <class Op, int kRows>
  static HWY_INLINE HWY_ATTR void CountPart(const uint8_t* HWY_RESTRICT rows,
                                            int64_t row_bytes,
                                            const uint8_t* HWY_RESTRICT weights,
                                            int64_t block_bytes, int64_t steps,
                                            uint16_t* HWY_RESTRICT halves) {
    static_assert(kRows <= 4 && kBlocks <= 2);
    const D8 d;
    const V8 zero = hn::Zero(d);
    V8 c00 = zero, c01 = zero, c10 = zero, c11 = zero;
    V8 c20 = zero, c21 = zero, c30 = zero, c31 = zero;
    // Only two pointers move: scalar additions would take vector ports.
    for (const uint8_t* end = rows + steps * kStepPieces; rows < end;) {
      HWY_UNROLL(kStepPieces)
      for (int64_t i = 0; i < kStepPieces; ++i) {
        const V8 w0 = hn::Load(d, weights + i * kBytes);
        const V8 w1 =
            kBlocks > 1 ? hn::Load(d, weights + block_bytes + i * kBytes) : w0;
        const uint8_t* a = rows + i;
        CountRow<Op>(a, w0, w1, c00, c01);
        if (kRows > 1) CountRow<Op>(a + row_bytes, w0, w1, c10, c11);
        if (kRows > 2) CountRow<Op>(a + 2 * row_bytes, w0, w1, c20, c21);
        if (kRows > 3) CountRow<Op>(a + 3 * row_bytes, w0, w1, c30, c31);
      }
      rows += kStepPieces;
      weights += kStepPieces * kBytes;
    }
    const auto flush = [&](V8 c0, V8 c1, int row) HWY_ATTR {
      AddToHalves(c0, halves + row * kBytes);
      if (kBlocks > 1) AddToHalves(c1, halves + (kRows + row) * kBytes);
    };
    flush(c00, c01, 0);
    if (kRows > 1) flush(c10, c11, 1);
    if (kRows > 2) flush(c20, c21, 2);
    if (kRows > 3) flush(c30, c31, 3);
  }

  // Sums of both bytes as one number, modulo 2^16, then of the odd bytes.
  static HWY_INLINE HWY_ATTR void AddToHalves(V8 counts,
                                              uint16_t* HWY_RESTRICT halves) {
    const D16 d;
    const auto bytes = hn::BitCast(d, counts);
    const auto add = [&](hn::Vec<D16> ones, uint16_t* to) HWY_ATTR {
      hn::Store(hn::Add(ones, hn::Load(d, to)), d, to);
    };
    add(bytes, halves);
    add(hn::ShiftRight<8>(bytes), halves + kBytes / 2);
  }

  static HWY_INLINE HWY_ATTR void HalvesToLanes(
      const uint16_t* HWY_RESTRICT halves, bool first,
      uint32_t* HWY_RESTRICT counts) {
    const D16 d16;
    const D32 d;
    constexpr int kLanes = kBytes / 4;
    const auto odd_halves = hn::Load(d16, halves + kBytes / 2);
    const auto even = hn::BitCast(
        d, hn::Sub(hn::Load(d16, halves), hn::ShiftLeft<8>(odd_halves)));
    const auto odd = hn::BitCast(d, odd_halves);
    const auto mask = hn::Set(d, 0xFFFFu);
    const auto put = [&](V32 ones, uint32_t* to) HWY_ATTR {
      hn::Store(first ? ones : hn::Add(ones, hn::Load(d, to)), d, to);
    };
    put(hn::And(even, mask), counts);
    put(hn::And(odd, mask), counts + kLanes);
    put(hn::ShiftRight<16>(even), counts + 2 * kLanes);
    put(hn::ShiftRight<16>(odd), counts + 3 * kLanes);
  }
};

}  // namespace
#endif  // BQE_KERNEL_TARGET && BQE_LOOK_UP
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
