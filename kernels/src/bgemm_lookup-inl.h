// The innermost loop of a binary product on x86 without vector popcount: counts
// ones by looking them up, with output channels in the bytes of a vector, a
// piece of 4 bits of K in each byte, and two rows at a time.
//
// The 4 bits of both rows select one of 256 constant tables: for every w, "ones
// of (bits of the first row OP w) plus 16 times those of the second row". One
// byte shuffle looks up the piece of as many channels as a vector has bytes:
// no combining, masking or shifting, for all of it is in the tables. Three
// pieces fit into the two halves of a byte; then 4 instructions add them to
// counters of bytes. That makes 3 instructions for 2 x 4 multiply-adds a byte,
// where looking up for one row at a time takes 4.
//
// Rows therefore come in pairs, as offsets of tables, 16 bits for each piece
// (PreparePair makes them), and weights as one byte for each piece and channel
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
using V16 = hn::Vec<D16>;

inline constexpr int64_t kPieceBits = 4;
inline constexpr int64_t kStepPieces = kStepBits / kPieceBits;

inline constexpr int64_t kPairStepBytes = kStepPieces * sizeof(uint16_t);

// [bits of the second row][of the first][of the weight]
using LookUpTables = std::array<std::array<uint8_t, 16>, 256>;
template <class Op>
constexpr LookUpTables MakeLookUpTables() {
  LookUpTables tables{};
  const auto ones = [](unsigned a, unsigned w) {
    return unsigned(std::popcount(std::is_same_v<Op, XorBits> ? a ^ w : a & w));
  };
  for (unsigned pair = 0; pair < 256; ++pair) {
    for (unsigned w = 0; w < 16; ++w) {
      tables[pair][w] = uint8_t(ones(pair % 16, w) + 16 * ones(pair / 16, w));
    }
  }
  return tables;
}
template <class Op>
alignas(64) inline constexpr LookUpTables kLookUpTables =
    MakeLookUpTables<Op>();

// Turns bits of two rows into offsets of tables, kPairStepBytes a step.
HWY_INLINE HWY_ATTR void PreparePair(const uint8_t* HWY_RESTRICT first,
                                     const uint8_t* HWY_RESTRICT second,
                                     int64_t steps,
                                     uint8_t* HWY_RESTRICT offsets) {
  const auto prepare = [&](auto d16) HWY_ATTR {
    const hn::Rebind<uint8_t, decltype(d16)> d8;
    const hn::Repartition<uint64_t, decltype(d16)> d64;
    const hn::Repartition<uint8_t, decltype(d16)> d_bytes;
    const int64_t bytes = int64_t(hn::Lanes(d16));
    const auto low = hn::Set(d16, uint16_t{0x0F});
    const auto high = hn::Set(d16, uint16_t{0xF0});
    for (; steps >= bytes / kStepBytes; steps -= bytes / kStepBytes) {
      const auto a = hn::PromoteTo(d16, hn::LoadU(d8, first));
      const auto b = hn::PromoteTo(d16, hn::LoadU(d8, second));
      const auto lows = hn::Or(hn::ShiftLeft<4>(hn::And(a, low)),
                               hn::ShiftLeft<8>(hn::And(b, low)));
      const auto highs =
          hn::Or(hn::And(a, high), hn::ShiftLeft<4>(hn::And(b, high)));
      // The low halves of a step, then its high ones.
      const auto even =
          hn::BitCast(d_bytes, hn::InterleaveLower(d64, hn::BitCast(d64, lows),
                                                   hn::BitCast(d64, highs)));
      const auto odd =
          hn::BitCast(d_bytes, hn::InterleaveUpper(d64, hn::BitCast(d64, lows),
                                                   hn::BitCast(d64, highs)));
      if constexpr (hn::MaxLanes(decltype(d16)()) == 8) {
        hn::StoreU(even, d_bytes, offsets);
        hn::StoreU(odd, d_bytes, offsets + 16);
      } else {
        hn::StoreU(hn::ConcatLowerLower(d_bytes, odd, even), d_bytes, offsets);
        hn::StoreU(hn::ConcatUpperUpper(d_bytes, odd, even), d_bytes,
                   offsets + 32);
      }
      first += bytes;
      second += bytes;
      offsets += 2 * sizeof(uint16_t) * size_t(bytes);
    }
  };
  prepare(hn::CappedTag<uint16_t, 16>());
  prepare(hn::CappedTag<uint16_t, 8>());
  if (steps == 0) return;
  for (int64_t i = 0; i < kStepBytes; ++i) {
    const uint32_t a = first[i], b = second[i];
    const uint16_t low = uint16_t((a & 0x0F) << 4 | (b & 0x0F) << 8);
    const uint16_t high = uint16_t((a & 0xF0) | (b & 0xF0) << 4);
    std::memcpy(offsets + i * 2, &low, sizeof(low));
    std::memcpy(offsets + (kStepBytes + i) * 2, &high, sizeof(high));
  }
}

// Counts of two rows: of both as one number, the ones of the first plus 16
// times those of the second, modulo 256; and of the second.
struct PairCounts {
  V8 both, second;
};

