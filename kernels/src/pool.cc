#include "kernels/pool.h"

#include <cstdint>
#include <limits>

#include "target_policy.h"
#include "window_taps.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "pool.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

// Calls body(d, value) for the elements under a window in ascending (h, w)
// order, `channel` being the first of the vector.
template <class D, class Body>
HWY_INLINE void ForEachTap(D d, const Window& window, const WindowTaps& taps,
                           int64_t channels, int64_t channel, const float* x,
                           const Body& body) {
  for (int64_t kh = taps.h.begin; kh < taps.h.end; ++kh) {
    for (int64_t kw = taps.w.begin; kw < taps.w.end; ++kw) {
      const int64_t pixel = taps.Pixel(window, kh, kw);
      body(hn::LoadU(d, x + pixel * channels + channel));
    }
  }
}

void MaxPool(const Window& window, int64_t channels, int64_t begin, int64_t end,
             const float* x, float* y) {
  OutputPixel at(window, begin);
  for (int64_t pixel = begin; pixel < end; ++pixel, at.Next()) {
    const WindowTaps taps(window, at);
    ForEachVector(channels, [&](auto d, int64_t c) HWY_ATTR {
      auto max = hn::Set(d, -std::numeric_limits<float>::infinity());
      ForEachTap(d, window, taps, channels, c, x, [&](auto value) HWY_ATTR {
        // A NaN wins, and nothing is greater than one that has won.
        const auto wins = hn::Or(hn::Gt(value, max), hn::IsNaN(value));
        max = hn::IfThenElse(wins, value, max);
      });
      hn::StoreU(max, d, y + pixel * channels + c);
    });
  }
}

// Elements that the average is taken over. Nothing lies above or left of the
// padding, so only its other ends can be crossed.
int64_t AverageCount(const Window& window, const OutputPixel& at,
                     const WindowTaps& taps, bool count_include_pad) {
  if (!count_include_pad) return taps.h.count() * taps.w.count();
  return InsideTaps(at.first_h(), window.dilation_h, window.kernel_h,
                    window.in_h + window.pad_bottom)
             .end *
         InsideTaps(at.first_w(), window.dilation_w, window.kernel_w,
                    window.in_w + window.pad_right)
             .end;
}

void AveragePool(const Window& window, int64_t channels, bool count_include_pad,
                 int64_t begin, int64_t end, const float* x, float* y) {
  OutputPixel at(window, begin);
  for (int64_t pixel = begin; pixel < end; ++pixel, at.Next()) {
    const WindowTaps taps(window, at);
    const int64_t count = AverageCount(window, at, taps, count_include_pad);
    ForEachVector(channels, [&](auto d, int64_t c) HWY_ATTR {
      auto sum = hn::Zero(d);
      ForEachTap(d, window, taps, channels, c, x,
                 [&](auto value) HWY_ATTR { sum = hn::Add(sum, value); });
      // Nothing under the window: 0, not 0 / 0.
      if (count != 0) sum = hn::Div(sum, hn::Set(d, float(count)));
      hn::StoreU(sum, d, y + pixel * channels + c);
    });
  }
}

void GlobalAveragePool(int64_t items, int64_t pixels, int64_t channels,
                       const float* x, float* y) {
  for (int64_t n = 0; n < items; ++n) {
    const float* item = x + n * pixels * channels;
    ForEachVector(channels, [&](auto d, int64_t c) HWY_ATTR {
      auto sum = hn::Zero(d);
      for (int64_t p = 0; p < pixels; ++p) {
        sum = hn::Add(sum, hn::LoadU(d, item + p * channels + c));
      }
      hn::StoreU(hn::Div(sum, hn::Set(d, float(pixels))), d,
                 y + n * channels + c);
    });
  }
}

const FloatPoolKernels kTable = {
    .max = MaxPool,
    .average = AveragePool,
    .global_average = GlobalAveragePool,
};
const FloatPoolKernels* const kFloatPool = &kTable;

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bqengine::kernels {

const FloatPoolKernels* GetFloatPoolKernels(Target target) {
  return BQE_SELECT_TARGET(target, kFloatPool);
}

}  // namespace bqengine::kernels
#endif  // HWY_ONCE
