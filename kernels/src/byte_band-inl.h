// The input under neighbouring output pixels of one image row, as a band of
// padded rows, one for each row of the kernel:
//
//     kh = 0   0 0 0 r g b r g b r g b ...      output pixel i begins at
//     kh = 1   0 0 0 r g b r g b r g b ...      i * stride_w * C, and reads on
//     ...                                       from there in each of the rows
//
// What lies under one pixel is a number of runs of bytes: a row of the kernel,
// or where something lies between its channels (dilation, groups) a tap of it.
// Runs are read in steps of 4 bytes, the last of which may reach beyond its
// run; weights there are 0. Copying bands costs a few cycles a pixel, where
// gathering what lies under each pixel cost more than its product (7x7x3: 200
// of 310 cycles a pixel, AVX-512).

#if defined(KERNELS_SRC_BYTE_BAND_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_BYTE_BAND_INL_H_
#undef KERNELS_SRC_BYTE_BAND_INL_H_
#else
#define KERNELS_SRC_BYTE_BAND_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/shapes.h"
#include "window_taps.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

constexpr int64_t kStepBytes = 4;

// Output pixels of a band, a multiple of all tile heights.
constexpr int64_t kBandPixels = 48;

// Steps read up to 3 bytes beyond the last run.
constexpr int64_t kBandSlack = 4;

struct ByteRuns {
  int64_t in_kernel_row;
  int64_t count;
  int64_t bytes;       // of each
  int64_t steps;       // of each
  uint32_t last_mask;  // the bytes of the last step that belong to the run

  explicit ByteRuns(const ConvShape& shape) {
    const Window& w = shape.window;
    const int64_t channels = shape.in_channels / shape.groups;
    const bool joined = shape.groups == 1 && w.dilation_w == 1;
    in_kernel_row = joined ? 1 : w.kernel_w;
    count = w.kernel_h * in_kernel_row;
    bytes = joined ? w.kernel_w * channels : channels;
    steps = (bytes + kStepBytes - 1) / kStepBytes;
    last_mask = ~uint32_t{0} >> (8 * (steps * kStepBytes - bytes));
  }

  // How many bytes of a step, of those of all runs, belong to its run.
  HWY_INLINE int64_t BytesOf(int64_t step) const {
    return std::min(bytes - step % steps * kStepBytes, kStepBytes);
  }
};

// A tensor of which each pixel is a row of a matrix product is one row of
// pixels.
HWY_INLINE ConvShape OneRowIfPointwise(const ConvShape& shape) {
  const Window& w = shape.window;
  ConvShape flat = shape;
  if (w.kernel_h == 1 && w.kernel_w == 1 && w.stride_h == 1 &&
      w.stride_w == 1 && w.out_h == w.in_h && w.out_w == w.in_w) {
    flat.window.in_w = flat.window.out_w = w.batch * w.in_h * w.in_w;
    flat.window.batch = flat.window.in_h = flat.window.out_h = 1;
  }
  return flat;
}

class ByteBand {
 public:
  explicit ByteBand(const ConvShape& shape)
      : shape_(shape),
        pitch_(Width(std::min(shape.window.out_w, kBandPixels)) *
               shape.in_channels) {}

  int64_t bytes() const { return shape_.window.kernel_h * pitch_ + kBandSlack; }

  // Where the runs begin, from the first byte under a pixel.
  void FillOffsets(int64_t* offsets) const {
    const Window& w = shape_.window;
    const int64_t runs = ByteRuns(shape_).in_kernel_row;
    for (int64_t kh = 0; kh < w.kernel_h; ++kh) {
      for (int64_t run = 0; run < runs; ++run) {
        *offsets++ = kh * pitch_ + run * w.dilation_w * shape_.in_channels;
      }
    }
  }

  // The band of `pixels` output pixels. Bytes are XORed with `flip`; padding is
  // 0 before that.
  void Fill(const OutputPixel& at, int64_t pixels, const uint8_t* x,
            uint8_t flip, uint8_t* band) const {
    const Window& w = shape_.window;
    const int64_t channels = shape_.in_channels;
    const int64_t width = Width(pixels);
    const int64_t left = std::clamp<int64_t>(-at.first_w(), 0, width);
    const int64_t right =
        std::clamp<int64_t>(at.first_w() + width - w.in_w, 0, width - left);
    const int64_t inside = width - left - right;
    for (int64_t kh = 0; kh < w.kernel_h; ++kh, band += pitch_) {
      const int64_t ih = at.first_h() + kh * w.dilation_h;
      if (ih < 0 || ih >= w.in_h || inside == 0) {
        std::memset(band, flip, size_t(width * channels));
        continue;
      }
      const int64_t first =
          (at.n() * w.in_h + ih) * w.in_w + at.first_w() + left;
      std::memset(band, flip, size_t(left * channels));
      CopyFlipped(x + first * channels, inside * channels, flip,
                  band + left * channels);
      std::memset(band + (left + inside) * channels, flip,
                  size_t(right * channels));
    }
  }

 private:
  // Input pixels under `pixels` output pixels.
  int64_t Width(int64_t pixels) const {
    const Window& w = shape_.window;
    return (pixels - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1;
  }

  static void CopyFlipped(const uint8_t* HWY_RESTRICT from, int64_t count,
                          uint8_t flip, uint8_t* HWY_RESTRICT to) {
    if (flip == 0) {
      std::memcpy(to, from, size_t(count));
    } else {
      for (int64_t i = 0; i < count; ++i) to[i] = from[i] ^ flip;
    }
  }

  const ConvShape& shape_;
  int64_t pitch_;  // bytes from one row to the next
};

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // KERNELS_SRC_BYTE_BAND_INL_H_
