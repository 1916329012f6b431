// The innermost loop of a binary product of one row, where counting ones takes
// many instructions: carry-save adders (Harley and Seal) add 8 steps before
// anything is counted.
//
// A single row meets every weight once, so the weights should stream as fast as
// memory delivers them, but looking up the ones of each vector takes 7
// instructions. A full adder makes two vectors of bits out of three: for each
// bit their sum modulo 2, and the carry. Sums stay, carries of the same weight
// are added in the same way, and of 8 steps only one vector of weight 8 is left
// to be counted. With AVX-512 an adder is 2 instructions, else 5, and there are
// 7 of them for 8 steps.

// Per-target include guard.
#if defined(KERNELS_SRC_BGEMM_CARRY_SAVE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_BGEMM_CARRY_SAVE_INL_H_
#undef KERNELS_SRC_BGEMM_CARRY_SAVE_INL_H_
#else
#define KERNELS_SRC_BGEMM_CARRY_SAVE_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "bgemm_tile-inl.h"
#include "kernels/bgemm.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET && BQE_LOOK_UP
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Adds x and y to sum, bit by bit, and returns the carries.
HWY_INLINE HWY_ATTR V32 AddBits(V32& sum, V32 x, V32 y) {
#if HWY_TARGET == HWY_AVX3
  const V32 carry{_mm512_ternarylogic_epi32(sum.raw, x.raw, y.raw, 0xE8)};
  sum = hn::Xor3(sum, x, y);
#else
  const V32 half = hn::Xor(sum, x);
  const V32 carry = hn::Or(hn::And(sum, x), hn::And(half, y));
  sum = hn::Xor(half, y);
#endif
  return carry;
}

// Ones of each lane of a vector of channels: bits of weight 1, 2 and 4, and
// counts of bytes, of ones (`singles`) and of bits of weight 8.
struct CarrySums {
  V32 ones, twos, fours;
  V32 singles, eights;
};

// A tile of one row x vectors of channels; used as CountTile.
template <class Op, int kVectors>
class CarrySaveTile {
 public:
  HWY_INLINE HWY_ATTR CarrySaveTile(const uint8_t* activations,
                                    const int64_t* row_offsets,
                                    const uint32_t* weights,
                                    const int32_t* starts)
      : row_(activations + row_offsets[0]),
        weights_(weights),
        starts_(starts) {}

  template <class Put>
  HWY_INLINE HWY_ATTR void Run(const BgemmSpan& span, const Put& put_tile) {
    static_assert(kVectors <= 4);
    const V32 zero = hn::Zero(D32());
    CarrySums s0{zero, zero, zero, zero, zero}, s1 = s0, s2 = s0, s3 = s0;
    const auto for_each_vector = [&](const auto& body) BQE_INLINE_LAMBDA {
      body(0, s0);
      if constexpr (kVectors > 1) body(1, s1);
      if constexpr (kVectors > 2) body(2, s2);
      if constexpr (kVectors > 3) body(3, s3);
    };
    int64_t room = BitCounts<Op>::kMaxSteps;
    const auto take_room = [&]() BQE_INLINE_LAMBDA {
      if (--room > 0) return;
      for_each_vector([&](int vector, CarrySums& s)
                          BQE_INLINE_LAMBDA { Spill(vector, s); });
      spilled_ = true;
      room = BitCounts<Op>::kMaxSteps;
    };
    for (const BgemmRun* run = span.runs; run < span.runs + span.num_runs;
         ++run) {
      const uint8_t* row = row_ + run->offset;
      const uint32_t* weights = weights_ + run->step * kStepWords;
      int64_t left = run->steps;
      for (; left >= kGroup; left -= kGroup) {
        for_each_vector([&](int vector, CarrySums& s) BQE_INLINE_LAMBDA {
          CountGroup(row, weights + vector * kLanes, s);
        });
        PrefetchWeights<kGroup * kStepWords>(weights);
        row += kGroup * kStepBytes;
        weights += kGroup * kStepWords;
        take_room();
      }
      for (; left > 0; --left) {
        for_each_vector([&](int vector, CarrySums& s) BQE_INLINE_LAMBDA {
          const V32 bits = Bits(row, weights + vector * kLanes, 0);
          s.singles = BitCounts<Op>().Add(bits, s.singles);
        });
        row += kStepBytes;
        weights += kStepWords;
        take_room();
      }
    }

    put_tile([&](const auto& put_row) BQE_INLINE_LAMBDA {
      put_row(0, Total<0>(s0), Total<1>(s1), Total<2>(s2), Total<3>(s3));
    });
  }