// Keeps an addition where it is: GCC would join those of several pieces into
// trees, and spill the looked-up values until it adds them.
HWY_INLINE HWY_ATTR void Pin(V8& v) {
#if HWY_TARGET == HWY_AVX3
  asm("" : "+v"(v.raw));
#else
  asm("" : "+x"(v.raw));
#endif
}

// Adds the ones of up to three pieces, looked up and summed, to the counts.
HWY_INLINE HWY_ATTR void AddPieces(V8 sum, PairCounts& counts) {
  const D8 d;
  const D16 d16;
  const V8 second =
      hn::And(hn::BitCast(d, hn::ShiftRight<4>(hn::BitCast(d16, sum))),
              hn::Set(d, uint8_t{0x0F}));
  counts.both = hn::Add(counts.both, sum);
  counts.second = hn::Add(counts.second, second);
  Pin(counts.both);
  Pin(counts.second);
}

// A tile of rows x blocks of channels, a block being a vector of bytes. The
// count of byte i of the 32-bit lane l belongs to lane l of the block's i-th
// vector of 32-bit counts, so that they come apart by masks and shifts.
template <class Op, int kRows, int kBlocks>
class LookUpTile {
 public:
  // `pairs`: the offsets of the tile's rows, `pair_bytes` from pair to pair.
  HWY_INLINE HWY_ATTR LookUpTile(const uint8_t* pairs, int64_t pair_bytes,
                                 const uint32_t* weights, int64_t block_bytes,
                                 const int32_t* starts)
      : pairs_(pairs),
        pair_bytes_(pair_bytes),
        weights_(reinterpret_cast<const uint8_t*>(weights)),
        block_bytes_(block_bytes),
        starts_(starts) {}

  // Calls put_tile for one block of 4 vectors after the other, as CountTile.
  template <class Put>
  HWY_INLINE HWY_ATTR void Run(const BgemmSpan& span, const Put& put_tile) {
    Count(span);
    HWY_UNROLL(1)  // or GCC moves arrays into registers that it spills
    for (int block = 0; block < kBlocks; ++block) {
      put_tile(block, [&](const auto& put_row) BQE_INLINE_LAMBDA {
        HWY_UNROLL(1)
        for (int row = 0; row < kRows; ++row) FinishRow(block, row, put_row);
      });
    }
  }

 private:
  static constexpr int kPairs = (kRows + 1) / 2;
  static constexpr int kBytes = int(HWY_LANES(uint8_t));
  static constexpr int kLanes = kBytes / 4;
  // Steps that a count of 8 and of 16 bits can take.
  static constexpr int64_t kByteSteps = UINT8_MAX / kStepBits;
  static constexpr int64_t kHalfSteps =
      UINT16_MAX / kStepBits / kByteSteps * kByteSteps;

  HWY_INLINE HWY_ATTR void Count(const BgemmSpan& span) {
    static_assert(kPairs <= 2 && kBlocks <= 2);
    const V8 zero = hn::Zero(D8());
    PairCounts c00{zero, zero}, c01 = c00, c10 = c00, c11 = c00;
    const auto flush = [&]() BQE_INLINE_LAMBDA {
      AddToHalves(0, 0, c00);
      if constexpr (kBlocks > 1) AddToHalves(0, 1, c01);
      if constexpr (kPairs > 1) AddToHalves(1, 0, c10);
      if constexpr (kPairs > 1 && kBlocks > 1) AddToHalves(1, 1, c11);
      halved_ = true;
    };
    const uint8_t* row = pairs_;
    int64_t room = kByteSteps, half_room = kHalfSteps;
    for (const BgemmRun* run = span.runs; run < span.runs + span.num_runs;
         ++run) {
      const uint8_t* weights = weights_ + run->step * kStepPieces * kBytes;
      for (int64_t left = run->steps; left > 0;) {
        const int64_t steps = HWY_MIN(left, room);
        for (int64_t i = 0; i < steps; ++i) {
          CountStep(row, weights, c00, c01);
          if constexpr (kPairs > 1) {
            // Or GCC keeps the weights of a step for both, in registers that
            // it does not have.
            asm("" : "+r"(weights));
            CountStep(row + pair_bytes_, weights, c10, c11);
          }
          row += kPairStepBytes;
          weights += kStepPieces * kBytes;
        }
        left -= steps;
        room -= steps;
        if (room > 0) continue;
        flush();
        room = kByteSteps;
        half_room -= kByteSteps;
        if (half_room > 0) continue;
        SpillHalves();
        half_room = kHalfSteps;
      }
    }
    flush();
  }

  // One step of a pair.
  HWY_INLINE HWY_ATTR void CountStep(const uint8_t* row, const uint8_t* weights,
                                     PairCounts& c0, PairCounts& c1) const {
    CountPieces<0, 3>(row, weights, c0, c1);
    CountPieces<3, 6>(row, weights, c0, c1);
    CountPieces<6, 8>(row, weights, c0, c1);
  }

