// From the accumulators of a tile to its outputs.

// Per-target include guard.
#if defined(KERNELS_SRC_BGEMM_EPILOGUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_BGEMM_EPILOGUE_INL_H_
#undef KERNELS_SRC_BGEMM_EPILOGUE_INL_H_
#else
#define KERNELS_SRC_BGEMM_EPILOGUE_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "bgemm_post-inl.h"
#include "bgemm_tile-inl.h"
#include "kernels/bgemm.h"
#include "simd_bits-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Rows that are computed together, from `first` of all the run's rows on, with
// one or several blocks of channels from `channel` on.
struct TileWork {
  const BgemmPlan& plan;
  const BgemmRows& rows;
  const BgemmSpan& span;
  int64_t first;
  int64_t slot;  // of the first row, among prepared rows
  int64_t channel;
  int64_t m, n;  // weight base, activation base
};

// What becomes of a tile's accumulators: outputs at once, if each output has
// one of them and needs no more; sums over weight bases; or they are kept.
enum class TileForm { kFloats, kBits, kSums, kKept };

// Where the outputs of one block of a tile go. Products and sums round
// separately: Mul and Add, never MulAdd.
template <int kRows, int kVectors>
class TileOutput {
 public:
  static constexpr int kWidth = kVectors * int(HWY_LANES(uint32_t));
  static constexpr int kSize = kRows * kWidth;

  HWY_INLINE TileOutput(const TileWork& work, int block)
      : plan_(work.plan),
        rows_(work.rows),
        first_(work.first),
        tap_class_(work.span.tap_class),
        channel_(work.channel + block * kWidth),
        channels_(work.rows.first_channel + work.rows.channels - channel_) {}

  // for_each_row(put) calls put(row, h0, h1, h2, h3) with accumulators, of
  // weight base m. `buffer` is where they are kept, or the sums.
  template <TileForm kForm, class ForEachRow>
  HWY_INLINE HWY_ATTR void Put(const ForEachRow& for_each_row, int64_t m,
                               void* HWY_RESTRICT buffer) const {
    if constexpr (kForm == TileForm::kFloats) {
      for_each_row(
          [&](int i, V32 h0, V32 h1, V32 h2, V32 h3) BQE_INLINE_LAMBDA {
            float* HWY_RESTRICT y = Floats(rows_.output.y, i);
            ForEachVector(h0, h1, h2, h3, [&](V32 h, int at) BQE_INLINE_LAMBDA {
              const auto dot = hn::ConvertTo(DF(), hn::BitCast(DI(), h));
              hn::StoreU(Affine(dot, at), DF(), y + at);
            });
          });
    } else if constexpr (kForm == TileForm::kBits) {
      const BitsPlace place(*this);
      for_each_row([&](int i, V32 h0, V32 h1, V32 h2, V32 h3)
                       BQE_INLINE_LAMBDA {
                         place.Store(OutputRow(i), InsideRange(h0, h1, h2, h3));
                       });
    } else if constexpr (kForm == TileForm::kSums) {
      const float* alpha = plan_.alpha + m * plan_.channel_pitch + channel_;
      const auto put = [&](const auto& store) BQE_INLINE_LAMBDA {
        for_each_row([&](int i, V32 h0, V32 h1, V32 h2,
                         V32 h3) BQE_INLINE_LAMBDA {
          float* sums = static_cast<float*>(buffer) + i * kWidth;
          ForEachVector(h0, h1, h2, h3, [&](V32 h, int at) BQE_INLINE_LAMBDA {
            const auto dot = hn::ConvertTo(DF(), hn::BitCast(DI(), h));
            store(hn::Mul(hn::LoadU(DF(), alpha + at), dot), sums + at);
          });
        });
      };
      if (m == 0) {
        put([](VF term, float* sum)
                BQE_INLINE_LAMBDA { hn::Store(term, DF(), sum); });
      } else {
        put([](VF term, float* sum) BQE_INLINE_LAMBDA {
          hn::Store(hn::Add(hn::Load(DF(), sum), term), DF(), sum);
        });
      }
    } else {
      for_each_row(
          [&](int i, V32 h0, V32 h1, V32 h2, V32 h3) BQE_INLINE_LAMBDA {
            uint32_t* kept = static_cast<uint32_t*>(buffer) + i * kWidth;
            ForEachVector(h0, h1, h2, h3, [&](V32 h, int at) BQE_INLINE_LAMBDA {
              hn::Store(h, D32(), kept + at);
            });
          });
    }
  }

  // Before a tile is counted: what its end will read comes closer meanwhile.
  // Tiles take it in an order that the hardware does not foresee.
  HWY_INLINE void PrefetchResidual() const {
    if (rows_.output.residual == nullptr) return;
    constexpr int64_t kLine = 64 / sizeof(float);
    const int64_t channels = HWY_MIN(channels_, int64_t{kWidth});
    for (int i = 0; i < kRows; ++i) {
      const float* const residual = Floats(rows_.output.residual, i);
      for (int64_t at = 0; at < channels; at += kLine) {
        hwy::Prefetch(residual + at);
      }
    }
  }

