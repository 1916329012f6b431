#include "kernels/wgemm.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "target_policy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "wgemm.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "binary_weights-inl.h"
#include "patches-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

// A lane holds 32 consecutive weights of its channel in a 32-bit word, the
// first in the highest bit, so that the current weight is always the sign bit
// and doubling the word moves to the next. Turning the sign bit into a factor
// costs two or three operations a vector (one to double, one or two of logic),
// which all rows of a tile share; the products themselves are then those of a
// float tile. Weights expanded to floats in memory would save that but are 32
// times as large, and with few rows reading them is what takes the time.
//
// An FMA with a factor of +-1 rounds once, like the addition that it stands
// for: results are the same with and without FMA.

constexpr size_t kStepBits = 32;

size_t StepsFor(size_t k) { return (k + kStepBits - 1) / kStepBits; }

// {-1,+1}. A set bit is the sign: packing inverts the weights.
struct BipolarBits {
  static constexpr uint64_t kFlip = 1;

  template <size_t... kV>
  static HWY_INLINE void Expand(std::index_sequence<kV...>, WordVec* words,
                                FloatVec* factors) {
    const FloatTag d;
    const WordTag du;
    const WordVec sign = hn::Set(du, 0x80000000u);
    const WordVec one = hn::BitCast(du, hn::Set(d, 1.0f));
    ((factors[kV] = hn::BitCast(d, hn::OrAnd(one, words[kV], sign)),
      words[kV] = hn::Add(words[kV], words[kV])),
     ...);
  }
  template <size_t... kV>
  static HWY_INLINE void MulAddRow(std::index_sequence<kV...>, FloatVec x,
                                   const FloatVec* factors, FloatVec* sums) {
    ((sums[kV] = hn::MulAdd(x, factors[kV], sums[kV])), ...);
  }
};

// {0,1}. A set bit becomes a mask over the activation.
struct UnipolarBits {
  static constexpr uint64_t kFlip = 0;

  template <size_t... kV>
  static HWY_INLINE void Expand(std::index_sequence<kV...>, WordVec* words,
                                FloatVec* masks) {
    const FloatTag d;
    const hn::RebindToSigned<FloatTag> di;
    ((masks[kV] =
          hn::BitCast(d, hn::ShiftRight<31>(hn::BitCast(di, words[kV]))),
      words[kV] = hn::Add(words[kV], words[kV])),
     ...);
  }
  template <size_t... kV>
  static HWY_INLINE void MulAddRow(std::index_sequence<kV...>, FloatVec x,
                                   const FloatVec* masks, FloatVec* sums) {
    ((sums[kV] = hn::Add(sums[kV], hn::And(x, masks[kV]))), ...);
  }
};

template <size_t... kV>
HWY_INLINE void ZeroRow(std::index_sequence<kV...>, FloatVec* sums) {
  ((sums[kV] = hn::Zero(FloatTag())), ...);
}

template <class Bits>
struct FloatSums {
  // The words and the factors made from them take two vectors each: with 16
  // registers 4 rows fit. Measured with AVX2 at 784x256x256: 96 GFLOP/s, 6 rows
  // spill and reach 73.
  static constexpr size_t kTileRows = kManyRegisters ? 8 : 4;
  size_t k;

  HWY_INLINE size_t BaseRows() const { return StepsFor(k); }

  template <size_t... kR, size_t... kV, class Load>
  HWY_INLINE void Compute(std::index_sequence<kR...> rows,
                          std::index_sequence<kV...> vectors,
                          const TileRange<float>& range, const Load& load,
                          FloatVec (&acc)[sizeof...(kR)][sizeof...(kV)]) const {
    (ZeroRow(vectors, acc[kR]), ...);
    size_t row = 0;
    for (size_t i = 0; i < k; i += kStepBits, ++row) {
      WordVec words[] = {load(kV, row)...};
      Step(rows, vectors, std::min(kStepBits, k - i), range.x + i,
           range.x_stride, words, acc[0]);
    }
  }

