// From the counts of a tile to its outputs.

// Per-target include guard.
#if defined(KERNELS_SRC_BGEMM_EPILOGUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_BGEMM_EPILOGUE_INL_H_
#undef KERNELS_SRC_BGEMM_EPILOGUE_INL_H_
#else
#define KERNELS_SRC_BGEMM_EPILOGUE_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "bgemm_tile-inl.h"
#include "kernels/bgemm.h"
#include "simd_bits-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Where the outputs of one tile go. Counts and sums of a tile are
// [row][vector][lane]. Products and sums round separately: Mul and Add, never
// MulAdd.
class TileOutput {
 public:
  TileOutput(const BgemmPlan& plan, const BgemmRows& rows, int64_t first_row,
             int64_t channel)
      : plan_(plan),
        rows_(rows),
        first_row_(first_row),
        channel_(channel),
        channels_(rows.first_channel + rows.channels - channel) {}

  // One accumulator for an output: the whole epilogue of the tile.
  template <class Op, int kRows, int kVectors>
  HWY_INLINE HWY_ATTR void Finish(const uint32_t* HWY_RESTRICT counts) const {
    if (plan_.range_limit != nullptr) {
      for (int i = 0; i < kRows; ++i) {
        FinishBits<Op, kVectors>(i, counts + i * kVectors * kLanes);
      }
    } else if (plan_.count_shift == 0) {
      FinishFloats<Op, kRows, kVectors, 0>(counts);
    } else {
      FinishFloats<Op, kRows, kVectors, 1>(counts);
    }
  }

  // sums = sum_m alpha[m] * float(acc[m]), one m after the other.
  template <class Op, int kVectors>
  HWY_INLINE HWY_ATTR void AddWeightBase(int i, int64_t m,
                                         const uint32_t* HWY_RESTRICT counts,
                                         float* HWY_RESTRICT sums) const {
    const int32_t* HWY_RESTRICT offsets = Offsets(i, m);
    const float* alpha = plan_.alpha + m * plan_.channel_pitch + channel_;
    counts += i * kVectors * kLanes;
    sums += i * kVectors * kLanes;
    for (int at = 0; at < kVectors * kLanes; at += kLanes) {
      const auto dot = Dot<Op>(counts + at, offsets + at);
      const auto term =
          hn::Mul(hn::LoadU(DF(), alpha + at), hn::ConvertTo(DF(), dot));
      const auto sum =
          m == 0 ? term : hn::Add(hn::LoadU(DF(), sums + at), term);
      hn::StoreU(sum, DF(), sums + at);
    }
  }

  // totals = sum_n beta[n] * sums, one n after the other.
  template <int kVectors>
  HWY_INLINE HWY_ATTR void AddActivationBase(int i, int64_t n,
                                             const float* HWY_RESTRICT sums,
                                             float* HWY_RESTRICT totals) const {
    const auto beta = hn::Set(DF(), plan_.beta[n]);
    sums += i * kVectors * kLanes;
    totals += i * kVectors * kLanes;
    for (int at = 0; at < kVectors * kLanes; at += kLanes) {
      const auto term = hn::Mul(beta, hn::LoadU(DF(), sums + at));
      const auto total =
          n == 0 ? term : hn::Add(hn::LoadU(DF(), totals + at), term);
      hn::StoreU(total, DF(), totals + at);
    }
  }

  template <int kVectors>
  HWY_INLINE HWY_ATTR void FinishTotals(
      int i, const float* HWY_RESTRICT totals) const {
    uint64_t bits = 0;
    totals += i * kVectors * kLanes;
    for (int at = 0; at < kVectors * kLanes; at += kLanes) {
      const int64_t o = channel_ + at;
      const auto y =
          Affine(hn::LoadU(DF(), totals + at), plan_.mul + o, plan_.add + o);
      if (rows_.y != nullptr) {
        StoreFloats(Row(i), at, y);
      } else {
        const auto threshold = hn::LoadU(DF(), plan_.threshold + o);
        bits |= MaskBits(DF(), hn::Ge(y, threshold)) << at;
      }
    }
    if (rows_.y == nullptr) StoreBits<kVectors>(i, bits);
  }

 private:
  using DI = hn::RebindToSigned<D32>;
  using DF = hn::RebindToFloat<D32>;
  using VF = hn::Vec<DF>;
  static constexpr int kLanes = int(HWY_LANES(uint32_t));

  // Row `i` of the tile.
  template <class Op, int kVectors>
  HWY_INLINE HWY_ATTR void FinishBits(
      int i, const uint32_t* HWY_RESTRICT counts) const {
    const int32_t* HWY_RESTRICT offsets = Offsets(i, 0);
    const int32_t* range_offset = plan_.range_offset + channel_;
    const int32_t* range_limit = plan_.range_limit + channel_;
    uint64_t outside = 0;
    for (int at = 0; at < kVectors * kLanes; at += kLanes) {
      const auto dot = Dot<Op>(counts + at, offsets + at);
      const auto moved = hn::Add(dot, hn::LoadU(DI(), range_offset + at));
      const auto mask = hn::Gt(moved, hn::LoadU(DI(), range_limit + at));
      outside |= MaskBits(DI(), mask) << at;
    }
    StoreBits<kVectors>(i, ~outside);
  }

