#include "kernels/binarize.h"

#include <algorithm>
#include <cstdint>

#include "kernels/shapes.h"
#include "target_policy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "binarize.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "simd_bits-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// The bits of `count` (1 to 64) channels. What is left behind the last whole
// vector is compared one by one: a load would reach beyond the tensor.
template <bool kPerChannel>
HWY_INLINE HWY_ATTR uint64_t BinarizeWord(const float* HWY_RESTRICT x,
                                          const float* HWY_RESTRICT thresholds,
                                          float threshold, int64_t count) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  auto t = hn::Set(d, threshold);
  uint64_t word = 0;
  int64_t c = 0;
  for (; c + lanes <= count; c += lanes) {
    if constexpr (kPerChannel) t = hn::LoadU(d, thresholds + c);
    word |= MaskBits(d, hn::Ge(hn::LoadU(d, x + c), t)) << c;
  }
  for (; c < count; ++c) {
    const float at = kPerChannel ? thresholds[c] : threshold;
    word |= uint64_t{x[c] >= at} << c;
  }
  return word;
}

template <bool kPerChannel>
HWY_ATTR void BinarizeRows(int64_t rows, int64_t channels,
                           const float* HWY_RESTRICT x,
                           const float* HWY_RESTRICT thresholds,
                           float threshold, uint64_t* HWY_RESTRICT y) {
  for (int64_t row = 0; row < rows; ++row, x += channels) {
    for (int64_t c = 0; c < channels; c += kWordBits) {
      *y++ = BinarizeWord<kPerChannel>(
          x + c, kPerChannel ? thresholds + c : nullptr, threshold,
          std::min(channels - c, kWordBits));
    }
  }
}

HWY_ATTR void Run(int64_t rows, int64_t channels, const float* x,
                  const float* threshold, int64_t threshold_stride,
                  uint64_t* y) {
  if (threshold != nullptr && threshold_stride != 0) {
    BinarizeRows<true>(rows, channels, x, threshold, 0.0f, y);
  } else {
    BinarizeRows<false>(rows, channels, x, nullptr,
                        threshold == nullptr ? 0.0f : *threshold, y);
  }
}

}  // namespace

constexpr BinarizeKernels kBinarize = {.run = Run};
constexpr const BinarizeKernels* kBinarizeKernels = &kBinarize;

#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bqengine::kernels {

const BinarizeKernels* GetBinarizeKernels(Target target) {
  return BQE_SELECT_TARGET(target, kBinarizeKernels);
}

}  // namespace bqengine::kernels
#endif  // HWY_ONCE
