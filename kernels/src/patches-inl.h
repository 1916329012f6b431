// Convolution as a matrix product: the input under each output pixel becomes a
// row of k = kernel_h * kernel_w * (C / groups) floats, in the order of the
// weights (kh, kw, c) and with zeros for padding. Only as many rows as fit in
// cache are gathered at a time, and none where the input itself has this form.

#if defined(KERNELS_SRC_PATCHES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_SRC_PATCHES_INL_H_
#undef KERNELS_SRC_PATCHES_INL_H_
#else
#define KERNELS_SRC_PATCHES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/shapes.h"
#include "window_taps.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Short runs are copied in steps of 4 floats and may write up to 3 too many.
// Rows are filled from front to back, so the next run overwrites them; the last
// row needs this much room behind it.
constexpr int64_t kPatchSlackFloats = 4;

// Rows gathered at a time. A multiple of all tile heights; at k = 2304 they
// take 221 kB, which leaves room in a second-level cache for the weights.
constexpr int64_t kPatchRows = 24;

HWY_INLINE void CopyRun(const float* from, const float* from_end, int64_t count,
                        float* to) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 4> d4;
  const int64_t lanes = hn::Lanes(d);
  if (count >= lanes) {
    for (int64_t i = 0; i < count - lanes; i += lanes) {
      hn::StoreU(hn::LoadU(d, from + i), d, to + i);
    }
    hn::StoreU(hn::LoadU(d, from + count - lanes), d, to + count - lanes);
  } else if (from_end - from >= count + 3) {
    for (int64_t i = 0; i < count; i += 4) {
      hn::StoreU(hn::LoadU(d4, from + i), d4, to + i);
    }
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
  }
}

HWY_INLINE void ZeroRun(int64_t count, float* to) {
  const hn::CappedTag<float, 4> d4;
  for (int64_t i = 0; i < count; i += 4) hn::StoreU(hn::Zero(d4), d4, to + i);
}

// One row of the kernel: the pixels under it are neighbours, so where nothing
// lies between their channels they are copied at once.
HWY_INLINE void GatherKernelRow(const ConvShape& shape, int64_t channel,
                                const float* image_row, const float* x_end,
                                int64_t first_w, float* to) {
  const Window& w = shape.window;
  const int64_t channels = shape.in_channels / shape.groups;
  if (shape.groups == 1 && w.dilation_w == 1) {
    const int64_t left = std::clamp<int64_t>(-first_w, 0, w.kernel_w);
    const int64_t right = std::clamp<int64_t>(first_w + w.kernel_w - w.in_w, 0,
                                              w.kernel_w - left);
    const int64_t inside = w.kernel_w - left - right;
    ZeroRun(left * channels, to);
    if (inside > 0) {
      CopyRun(image_row + (first_w + left) * channels, x_end, inside * channels,
              to + left * channels);
    }
    ZeroRun(right * channels, to + (left + inside) * channels);
    return;
  }
  for (int64_t kw = 0; kw < w.kernel_w; ++kw, to += channels) {
    const int64_t iw = first_w + kw * w.dilation_w;
    if (iw >= 0 && iw < w.in_w) {
      CopyRun(image_row + iw * shape.in_channels + channel, x_end, channels,
              to);
    } else {
      ZeroRun(channels, to);
    }
  }
}

// Rows of output pixels [begin, begin + rows), for one group.
HWY_INLINE void GatherPatches(const ConvShape& shape, int64_t group,
                              int64_t begin, int64_t rows, const float* x,
                              float* patches) {
  const Window& w = shape.window;
  const int64_t channels = shape.in_channels / shape.groups;
  const int64_t run = w.kernel_w * channels;
  const int64_t row_floats = w.in_w * shape.in_channels;
  const float* x_end = x + w.batch * w.in_h * row_floats;
  OutputPixel at(w, begin);
  for (int64_t row = 0; row < rows; ++row, at.Next()) {
    const float* image = x + at.n() * w.in_h * row_floats;
    for (int64_t kh = 0; kh < w.kernel_h; ++kh, patches += run) {
      const int64_t ih = at.first_h() + kh * w.dilation_h;
      if (ih >= 0 && ih < w.in_h) {
        GatherKernelRow(shape, group * channels, image + ih * row_floats, x_end,
                        at.first_w(), patches);
      } else {
        ZeroRun(run, patches);
      }
    }
  }
}

// True if a row of the input is a row of the product. (Padding would make the
// output larger.)
HWY_INLINE bool IsPointwise(const Window& w) {
  return w.kernel_h == 1 && w.kernel_w == 1 && w.stride_h == 1 &&
         w.stride_w == 1 && w.out_h == w.in_h && w.out_w == w.in_w;
}

HWY_INLINE int64_t PatchFloats(const ConvShape& shape) {
  const Window& w = shape.window;
  return w.kernel_h * w.kernel_w * (shape.in_channels / shape.groups);
}

HWY_INLINE int64_t PatchScratchFloats(const ConvShape& shape) {
  if (IsPointwise(shape.window)) return 0;
  return kPatchRows * PatchFloats(shape) + kPatchSlackFloats;
}

// Calls product(group, rows, x, x_stride, y) for all groups of output pixels
// [begin, end); y is at the first channel of the group.
template <class GroupProduct>
HWY_INLINE void ConvRows(const ConvShape& shape, int64_t begin, int64_t end,
                         const float* x, float* y, float* scratch,
                         const GroupProduct& product) {
  const int64_t k = PatchFloats(shape);
  const int64_t out = shape.out_channels / shape.groups;
  const bool pointwise = IsPointwise(shape.window);
  const int64_t step = pointwise ? end - begin : kPatchRows;
  for (int64_t row = begin; row < end; row += step) {
    const int64_t rows = std::min(step, end - row);
    for (int64_t group = 0; group < shape.groups; ++group) {
      float* group_y = y + row * shape.out_channels + group * out;
      if (pointwise) {
        product(group, rows, x + row * shape.in_channels + group * k,
                shape.in_channels, group_y);
      } else {
        GatherPatches(shape, group, row, rows, x, scratch);
        product(group, rows, scratch, k, group_y);
      }
    }
  }
}

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // KERNELS_SRC_PATCHES_INL_H_