  // What kSums does at once: sums = sum_m alpha[m] * float(dot[m]), one m after
  // the other.
  HWY_NOINLINE HWY_ATTR void AddToSums(int64_t m,
                                       const uint32_t* HWY_RESTRICT kept,
                                       float* HWY_RESTRICT sums) const {
    const float* alpha = plan_.alpha + m * plan_.channel_pitch + channel_;
    for (int i = 0; i < kRows; ++i) {
      for (int at = 0; at < kWidth; at += kLanes) {
        const auto dot = Dot(m, hn::Load(D32(), kept), at);
        const auto term =
            hn::Mul(hn::LoadU(DF(), alpha + at), hn::ConvertTo(DF(), dot));
        const auto sum = m == 0 ? term : hn::Add(hn::Load(DF(), sums), term);
        hn::Store(sum, DF(), sums);
        kept += kLanes;
        sums += kLanes;
      }
    }
  }

  // totals = sum_n beta[n] * sums, one n after the other.
  HWY_NOINLINE HWY_ATTR void AddActivationBase(
      int64_t n, const float* HWY_RESTRICT sums,
      float* HWY_RESTRICT totals) const {
    const auto beta = hn::Set(DF(), plan_.beta[n]);
    for (int at = 0; at < kSize; at += kLanes) {
      const auto term = hn::Mul(beta, hn::Load(DF(), sums + at));
      const auto total =
          n == 0 ? term : hn::Add(hn::Load(DF(), totals + at), term);
      hn::Store(total, DF(), totals + at);
    }
  }

  // The way from there to the outputs: affine, steps and threshold.
  HWY_NOINLINE HWY_ATTR void FinishSums(const float* HWY_RESTRICT sums) const {
    Finish([&](int at) BQE_INLINE_LAMBDA { return hn::Load(DF(), sums + at); });
  }

  // The same from the accumulators, if each output has one.
  HWY_NOINLINE HWY_ATTR void FinishKept(
      const uint32_t* HWY_RESTRICT kept) const {
    Finish([&](int at) BQE_INLINE_LAMBDA {
      const auto dot = Dot(0, hn::Load(D32(), kept + at), at % kWidth);
      return hn::ConvertTo(DF(), dot);
    });
  }

 private:
  using DI = hn::RebindToSigned<D32>;
  using DF = hn::RebindToFloat<D32>;
  using VF = hn::Vec<DF>;
  static constexpr int kLanes = int(HWY_LANES(uint32_t));

  template <class V, class Body>
  static HWY_INLINE HWY_ATTR void ForEachVector(V h0, V h1, V h2, V h3,
                                                const Body& body) {
    body(h0, 0);
    if constexpr (kVectors > 1) body(h1, kLanes);
    if constexpr (kVectors > 2) body(h2, 2 * kLanes);
    if constexpr (kVectors > 3) body(h3, 3 * kLanes);
  }

  // Where the bits of a block go: anywhere in a row's words, across a border of
  // two if a group of a convolution is no multiple of 64 channels.
  struct BitsPlace {
    HWY_INLINE explicit BitsPlace(const TileOutput& output)
        : y_bits(output.rows_.output.y_bits), pitch(output.rows_.bits_pitch) {
      const uint64_t first_bit =
          uint64_t(output.rows_.y_channel + output.channel_);
      const int64_t valid = HWY_MIN(output.channels_, int64_t{kWidth});
      word = int64_t(first_bit / kWordBits);
      shift = first_bit % kWordBits;
      crosses = int64_t(shift) + valid > kWordBits;
      mask = TailMask(valid);
    }
    HWY_INLINE void Store(int64_t row, uint64_t bits) const {
      uint64_t* to = y_bits + row * pitch + word;
      bits &= mask;
      to[0] |= bits << shift;
      if (crosses) to[1] |= bits >> (kWordBits - shift);
    }
    uint64_t* y_bits;
    int64_t pitch, word;
    uint64_t shift, mask;
    bool crosses;
  };

  HWY_INLINE HWY_ATTR uint64_t InsideRange(V32 h0, V32 h1, V32 h2,
                                           V32 h3) const {
    uint64_t outside = 0;
    const int32_t* limits = plan_.range_limit + channel_;
    ForEachVector(h0, h1, h2, h3, [&](V32 h, int at) BQE_INLINE_LAMBDA {
      const auto mask = hn::Gt(Dot(0, h, at), hn::LoadU(DI(), limits + at));
      outside |= MaskBits(DI(), mask) << at;
    });
    return ~outside;
  }