 private:
  static constexpr int kLanes = int(HWY_LANES(uint32_t));
  static constexpr int kStepWords = kVectors * kLanes;
  static constexpr int kGroup = 8;

  // The bits of a step to be counted, `step` steps on.
  HWY_INLINE HWY_ATTR V32 Bits(const uint8_t* row, const uint32_t* weights,
                               int step) const {
    uint32_t bits;
    std::memcpy(&bits, row + step * kStepBytes, sizeof(bits));
    return Op::Combine(hn::Set(D32(), bits),
                       hn::LoadU(D32(), weights + step * kStepWords));
  }

  HWY_INLINE HWY_ATTR void CountGroup(const uint8_t* row,
                                      const uint32_t* weights,
                                      CarrySums& s) const {
    const auto twos = [&](int step) BQE_INLINE_LAMBDA {
      const V32 x = Bits(row, weights, step);
      return AddBits(s.ones, x, Bits(row, weights, step + 1));
    };
    const auto fours = [&](int step) BQE_INLINE_LAMBDA {
      const V32 x = twos(step);
      return AddBits(s.twos, x, twos(step + 2));
    };
    const V32 x = fours(0);
    const V32 eights = AddBits(s.fours, x, fours(4));
    s.eights = BitCounts<Op>().Add(eights, s.eights);
  }

  // 32-bit counts of the counts of bytes.
  static HWY_INLINE HWY_ATTR V32 Counted(const CarrySums& s) {
    return hn::Add(BitCounts<Op>::ToLanes(s.singles),
                   hn::ShiftLeft<3>(BitCounts<Op>::ToLanes(s.eights)));
  }

  // Counters that are full move to memory.
  HWY_INLINE HWY_ATTR void Spill(int vector, CarrySums& s) {
    const D32 d;
    uint32_t* to = counts_ + vector * kLanes;
    const V32 ones = Counted(s);
    hn::Store(spilled_ ? hn::Add(hn::Load(d, to), ones) : ones, d, to);
    s.singles = s.eights = hn::Zero(d);
  }

  template <int kVector>
  HWY_INLINE HWY_ATTR V32 Total(const CarrySums& s) const {
    const D32 d;
    if constexpr (kVector >= kVectors) return hn::Zero(d);
    V32 ones = Counted(s);
    if (spilled_) ones = hn::Add(ones, hn::Load(d, counts_ + kVector * kLanes));
    // At most 8 * (4 + 2 + 1) for a byte.
    const BitCounts<Op> counter;
    const hn::Repartition<uint8_t, D32> d8;
    const auto twice = [&](V32 bytes) BQE_INLINE_LAMBDA {
      return hn::BitCast(
          d, hn::Add(hn::BitCast(d8, bytes), hn::BitCast(d8, bytes)));
    };
    V32 bytes = counter.Add(s.fours, hn::Zero(d));
    bytes = counter.Add(s.twos, twice(bytes));
    bytes = counter.Add(s.ones, twice(bytes));
    ones = hn::Add(ones, BitCounts<Op>::ToLanes(bytes));
    const hn::RebindToSigned<D32> di;
    const auto start = hn::LoadU(di, starts_ + kVector * kLanes);
    return Op::Accumulate(hn::BitCast(d, start), ones);
  }

  const uint8_t* row_;
  const uint32_t* weights_;
  const int32_t* starts_;
  bool spilled_ = false;
  alignas(64) uint32_t counts_[kVectors * kLanes];
};

}  // namespace
#endif  // BQE_KERNEL_TARGET && BQE_LOOK_UP
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
