#include "kernels/depthwise.h"

#include <cstdint>

#include "target_policy.h"
#include "window_taps.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "depthwise.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

void Conv(const ConvShape& shape, int64_t begin, int64_t end, const float* x,
          const float* weight, const float* bias, float* y) {
  const Window& window = shape.window;
  const int64_t channels = shape.in_channels;
  OutputPixel at(window, begin);
  for (int64_t pixel = begin; pixel < end; ++pixel, at.Next()) {
    const WindowTaps taps(window, at);
    ForEachVector(channels, [&](auto d, int64_t c) HWY_ATTR {
      auto sum = hn::LoadU(d, bias + c);
      for (int64_t kh = taps.h.begin; kh < taps.h.end; ++kh) {
        for (int64_t kw = taps.w.begin; kw < taps.w.end; ++kw) {
          const int64_t in = taps.Pixel(window, kh, kw);
          const int64_t tap = kh * window.kernel_w + kw;
          sum = hn::MulAdd(hn::LoadU(d, x + in * channels + c),
                           hn::LoadU(d, weight + tap * channels + c), sum);
        }
      }
      hn::StoreU(sum, d, y + pixel * channels + c);
    });
  }
}

const DepthwiseKernels kTable = {.conv = Conv};
const DepthwiseKernels* const kDepthwise = &kTable;

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bqengine::kernels {

const DepthwiseKernels* GetDepthwiseKernels(Target target) {
  return BQE_SELECT_TARGET(target, kDepthwise);
}

}  // namespace bqengine::kernels
#endif  // HWY_ONCE