  // load(at): the vector at this place of the block, [row][channel]. Two rows
  // at a time. Of the plan and the rows nothing is read in the loop through
  // `this`: stores might have changed it, as far as the compiler knows.
  template <class Load>
  HWY_INLINE HWY_ATTR void Finish(const Load& load) const {
    constexpr bool kTwo = kRows > 1;
    const BitsPlace place(*this);
    const BinaryOutput output = rows_.output;
    const PostStep* const steps = plan_.post;
    const int num_steps = plan_.post_steps;
    for (int i = 0; i < kRows; i += 2) {
      const auto affine = [&](int row, int vector) BQE_INLINE_LAMBDA {
        const int at = vector < kVectors ? vector * kLanes : 0;
        return Affine(load((kTwo ? i + row : 0) * kWidth + at), at);
      };
      VF a0 = affine(0, 0), a1 = affine(0, 1);
      VF a2 = affine(0, 2), a3 = affine(0, 3);
      VF b0 = affine(1, 0), b1 = affine(1, 1);
      VF b2 = affine(1, 2), b3 = affine(1, 3);
      const auto for_each = [&](const auto& f) BQE_INLINE_LAMBDA {
        a0 = f(a0, 0, 0);
        if constexpr (kVectors > 1) a1 = f(a1, 0, kLanes);
        if constexpr (kVectors > 2) a2 = f(a2, 0, 2 * kLanes);
        if constexpr (kVectors > 3) a3 = f(a3, 0, 3 * kLanes);
        if constexpr (kTwo) b0 = f(b0, 1, 0);
        if constexpr (kTwo && kVectors > 1) b1 = f(b1, 1, kLanes);
        if constexpr (kTwo && kVectors > 2) b2 = f(b2, 1, 2 * kLanes);
        if constexpr (kTwo && kVectors > 3) b3 = f(b3, 1, 3 * kLanes);
      };
      alignas(64) float parts[2 * kWidth];
      const float* residuals[2] = {};
      if (output.residual != nullptr) {
        residuals[0] = Residual(i, parts);
        residuals[1] = kTwo ? Residual(i + 1, parts + kWidth) : nullptr;
      }
      for (int step = 0; step < num_steps; ++step) {
        ApplyPost(steps[step], channel_, residuals, for_each);
      }
      PutRow(place, output, i, a0, a1, a2, a3);
      if constexpr (kTwo) PutRow(place, output, i + 1, b0, b1, b2, b3);
    }
  }

  HWY_INLINE HWY_ATTR void PutRow(const BitsPlace& place,
                                  const BinaryOutput& output, int i, VF v0,
                                  VF v1, VF v2, VF v3) const {
    if (output.y_bits != nullptr) {
      place.Store(OutputRow(i), ReachThreshold(v0, v1, v2, v3));
    }
    if (output.y == nullptr) return;
    float* const y = Floats(output.y, i);
    if (channels_ >= kWidth) {
      ForEachVector(v0, v1, v2, v3, [&](VF v, int at) BQE_INLINE_LAMBDA {
        hn::StoreU(v, DF(), y + at);
      });
    } else {
      ForEachVector(v0, v1, v2, v3, [&](VF v, int at) BQE_INLINE_LAMBDA {
        StoreFloats(y, at, v);
      });
    }
  }

  // Row `i` of the residual, in `part` if it ends before the block does.
  HWY_INLINE const float* Residual(int i, float* part) const {
    const float* const residual = Floats(rows_.output.residual, i);
    if (channels_ >= kWidth) return residual;
    std::memset(part, 0, kWidth * sizeof(float));
    std::memcpy(part, residual, size_t(channels_) * sizeof(float));
    return part;
  }

  HWY_INLINE HWY_ATTR uint64_t ReachThreshold(VF v0, VF v1, VF v2,
                                              VF v3) const {
    uint64_t bits = 0;
    const float* threshold = plan_.threshold + channel_;
    ForEachVector(v0, v1, v2, v3, [&](VF v, int at) BQE_INLINE_LAMBDA {
      const auto mask = hn::Ge(v, hn::LoadU(DF(), threshold + at));
      bits |= MaskBits(DF(), mask) << at;
    });
    return bits;
  }

  // The accumulator h, or 2 * h + odd.
  HWY_INLINE HWY_ATTR hn::Vec<DI> Dot(int64_t m, V32 h, int at) const {
    const auto half = hn::BitCast(DI(), h);
    if (plan_.odds == nullptr) return half;
    const int64_t row = tap_class_ * plan_.weight_bases + m;
    const int32_t* odds = plan_.odds + row * plan_.channel_pitch + channel_;
    return hn::Add(hn::ShiftLeft<1>(half), hn::LoadU(DI(), odds + at));
  }

  HWY_INLINE HWY_ATTR VF Affine(VF s, int at) const {
    const int64_t o = channel_ + at;
    return hn::Add(hn::Mul(s, hn::LoadU(DF(), plan_.mul + o)),
                   hn::LoadU(DF(), plan_.add + o));
  }

  HWY_INLINE int64_t OutputRow(int i) const {
    return rows_.output_rows[first_ + i];
  }

  // Of output.y or output.residual: those of the block, in row `i` of the tile.
  template <class Float>
  HWY_INLINE Float* Floats(Float* all, int i) const {
    return all + OutputRow(i) * rows_.float_pitch + rows_.y_channel + channel_;
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

  const BgemmPlan& plan_;
  const BgemmRows& rows_;
  int64_t first_, tap_class_;
  int64_t channel_, channels_;
};

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
