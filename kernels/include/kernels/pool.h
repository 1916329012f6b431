// Pools over floats. Bit-identical to the scalar twins in kernels/reference.h
// on every target.
//
// x: [batch, in_h, in_w, channels]; y: [batch, out_h, out_w, channels]. A call
// computes the output pixels [begin, end) of [batch, out_h, out_w].
#ifndef KERNELS_POOL_H_
#define KERNELS_POOL_H_

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/targets.h"

namespace bqengine::kernels {

struct FloatPoolKernels {
  // NaN if any element is; padding is -inf.
  void (*max)(const Window& window, int64_t channels, int64_t begin,
              int64_t end, const float* x, float* y);
  // The sum in ascending (h, w) order, divided by the number of elements on the
  // image, or with count_include_pad on the image and its padding.
  void (*average)(const Window& window, int64_t channels,
                  bool count_include_pad, int64_t begin, int64_t end,
                  const float* x, float* y);
  // x: [items, pixels, channels]; y: [items, channels].
  void (*global_average)(int64_t items, int64_t pixels, int64_t channels,
                         const float* x, float* y);
};

// Null if this build does not contain the target. Call what it points to only
// if IsUsable(target).
const FloatPoolKernels* GetFloatPoolKernels(Target target);

}  // namespace bqengine::kernels

#endif  // KERNELS_POOL_H_
