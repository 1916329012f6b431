#include "kernels/binarize.h"

#include <algorithm>
#include <cmath>
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

// Compares whole vectors of the channels from `c` on; returns where it stopped.
template <class D>
HWY_INLINE HWY_ATTR int64_t BinarizeBytes(D d, int64_t c, int64_t count,
                                          const uint8_t* HWY_RESTRICT x,
                                          uint8_t flip,
                                          const int8_t* HWY_RESTRICT smallest,
                                          uint64_t& word) {
  const hn::RebindToUnsigned<D> du;
  const int64_t lanes = int64_t(hn::Lanes(d));
  for (; c + lanes <= count; c += lanes) {
    const auto value =
        hn::BitCast(d, hn::Xor(hn::LoadU(du, x + c), hn::Set(du, flip)));
    // Targets have "greater" alone for integers.
    const auto below = hn::Gt(hn::LoadU(d, smallest + c), value);
    word |= (MaskBits(d, below) ^ TailMask(lanes)) << c;
  }
  return c;
}

HWY_ATTR void RunBytes(int64_t rows, int64_t channels, ByteType type,
                       const uint8_t* x, const int8_t* smallest,
                       const uint64_t* reachable, uint64_t* y) {
  const hn::ScalableTag<int8_t> d;
  const hn::CappedTag<int8_t, 16> d16;
  // Makes uint8 signed, less 128.
  const uint8_t flip = type == ByteType::kUint8 ? 0x80 : 0;
  for (int64_t row = 0; row < rows; ++row) {
    const int8_t* at = smallest;
    const uint64_t* mask = reachable;
    int64_t left = channels;
    for (; left >= kWordBits; left -= kWordBits) {
      uint64_t word = 0;
      BinarizeBytes(d, 0, kWordBits, x, flip, at, word);
      *y++ = word & *mask++;
      x += kWordBits;
      at += kWordBits;
    }
    if (left == 0) continue;
    uint64_t word = 0;
    int64_t c = BinarizeBytes(d, 0, left, x, flip, at, word);
    c = BinarizeBytes(d16, c, left, x, flip, at, word);
    for (; c < left; ++c) word |= uint64_t{int8_t(x[c] ^ flip) >= at[c]} << c;
    *y++ = word & *mask;
    x += left;
  }
}

}  // namespace

constexpr BinarizeKernels kBinarize = {.run = Run, .run_bytes = RunBytes};
constexpr const BinarizeKernels* kBinarizeKernels = &kBinarize;

#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bqengine::kernels {

const BinarizeKernels* GetBinarizeKernels(Target target) {
  return BQE_SELECT_TARGET(target, kBinarizeKernels);
}

void PrepareByteThresholds(int64_t channels, ByteType type,
                           const float* threshold, int64_t threshold_stride,
                           int8_t* smallest, uint64_t* reachable) {
  const float offset = type == ByteType::kUint8 ? 128.0f : 0.0f;
  std::fill(reachable, reachable + WordsFor(channels), 0);
  for (int64_t c = 0; c < channels; ++c) {
    const float at =
        threshold == nullptr ? 0.0f : threshold[c * threshold_stride];
    // The range is [-128, 127] less the offset; a NaN fails both comparisons.
    const float wanted = std::ceil(at) - offset;
    if (wanted <= 127) {
      reachable[c / kWordBits] |= uint64_t{1} << (c % kWordBits);
    }
    smallest[c] =
        wanted >= -128 && wanted <= 127 ? int8_t(wanted) : int8_t{-128};
  }
}

}  // namespace bqengine::kernels
#endif  // HWY_ONCE
