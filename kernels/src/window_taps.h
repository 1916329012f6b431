// Where the window of a convolution or a pool lies: shared by the float kernels
// that slide one.
#ifndef KERNELS_SRC_WINDOW_TAPS_H_
#define KERNELS_SRC_WINDOW_TAPS_H_

#include <algorithm>
#include <cstdint>

#include "kernels/shapes.h"

namespace bqengine::kernels {

// Walks over the output pixels [batch, out_h, out_w] of a window.
class OutputPixel {
 public:
  OutputPixel(const Window& window, int64_t index)
      : window_(window),
        ow_(index % window.out_w),
        oh_(index / window.out_w % window.out_h),
        n_(index / window.out_w / window.out_h) {}

  void Next() {
    if (++ow_ < window_.out_w) return;
    ow_ = 0;
    if (++oh_ < window_.out_h) return;
    oh_ = 0;
    ++n_;
  }

  int64_t n() const { return n_; }
  // The input row and column under the first tap; negative in padding.
  int64_t first_h() const { return oh_ * window_.stride_h - window_.pad_top; }
  int64_t first_w() const { return ow_ * window_.stride_w - window_.pad_left; }

 private:
  const Window& window_;
  int64_t ow_, oh_, n_;
};

struct TapRange {
  int64_t begin, end;
  int64_t count() const { return end - begin; }
};

// The taps t in [0, kernel) with 0 <= first + t * dilation < size.
inline TapRange InsideTaps(int64_t first, int64_t dilation, int64_t kernel,
                           int64_t size) {
  // Steps needed to cover a distance.
  const auto steps = [&](int64_t distance) {
    return distance <= 0
               ? 0
               : std::min((distance + dilation - 1) / dilation, kernel);
  };
  const int64_t begin = steps(-first);
  return {begin, std::max(begin, steps(size - first))};
}

// The taps of an output pixel that lie on the image, and the input under the
// first tap of all (which may lie outside).
struct WindowTaps {
  TapRange h, w;
  int64_t first_pixel;  // in [batch, in_h, in_w]

  WindowTaps(const Window& window, const OutputPixel& at)
      : h(InsideTaps(at.first_h(), window.dilation_h, window.kernel_h,
                     window.in_h)),
        w(InsideTaps(at.first_w(), window.dilation_w, window.kernel_w,
                     window.in_w)),
        first_pixel((at.n() * window.in_h + at.first_h()) * window.in_w +
                    at.first_w()) {}

  // Input pixel under tap (kh, kw).
  int64_t Pixel(const Window& window, int64_t kh, int64_t kw) const {
    return first_pixel + kh * window.dilation_h * window.in_w +
           kw * window.dilation_w;
  }
};

}  // namespace bqengine::kernels

#endif  // KERNELS_SRC_WINDOW_TAPS_H_
