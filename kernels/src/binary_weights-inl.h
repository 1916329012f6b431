// What products with binary weights share, whatever their activations are: how
// the epilogue's constants stand among the weights, and what it does with the
// sums of a tile.
//
// Each channel has mul, add, and then for each base alpha and the rows of words
// that the sums want (see product-inl.h for panels).

#if defined(KERNELS_SRC_BINARY_WEIGHTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_BINARY_WEIGHTS_INL_H_
#undef KERNELS_SRC_BINARY_WEIGHTS_INL_H_
#else
#define KERNELS_SRC_BINARY_WEIGHTS_INL_H_
#endif

#include <hwy/highway.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/epilogue.h"
#include "product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

using WordTag = hn::RebindToUnsigned<FloatTag>;
using WordVec = hn::Vec<WordTag>;

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

// Words of each channel. base_rows: of one base, without alpha.
HWY_INLINE size_t ChannelWords(size_t base_rows, size_t weight_bases) {
  return 2 + weight_bases * (1 + base_rows);
}

// The weights of a product (product-inl.h). Sums has kTileRows, BaseRows() and
// Compute(rows, vectors, range, load, acc), which finds the sums of a tile over
// one base as floats; load(vector, row) loads a row of the base's words.
template <class Sums>
struct BinaryWeights {
  static constexpr size_t kTileRows = Sums::kTileRows;
  Sums sums;
  size_t weight_bases;
  const uint32_t* packed;

  template <size_t... kR, size_t... kV, class X>
  HWY_INLINE void Tile(std::index_sequence<kR...> rows,
                       std::index_sequence<kV...> vectors,
                       const TileRange<X>& range) const {
    constexpr size_t kVectors = sizeof...(kV);
    const FloatTag d;
    const size_t base_rows = sums.BaseRows();
    const size_t channel_words = ChannelWords(base_rows, weight_bases);
    const uint32_t* panel = packed + range.channel * channel_words;
    const auto load = [&](size_t vector, size_t row) HWY_ATTR {
      return hn::Load(WordTag(), panel + PackedOffset<kVectors>(vector, row,
                                                                channel_words));
    };

    FloatVec total[sizeof...(kR)][kVectors];
    FloatVec acc[sizeof...(kR)][kVectors];
    size_t m = 0, row = 2;
    do {  // at least one base: GCC warns of an unset total otherwise
      const FloatVec alpha[] = {hn::BitCast(d, load(kV, row))...};
      ++row;
      const auto load_base = [&](size_t vector, size_t base_row) HWY_ATTR {
        return load(vector, row + base_row);
      };
      sums.Compute(rows, vectors, range, load_base, acc);
      row += base_rows;
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
};

// Words of `out` channels.
HWY_INLINE int64_t PanelWords(size_t base_rows, int64_t out,
                              int64_t weight_bases) {
  const int64_t lanes = hn::Lanes(FloatTag());
  return (out + lanes - 1) / lanes * lanes *
         int64_t(ChannelWords(base_rows, size_t(weight_bases)));
}

// What is done to a channel, with what changes nothing for the absent: x * 1,
// and x + -0, which unlike x + 0 also keeps a zero's sign.
struct ChannelConstants {
  float mul = 1.0f;
  float add = -0.0f;
};

HWY_INLINE ChannelConstants ConstantsOf(const Epilogue& epilogue, int64_t o) {
  ChannelConstants constants;
  if (epilogue.mul != nullptr) {
    constants.mul = epilogue.mul[o * epilogue.mul_stride];
  }
  if (epilogue.add != nullptr) {
    constants.add = epilogue.add[o * epilogue.add_stride];
  }
  return constants;
}

HWY_INLINE float AlphaOf(const Epilogue& epilogue, int64_t total_out, int64_t m,
                         int64_t o) {
  if (epilogue.alpha == nullptr) return 1.0f;
  return epilogue.alpha[epilogue.alpha_per_channel ? m * total_out + o : m];
}

// Packs channels [first, first + out). word(m, o, row) is the word of channel
// `o` in a row of base m.
template <class Word>
HWY_INLINE void PackPanels(int64_t total_out, int64_t first, int64_t out,
                           const Epilogue& epilogue, size_t base_rows,
                           const Word& word, uint32_t* packed) {
  const int64_t lanes = hn::Lanes(FloatTag());
  const int64_t panel = kPanelVectors * lanes;
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
      for (size_t row = 0; row < base_rows; ++row) {
        write_row([&](int64_t o) { return word(m, o, row); });
      }
    }
  }
}

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // KERNELS_SRC_BINARY_WEIGHTS_INL_H_
