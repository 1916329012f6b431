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

  // One accumulator for an output: the whole epilogue of row `i` of the tile.
  template <class Op, int kVectors>
  HWY_INLINE HWY_ATTR void Finish(int i,
                                  const uint32_t* HWY_RESTRICT counts) const {
    const int32_t* HWY_RESTRICT offsets = Offsets(i, 0);
    counts += i * kVectors * kLanes;
    if (plan_.range_limit != nullptr) {
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
      return;
    }
    for (int at = 0; at < kVectors * kLanes; at += kLanes) {
      const auto dot = Dot<Op>(counts + at, offsets + at);
      StoreFloats(i, at, Affine(hn::ConvertTo(DF(), dot), at));
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
      const auto y = Affine(hn::LoadU(DF(), totals + at), at);
      if (rows_.y != nullptr) {
        StoreFloats(i, at, y);
      } else {
        const auto threshold = hn::LoadU(DF(), plan_.threshold + channel_ + at);
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

  const int32_t* Offsets(int i, int64_t m) const {
    const int64_t of_class =
        rows_.offset_class == nullptr ? 0 : rows_.offset_class[first_row_ + i];
    return plan_.offsets +
           (of_class * plan_.weight_bases + m) * plan_.channel_pitch + channel_;
  }

  template <class Op>
  HWY_INLINE HWY_ATTR hn::Vec<DI> Dot(const uint32_t* counts,
                                      const int32_t* offsets) const {
    const auto count = hn::BitCast(DI(), hn::LoadU(D32(), counts));
    const auto scaled = hn::ShiftLeftSame(count, plan_.count_shift);
    const auto offset = hn::LoadU(DI(), offsets);
    return std::is_same_v<Op, XorBits> ? hn::Sub(offset, scaled)
                                       : hn::Add(offset, scaled);
  }

  HWY_INLINE HWY_ATTR VF Affine(VF x, int at) const {
    const auto product = hn::Mul(x, hn::LoadU(DF(), plan_.mul + channel_ + at));
    return hn::Add(product, hn::LoadU(DF(), plan_.add + channel_ + at));
  }

  // `at`: of the block's channels, the first in the vector.
  HWY_INLINE HWY_ATTR void StoreFloats(int i, int at, VF values) const {
    float* HWY_RESTRICT to = rows_.y + (first_row_ + i) * rows_.y_pitch +
                             rows_.y_channel + channel_ + at;
    if (channels_ - at >= kLanes) {
      hn::StoreU(values, DF(), to);
      return;
    }
    if (channels_ <= at) return;  // a block may have more vectors than channels
    alignas(64) float lanes[kLanes];
    hn::Store(values, DF(), lanes);
    std::memcpy(to, lanes, size_t(channels_ - at) * sizeof(float));
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
