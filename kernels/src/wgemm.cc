#include "kernels/wgemm.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "target_policy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "wgemm.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "patches-inl.h"
#include "product-inl.h"

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

using WordTag = hn::RebindToUnsigned<FloatTag>;
using WordVec = hn::Vec<WordTag>;

constexpr size_t kStepBits = 32;

size_t StepsFor(size_t k) { return (k + kStepBits - 1) / kStepBits; }

// Words of each channel: mul, add, then for each base alpha and the weights.
size_t ChannelWords(size_t k, size_t weight_bases) {
  return 2 + weight_bases * (1 + StepsFor(k));
}

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

template <size_t... kV>
HWY_INLINE void ScaleRow(std::index_sequence<kV...>, const FloatVec* alpha,
                         const FloatVec* acc, FloatVec* total) {
  ((total[kV] = hn::Mul(alpha[kV], acc[kV])), ...);
}

template <size_t... kV>
HWY_INLINE void AddScaledRow(std::index_sequence<kV...>, const FloatVec* alpha,
                             const FloatVec* acc, FloatVec* total) {
  ((total[kV] = hn::Add(total[kV], hn::Mul(alpha[kV], acc[kV]))), ...);
}

template <size_t... kV>
HWY_INLINE void AffineRow(std::index_sequence<kV...>, const FloatVec* mul,
                          const FloatVec* add, FloatVec* total) {
  ((total[kV] = hn::Add(hn::Mul(total[kV], mul[kV]), add[kV])), ...);
}

template <class Bits>
struct BinaryWeights {
  // The words and the factors made from them take two vectors each: with 16
  // registers 4 rows fit. Measured with AVX2 at 784x256x256: 96 GFLOP/s, 6 rows
  // spill and reach 73.
  static constexpr size_t kTileRows = kManyRegisters ? 8 : 4;
  size_t k;
  size_t weight_bases;
  const uint32_t* packed;

  template <size_t... kR, size_t... kV>
  HWY_INLINE void Tile(std::index_sequence<kR...> rows,
                       std::index_sequence<kV...> vectors,
                       const TileRange& range) const {
    constexpr size_t kVectors = sizeof...(kV);
    const FloatTag d;
    const WordTag du;
    const size_t channel_words = ChannelWords(k, weight_bases);
    const uint32_t* panel = packed + range.channel * channel_words;
    const auto load = [&](size_t vector, size_t row) HWY_ATTR {
      return hn::Load(
          du, panel + PackedOffset<kVectors>(vector, row, channel_words));
    };

    FloatVec total[sizeof...(kR)][kVectors];
    FloatVec acc[sizeof...(kR)][kVectors];
    size_t m = 0, row = 2;
    do {  // at least one base: GCC warns of an unset total otherwise
      const FloatVec alpha[] = {hn::BitCast(d, load(kV, row))...};
      ++row;
      (ZeroRow(vectors, acc[kR]), ...);
      for (size_t i = 0; i < k; i += kStepBits, ++row) {
        WordVec words[] = {load(kV, row)...};
        Step(rows, vectors, std::min(kStepBits, k - i), range.x + i,
             range.x_stride, words, acc[0]);
      }
      if (m == 0) {
        (ScaleRow(vectors, alpha, acc[kR], total[kR]), ...);
      } else {
        (AddScaledRow(vectors, alpha, acc[kR], total[kR]), ...);
      }
    } while (++m < weight_bases);
    const FloatVec mul[] = {hn::BitCast(d, load(kV, 0))...};
    const FloatVec add[] = {hn::BitCast(d, load(kV, 1))...};
    (AffineRow(vectors, mul, add, total[kR]), ...);
    (StoreRow(vectors, total[kR], range.channels,
              range.y + kR * range.y_stride),
     ...);
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
  const int64_t lanes = hn::Lanes(FloatTag());
  return (out + lanes - 1) / lanes * lanes * ChannelWords(k, weight_bases);
}

// What is done to a channel, with what changes nothing for the absent: x * 1,
// and x + -0, which unlike x + 0 also keeps a zero's sign.
struct ChannelConstants {
  float mul = 1.0f;
  float add = -0.0f;
};

ChannelConstants ConstantsOf(const Epilogue& epilogue, int64_t o) {
  ChannelConstants constants;
  if (epilogue.mul != nullptr) {
    constants.mul = epilogue.mul[o * epilogue.mul_stride];
  }
  if (epilogue.add != nullptr) {
    constants.add = epilogue.add[o * epilogue.add_stride];
  }
  return constants;
}

float AlphaOf(const Epilogue& epilogue, int64_t total_out, int64_t m,
              int64_t o) {
  if (epilogue.alpha == nullptr) return 1.0f;
  return epilogue.alpha[epilogue.alpha_per_channel ? m * total_out + o : m];
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
  const int64_t lanes = hn::Lanes(FloatTag());
  const int64_t panel = kPanelVectors * lanes;
  const int64_t filter_words = taps * WordsFor(tap_bits);
  const uint64_t flip =
      encoding == Encoding::kBipolar ? BipolarBits::kFlip : UnipolarBits::kFlip;
  for (int64_t begin = 0; begin < out; begin += panel) {
    const int64_t width = out - begin > lanes ? panel : lanes;
    // Calls value(o) for the channels of a row; lanes beyond them are zero.
    const auto write_row = [&](const auto& value) {
      for (int64_t c = begin; c < begin + width; ++c) {
        *packed++ = c < out ? value(first + c) : 0u;
      }
    };
    write_row([&](int64_t o) {
      return std::bit_cast<uint32_t>(ConstantsOf(epilogue, o).mul);
    });
    write_row([&](int64_t o) {
      return std::bit_cast<uint32_t>(ConstantsOf(epilogue, o).add);
    });
    for (int64_t m = 0; m < epilogue.weight_bases; ++m) {
      write_row([&](int64_t o) {
        return std::bit_cast<uint32_t>(AlphaOf(epilogue, total_out, m, o));
      });
      for (int64_t k = 0; k < taps * tap_bits; k += kStepBits) {
        write_row([&](int64_t o) {
          return WeightWord(k, taps, tap_bits, flip,
                            weight + (m * total_out + o) * filter_words);
        });
      }
    }
  }
}

void Gemm(int64_t rows, int64_t k, int64_t weight_bases, Encoding encoding,
          const float* x, int64_t x_stride, const uint32_t* packed,
          int64_t out_begin, int64_t out_end, float* y, int64_t y_stride) {
  if (encoding == Encoding::kBipolar) {
    Product(BinaryWeights<BipolarBits>{size_t(k), size_t(weight_bases), packed},
            rows, x, x_stride, out_begin, out_end, y, y_stride);
  } else {
    Product(
        BinaryWeights<UnipolarBits>{size_t(k), size_t(weight_bases), packed},
        rows, x, x_stride, out_begin, out_end, y, y_stride);
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