  // The plan's members are read before the rows: what is stored to y might
  // change them, as far as the compiler knows.
  template <class Op, int kRows, int kVectors, int kShift>
  HWY_INLINE HWY_ATTR void FinishFloats(
      const uint32_t* HWY_RESTRICT counts) const {
    const float* const mul = plan_.mul + channel_;
    const float* const add = plan_.add + channel_;
    const int32_t* row_offsets[kRows];
    for (int i = 0; i < kRows; ++i) row_offsets[i] = Offsets(i, 0);
    const int64_t y_pitch = rows_.y_pitch;
    float* y = Row(0);
    const bool whole = channels_ >= kVectors * kLanes;
    for (int i = 0; i < kRows; ++i, y += y_pitch, counts += kVectors * kLanes) {
      const int32_t* HWY_RESTRICT offsets = row_offsets[i];
      const auto output = [&](int at) HWY_ATTR {
        const auto count = hn::LoadU(D32(), counts + at);
        const auto dot =
            MoveFromOffset<Op>(hn::ShiftLeft<kShift>(count), offsets + at);
        return Affine(hn::ConvertTo(DF(), dot), mul + at, add + at);
      };
      if (whole) {
        HWY_UNROLL(4)
        for (int at = 0; at < kVectors * kLanes; at += kLanes) {
          hn::StoreU(output(at), DF(), y + at);
        }
      } else {
        for (int at = 0; at < kVectors * kLanes; at += kLanes) {
          StoreFloats(y, at, output(at));
        }
      }
    }
  }

  const int32_t* Offsets(int i, int64_t m) const {
    const int64_t of_class =
        rows_.offset_class == nullptr ? 0 : rows_.offset_class[first_row_ + i];
    return plan_.offsets +
           (of_class * plan_.weight_bases + m) * plan_.channel_pitch + channel_;
  }

  // Of the block, in row `i` of the tile.
  HWY_INLINE float* Row(int i) const {
    return rows_.y + (first_row_ + i) * rows_.y_pitch + rows_.y_channel +
           channel_;
  }

  template <class Op>
  HWY_INLINE HWY_ATTR hn::Vec<DI> Dot(const uint32_t* counts,
                                      const int32_t* offsets) const {
    const auto count = hn::LoadU(D32(), counts);
    return MoveFromOffset<Op>(hn::ShiftLeftSame(count, plan_.count_shift),
                              offsets);
  }

  template <class Op>
  static HWY_INLINE HWY_ATTR hn::Vec<DI> MoveFromOffset(
      V32 scaled_count, const int32_t* offsets) {
    const auto scaled = hn::BitCast(DI(), scaled_count);
    const auto offset = hn::LoadU(DI(), offsets);
    return std::is_same_v<Op, XorBits> ? hn::Sub(offset, scaled)
                                       : hn::Add(offset, scaled);
  }

  static HWY_INLINE HWY_ATTR VF Affine(VF x, const float* mul,
                                       const float* add) {
    return hn::Add(hn::Mul(x, hn::LoadU(DF(), mul)), hn::LoadU(DF(), add));
  }

  // `at`: of the block's channels, the first in the vector, which may be none
  // of the plan's.
  HWY_INLINE HWY_ATTR void StoreFloats(float* HWY_RESTRICT y, int at,
                                       VF values) const {
    if (channels_ - at >= kLanes) {
      hn::StoreU(values, DF(), y + at);
    } else if (channels_ > at) {
      alignas(64) float lanes[kLanes];
      hn::Store(values, DF(), lanes);
      std::memcpy(y + at, lanes, size_t(channels_ - at) * sizeof(float));
    }
  }

  // The bits of a block go anywhere in the row's words, across a border of two
  // if a group of a convolution is no multiple of 64 channels.
  template <int kVectors>
  HWY_INLINE void StoreBits(int i, uint64_t bits) const {
    constexpr int kBits = kVectors * kLanes;
    const int64_t valid = channels_ < kBits ? channels_ : kBits;
    bits &= TailMask(valid);
    const int64_t first_bit = rows_.y_channel + channel_;
    const int64_t shift = first_bit % kWordBits;
    uint64_t* to =
        rows_.y_bits + (first_row_ + i) * rows_.y_pitch + first_bit / kWordBits;
    to[0] |= bits << shift;
    if (shift + valid > kWordBits) to[1] |= bits >> (kWordBits - shift);
  }

  const BgemmPlan& plan_;
  const BgemmRows& rows_;
  int64_t first_row_, channel_, channels_;
};

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