  template <size_t... kR, size_t... kV>
  static HWY_INLINE void Step(std::index_sequence<kR...>,
                              std::index_sequence<kV...> vectors, size_t count,
                              const float* HWY_RESTRICT x, size_t x_stride,
                              WordVec* words, FloatVec* acc) {
    for (size_t i = 0; i < count; ++i) {
      FloatVec weights[sizeof...(kV)];
      Bits::Expand(vectors, words, weights);
      (Bits::MulAddRow(vectors, hn::Set(FloatTag(), x[kR * x_stride + i]),
                       weights, acc + kR * sizeof...(kV)),
       ...);
    }
  }
};

int64_t PackedWords(int64_t k, int64_t out, int64_t weight_bases) {
  return PanelWords(StepsFor(size_t(k)), out, weight_bases);
}

// The 32 weights from `k` on of one filter.
uint32_t WeightWord(int64_t k, int64_t taps, int64_t tap_bits, uint64_t flip,
                    const uint64_t* filter) {
  uint32_t word = 0;
  const int64_t end = std::min<int64_t>(k + kStepBits, taps * tap_bits);
  for (int64_t i = k; i < end; ++i) {
    const uint64_t* tap = filter + i / tap_bits * WordsFor(tap_bits);
    const int64_t bit = i % tap_bits;
    const uint64_t weight = (tap[bit / kWordBits] >> (bit % kWordBits)) & 1;
    word |= uint32_t(weight ^ flip) << (kStepBits - 1 - (i - k));
  }
  return word;
}

void PackWeights(int64_t taps, int64_t tap_bits, int64_t total_out,
                 int64_t first, int64_t out, Encoding encoding,
                 const uint64_t* weight, const Epilogue& epilogue,
                 uint32_t* packed) {
  const int64_t filter_words = taps * WordsFor(tap_bits);
  const uint64_t flip =
      encoding == Encoding::kBipolar ? BipolarBits::kFlip : UnipolarBits::kFlip;
  PackPanels(
      total_out, first, out, epilogue, StepsFor(size_t(taps * tap_bits)),
      [&](int64_t m, int64_t o, size_t row) {
        return WeightWord(int64_t(row * kStepBits), taps, tap_bits, flip,
                          weight + (m * total_out + o) * filter_words);
      },
      packed);
}

void Gemm(int64_t rows, int64_t k, int64_t weight_bases, Encoding encoding,
          const float* x, int64_t x_stride, const uint32_t* packed,
          int64_t out_begin, int64_t out_end, float* y, int64_t y_stride) {
  const auto product = [&](auto sums) HWY_ATTR {
    Product(BinaryWeights<decltype(sums)>{sums, size_t(weight_bases), packed},
            rows, x, x_stride, out_begin, out_end, y, y_stride);
  };
  if (encoding == Encoding::kBipolar) {
    product(FloatSums<BipolarBits>{size_t(k)});
  } else {
    product(FloatSums<UnipolarBits>{size_t(k)});
  }
}

void Conv(const ConvShape& shape, int64_t weight_bases, Encoding encoding,
          int64_t begin, int64_t end, const float* x, const uint32_t* packed,
          float* y, float* scratch) {
  const int64_t k = PatchFloats(shape);
  const int64_t out = shape.out_channels / shape.groups;
  const int64_t group_words = PackedWords(k, out, weight_bases);
  ConvRows(shape, begin, end, x, y, scratch,
           [&](int64_t group, int64_t rows, const float* patches,
               int64_t stride, float* group_y) HWY_ATTR {
             Gemm(rows, k, weight_bases, encoding, patches, stride,
                  packed + group * group_words, 0, out, group_y,
                  shape.out_channels);
           });
}

const BinaryWeightProductKernels kTable = {
    .panel_channels = int64_t(kPanelVectors * hn::MaxLanes(FloatTag())),
    .packed_words = PackedWords,
    .pack_weights = PackWeights,
    .gemm = Gemm,
    .conv_scratch_floats = PatchScratchFloats,
    .conv = Conv,
};
const BinaryWeightProductKernels* const kBinaryWeightProduct = &kTable;

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bqengine::kernels {

const BinaryWeightProductKernels* GetBinaryWeightProductKernels(Target target) {
  return BQE_SELECT_TARGET(target, kBinaryWeightProduct);
}

}  // namespace bqengine::kernels
#endif  // HWY_ONCE
