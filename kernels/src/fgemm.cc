#include "kernels/fgemm.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "target_policy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "fgemm.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "patches-inl.h"
#include "product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

template <size_t... kV>
HWY_INLINE void CopyRow(std::index_sequence<kV...>, const FloatVec* from,
                        FloatVec* to) {
  ((to[kV] = from[kV]), ...);
}

template <size_t... kV>
HWY_INLINE void MulAddRow(std::index_sequence<kV...>, FloatVec x,
                          const FloatVec* weights, FloatVec* sums) {
  ((sums[kV] = hn::MulAdd(x, weights[kV], sums[kV])), ...);
}

// Each channel has 1 + k floats: its bias, then its weights.
struct FloatWeights {
  // With two vectors of weights and one of activations, 8 rows fill half of 32
  // registers: enough independent sums (16) to hide the latency of an FMA (4
  // cycles, two a cycle), and more would save no loads that count. With 16
  // registers 6 still fit; without FMA a product needs a register too.
  static constexpr size_t kTileRows = kManyRegisters           ? 8
                                      : HWY_TARGET == HWY_SSE4 ? 4
                                                               : 6;
  size_t k;
  const float* packed;

  template <size_t... kR, size_t... kV>
  HWY_INLINE void Tile(std::index_sequence<kR...>, std::index_sequence<kV...>,
                       const TileRange<float>& range) const {
    constexpr size_t kVectors = sizeof...(kV);
    constexpr std::make_index_sequence<kVectors> vectors;
    const FloatTag d;
    const float* HWY_RESTRICT panel = packed + range.channel * (1 + k);
    const float* HWY_RESTRICT x = range.x;
    const size_t x_stride = range.x_stride;

    const FloatVec bias[] = {
        hn::Load(d, panel + PackedOffset<kVectors>(kV, 0, 1 + k))...};
    FloatVec sums[sizeof...(kR)][kVectors];
    (CopyRow(vectors, bias, sums[kR]), ...);
    for (size_t i = 0; i < k; ++i) {
      const FloatVec weights[] = {
          hn::Load(d, panel + PackedOffset<kVectors>(kV, 1 + i, 1 + k))...};
      (MulAddRow(vectors, hn::Set(d, x[kR * x_stride + i]), weights, sums[kR]),
       ...);
    }
    (StoreRow(vectors, sums[kR], range.channels, range.y + kR * range.y_stride),
     ...);
  }
};

int64_t PackedFloats(int64_t k, int64_t out) {
  const int64_t lanes = hn::Lanes(FloatTag());
  return (out + lanes - 1) / lanes * lanes * (1 + k);
}

void PackWeights(int64_t k, int64_t out, const float* weight, const float* bias,
                 float* packed) {
  const int64_t lanes = hn::Lanes(FloatTag());
  const int64_t panel = kPanelVectors * lanes;
  for (int64_t begin = 0; begin < out; begin += panel) {
    const int64_t width = out - begin > lanes ? panel : lanes;
    for (int64_t c = begin; c < begin + width; ++c) {
      const bool used = c < out;
      *packed++ = used && bias != nullptr ? bias[c] : 0.0f;
    }
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t c = begin; c < begin + width; ++c) {
        *packed++ = c < out ? weight[c * k + i] : 0.0f;
      }
    }
  }
}

void Gemm(int64_t rows, int64_t k, const float* x, int64_t x_stride,
          const float* packed, int64_t out_begin, int64_t out_end, float* y,
          int64_t y_stride) {
  Product(FloatWeights{size_t(k), packed}, rows, x, x_stride, out_begin,
          out_end, y, y_stride);
}

void Conv(const ConvShape& shape, int64_t begin, int64_t end, const float* x,
          const float* packed, float* y, float* scratch) {
  const int64_t k = PatchFloats(shape);
  const int64_t out = shape.out_channels / shape.groups;
  const int64_t group_floats = PackedFloats(k, out);
  ConvRows(shape, begin, end, x, y, scratch,
           [&](int64_t group, int64_t rows, const float* patches,
               int64_t stride, float* group_y) HWY_ATTR {
             Gemm(rows, k, patches, stride, packed + group * group_floats, 0,
                  out, group_y, shape.out_channels);
           });
}

const FloatProductKernels kTable = {
    .panel_channels = int64_t(kPanelVectors * hn::MaxLanes(FloatTag())),
    .packed_floats = PackedFloats,
    .pack_weights = PackWeights,
    .gemm = Gemm,
    .conv_scratch_floats = PatchScratchFloats,
    .conv = Conv,
};
const FloatProductKernels* const kFloatProduct = &kTable;

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bqengine::kernels {

const FloatProductKernels* GetFloatProductKernels(Target target) {
  return BQE_SELECT_TARGET(target, kFloatProduct);
}

}  // namespace bqengine::kernels
#endif  // HWY_ONCE
