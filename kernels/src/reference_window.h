// The loops of a sliding window, shared by the scalar convolutions and pools.
#ifndef KERNELS_REFERENCE_WINDOW_H_
#define KERNELS_REFERENCE_WINDOW_H_

#include <cstdint>

#include "kernels/shapes.h"

namespace bqengine::kernels::reference {

// Calls body(pixel, n, oh, ow) for every output position; `pixel` counts them.
template <typename Body>
void ForEachOutputPixel(const Window& w, const Body& body) {
  int64_t pixel = 0;
  for (int64_t n = 0; n < w.batch; ++n) {
    for (int64_t oh = 0; oh < w.out_h; ++oh) {
      for (int64_t ow = 0; ow < w.out_w; ++ow) body(pixel++, n, oh, ow);
    }
  }
}

// One element of the kernel on one output position.
struct Tap {
  int64_t index;   // kh * kernel_w + kw
  int64_t ih, iw;  // in the image, or outside of it on padding
  bool inside;
};

// Calls body(tap) for every element of the kernel, in ascending order.
template <typename Body>
void ForEachTap(const Window& w, int64_t oh, int64_t ow, const Body& body) {
  for (int64_t kh = 0; kh < w.kernel_h; ++kh) {
    for (int64_t kw = 0; kw < w.kernel_w; ++kw) {
      const int64_t ih = oh * w.stride_h - w.pad_top + kh * w.dilation_h;
      const int64_t iw = ow * w.stride_w - w.pad_left + kw * w.dilation_w;
      const bool inside = ih >= 0 && ih < w.in_h && iw >= 0 && iw < w.in_w;
      body(Tap{kh * w.kernel_w + kw, ih, iw, inside});
    }
  }
}

// Position of an input pixel in [batch, in_h, in_w].
inline int64_t InputPixel(const Window& w, int64_t n, const Tap& tap) {
  return (n * w.in_h + tap.ih) * w.in_w + tap.iw;
}

}  // namespace bqengine::kernels::reference

#endif  // KERNELS_REFERENCE_WINDOW_H_