  template <int kBegin, int kEnd>
  HWY_INLINE HWY_ATTR void CountPieces(const uint8_t* row,
                                       const uint8_t* weights, PairCounts& c0,
                                       PairCounts& c1) const {
    const D8 d;
    V8 sum0 = hn::Zero(d), sum1 = sum0;
    HWY_UNROLL(3)
    for (int i = kBegin; i < kEnd; ++i) {
      uint16_t offset;
      std::memcpy(&offset, row + i * sizeof(offset), sizeof(offset));
      const V8 table =
          hn::LoadDup128(d, kLookUpTables<Op>.front().data() + offset);
      const auto look_up = [&](int block, V8& sum) BQE_INLINE_LAMBDA {
        const V8 w = hn::Load(d, weights + block * block_bytes_ + i * kBytes);
        const V8 ones = hn::TableLookupBytes(table, w);
        sum = i == kBegin ? ones : hn::Add(sum, ones);
        Pin(sum);
      };
      look_up(0, sum0);
      if constexpr (kBlocks > 1) look_up(1, sum1);
    }
    AddPieces(sum0, c0);
    if constexpr (kBlocks > 1) AddPieces(sum1, c1);
  }

  // Moves counts of bytes to counts of 16 bits in memory: those of the sums of
  // both bytes of a lane as one number, modulo 2^16, then of the odd bytes.
  HWY_INLINE HWY_ATTR void AddToHalves(int pair, int block,
                                       PairCounts& counts) {
    const D8 d;
    const D16 d16;
    const auto add = [&](V8 bytes, int row) BQE_INLINE_LAMBDA {
      uint16_t* to = halves_ + (block * kRows + row) * kBytes;
      const V16 ones = hn::BitCast(d16, bytes);
      const V16 odd = hn::ShiftRight<8>(ones);
      if (halved_) {
        hn::Store(hn::Add(ones, hn::Load(d16, to)), d16, to);
        hn::Store(hn::Add(odd, hn::Load(d16, to + kBytes / 2)), d16,
                  to + kBytes / 2);
      } else {
        hn::Store(ones, d16, to);
        hn::Store(odd, d16, to + kBytes / 2);
      }
    };
    add(hn::Sub(counts.both, hn::ShiftLeft<4>(counts.second)), 2 * pair);
    if (2 * pair + 1 < kRows) add(counts.second, 2 * pair + 1);
    counts.both = counts.second = hn::Zero(d);
  }

  HWY_INLINE HWY_ATTR void HalvesToLanes(const uint16_t* halves, V32& c0,
                                         V32& c1, V32& c2, V32& c3) const {
    const D16 d16;
    const D32 d;
    const V16 odd_halves = hn::Load(d16, halves + kBytes / 2);
    const V32 even = hn::BitCast(
        d, hn::Sub(hn::Load(d16, halves), hn::ShiftLeft<8>(odd_halves)));
    const V32 odd = hn::BitCast(d, odd_halves);
    const V32 mask = hn::Set(d, 0xFFFFu);
    c0 = hn::And(even, mask);
    c1 = hn::And(odd, mask);
    c2 = hn::ShiftRight<16>(even);
    c3 = hn::ShiftRight<16>(odd);
  }

  // Counts of 16 bits that are full move to counts of 32.
  HWY_INLINE HWY_ATTR void SpillHalves() {
    for (int i = 0; i < kBlocks * kRows; ++i) {
      const D32 d;
      V32 c0, c1, c2, c3;
      HalvesToLanes(halves_ + i * kBytes, c0, c1, c2, c3);
      uint32_t* to = counts_ + i * kBytes;
      const auto spill = [&](V32 c) BQE_INLINE_LAMBDA {
        hn::Store(spilled_ ? hn::Add(hn::Load(d, to), c) : c, d, to);
        to += kLanes;
      };
      spill(c0), spill(c1), spill(c2), spill(c3);
    }
    spilled_ = true;
    halved_ = false;
  }

  template <class PutRow>
  HWY_INLINE HWY_ATTR void FinishRow(int block, int row,
                                     const PutRow& put_row) const {
    const int64_t at = (block * kRows + row) * kBytes;
    V32 c0, c1, c2, c3;
    HalvesToLanes(halves_ + at, c0, c1, c2, c3);
    const auto total = [&](V32 ones, int vector) BQE_INLINE_LAMBDA {
      const D32 d;
      const hn::RebindToSigned<D32> di;
      if (spilled_) {
        ones = hn::Add(ones, hn::Load(d, counts_ + at + vector * kLanes));
      }
      const int32_t* starts = starts_ + block * kBytes + vector * kLanes;
      return Op::Accumulate(hn::BitCast(d, hn::LoadU(di, starts)), ones);
    };
    put_row(row, total(c0, 0), total(c1, 1), total(c2, 2), total(c3, 3));
  }

  const uint8_t* pairs_;
  int64_t pair_bytes_;
  const uint8_t* weights_;
  int64_t block_bytes_;
  const int32_t* starts_;
  bool halved_ = false, spilled_ = false;
  alignas(64) uint16_t halves_[kBlocks * kRows * kBytes];
  alignas(64) uint32_t counts_[kBlocks * kRows * kBytes];
};

}  // namespace
#endif  // BQE_KERNEL_TARGET && BQE_LOOK_UP
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
