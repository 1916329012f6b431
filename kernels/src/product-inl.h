// The loops around the inner tile of a product with float or 8-bit activations:
// which rows and channels a tile covers, and how its edges are stored. Shared
// by float and by binary weights, which differ only in the tile.
//
// Output channels stand in the lanes. Weights come in panels of kPanelVectors
// vectors of channels; a last panel of at most one vector is one vector wide:
//
//            panel 0         panel 1        panel 2
//         |  v0  |  v1  |  v2  |  v3  |  v4  |      channels ->
//    k=0  |      |      |      |      |      |      stored panel after panel,
//    k=1  |      |      |      |      |      |      each row after row
//    ...
//
// so that a panel begins at (its first channel) * (elements per channel).
//
// Tiles are unrolled by expanding parameter packs over arrays of vectors. That
// needs vectors of known size, which all targets of target_policy.h have, and
// makes compilers keep the accumulators in registers; of loops over the same
// arrays GCC 12 does not.

#if defined(KERNELS_SRC_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_PRODUCT_INL_H_
#undef KERNELS_SRC_PRODUCT_INL_H_
#else
#define KERNELS_SRC_PRODUCT_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;

constexpr size_t kPanelVectors = 2;

// True where 32 vectors fit in registers, not 16.
constexpr bool kManyRegisters =
    HWY_TARGET != HWY_SSE4 && HWY_TARGET != HWY_AVX2;

// Rows that pass over a panel before the next one is read: a common multiple of
// all tile heights. Their activations should stay in the second-level cache.
constexpr size_t kRowBlock = 48;

// Few rows have few sums; more vectors of channels make up for it.
constexpr size_t TileVectors(size_t rows) {
  return rows == 1 ? 8 : rows == 2 ? 4 : kPanelVectors;
}

// What a tile reads and writes. Both pointers are at its first row, y also at
// its first channel.
template <class X>
struct TileRange {
  const X* x;
  size_t x_stride;
  float* y;
  size_t y_stride;
  size_t channel;
  size_t channels;  // to store, at most the width of the tile
};

// Where vector `index` of a tile begins in row `row` of a packed array whose
// channels have `channel_elements` each. A tile of one vector is a narrow
// panel.
template <size_t kTileVectors>
HWY_INLINE size_t PackedOffset(size_t index, size_t row,
                               size_t channel_elements) {
  const size_t lanes = hn::Lanes(FloatTag());
  const size_t width = std::min(kTileVectors, kPanelVectors) * lanes;
  return index / kPanelVectors * width * channel_elements + row * width +
         index % kPanelVectors * lanes;
}

template <size_t... kV>
HWY_INLINE void StoreRow(std::index_sequence<kV...>, const FloatVec* sums,
                         size_t channels, float* HWY_RESTRICT y) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  if (HWY_LIKELY(channels == sizeof...(kV) * lanes)) {
    (hn::StoreU(sums[kV], d, y + kV * lanes), ...);
  } else {
    HWY_ALIGN float row[sizeof...(kV) * hn::MaxLanes(FloatTag())];
    (hn::Store(sums[kV], d, row + kV * lanes), ...);
    std::memcpy(y, row, channels * sizeof(float));
  }
}

// `tiles` tiles of kRows rows under each other, for channels [begin, end).
template <size_t kRows, class Weights, class X>
HWY_INLINE void TileColumns(const Weights& weights, size_t tiles, const X* x,
                            size_t x_stride, size_t begin, size_t end, float* y,
                            size_t y_stride) {
  constexpr size_t kWide = TileVectors(kRows);
  constexpr std::make_index_sequence<kRows> kRowIndices;
  const size_t lanes = hn::Lanes(FloatTag());
  for (size_t channel = begin; channel < end;) {
    const size_t left = end - channel;
    const size_t vectors = left >= kWide * lanes ? kWide
                           : left > lanes        ? kPanelVectors
                                                 : 1;
    TileRange<X> range{x,        x_stride, y + channel,
                       y_stride, channel,  std::min(left, vectors * lanes)};
    for (size_t tile = 0; tile < tiles; ++tile) {
      if (vectors == kWide) {
        weights.Tile(kRowIndices, std::make_index_sequence<kWide>(), range);
      } else if (vectors == kPanelVectors) {
        weights.Tile(kRowIndices, std::make_index_sequence<kPanelVectors>(),
                     range);
      } else {
        weights.Tile(kRowIndices, std::make_index_sequence<1>(), range);
      }
      range.x += kRows * x_stride;
      range.y += kRows * y_stride;
    }
    channel += vectors * lanes;
  }
}

// The rows that do not fill a tile: calls TileColumns for their number.
template <size_t kRows, class Weights, class... Args>
HWY_INLINE void LastRows(const Weights& weights, size_t rows, Args... args) {
  if constexpr (kRows > 0) {
    if (rows == kRows) {
      TileColumns<kRows>(weights, 1, args...);
    } else {
      LastRows<kRows - 1>(weights, rows, args...);
    }
  }
}

// Weights::kTileRows is the height of a full tile.
template <class Weights, class X>
void Product(const Weights& weights, size_t rows, const X* x, size_t x_stride,
             size_t begin, size_t end, float* y, size_t y_stride) {
  constexpr size_t kTileRows = Weights::kTileRows;
  static_assert(kRowBlock % kTileRows == 0);
  for (size_t row = 0; row < rows; row += kRowBlock) {
    const size_t block = std::min(kRowBlock, rows - row);
    const size_t tiles = block / kTileRows;
    const X* block_x = x + row * x_stride;
    float* block_y = y + row * y_stride;
    TileColumns<kTileRows>(weights, tiles, block_x, x_stride, begin, end,
                           block_y, y_stride);
    const size_t done = tiles * kTileRows;
    LastRows<kTileRows - 1>(weights, block - done, block_x + done * x_stride,
                            x_stride, begin, end, block_y + done * y_stride,
                            y_stride);
  }
}

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // KERNELS_SRC_PRODUCT_INL_H_
