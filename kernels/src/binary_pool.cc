#include "kernels/binary_pool.h"

#include <algorithm>
#include <cstdint>

#include "target_policy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "binary_pool.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// to |= from
HWY_INLINE HWY_ATTR void OrWords(const uint64_t* HWY_RESTRICT from,
                                 int64_t words, uint64_t* HWY_RESTRICT to) {
  const hn::ScalableTag<uint64_t> d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= words; i += lanes) {
    hn::StoreU(hn::Or(hn::LoadU(d, to + i), hn::LoadU(d, from + i)), d, to + i);
  }
  for (; i < words; ++i) to[i] |= from[i];
}

// One output row: each input row that its windows touch is swept once per
// column of the kernel.
HWY_ATTR void MaxRow(const Window& w, int64_t words, int64_t image, int64_t oh,
                     const uint64_t* x, uint64_t* y) {
  std::fill_n(y, w.out_w * words, 0);
  for (int64_t kh = 0; kh < w.kernel_h; ++kh) {
    const int64_t ih = oh * w.stride_h - w.pad_top + kh * w.dilation_h;
    if (ih < 0 || ih >= w.in_h) continue;
    const uint64_t* in = x + (image * w.in_h + ih) * w.in_w * words;
    for (int64_t kw = 0; kw < w.kernel_w; ++kw) {
      int64_t iw = kw * w.dilation_w - w.pad_left;
      for (int64_t ow = 0; ow < w.out_w; ++ow, iw += w.stride_w) {
        if (iw < 0 || iw >= w.in_w) continue;
        OrWords(in + iw * words, words, y + ow * words);
      }
    }
  }
}

HWY_ATTR void Max(const Window& w, int64_t channels, int64_t first_row,
                  int64_t rows, const uint64_t* x, uint64_t* y) {
  const int64_t words = WordsFor(channels);
  for (int64_t row = first_row; row < first_row + rows; ++row) {
    MaxRow(w, words, row / w.out_h, row % w.out_h, x,
           y + row * w.out_w * words);
  }
}

}  // namespace

constexpr BinaryPoolKernels kBinaryPool = {.max = Max};
constexpr const BinaryPoolKernels* kBinaryPoolKernels = &kBinaryPool;

#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bqengine::kernels {

const BinaryPoolKernels* GetBinaryPoolKernels(Target target) {
  return BQE_SELECT_TARGET(target, kBinaryPoolKernels);
}

}  // namespace bqengine::kernels
#endif  // HWY_ONCE
