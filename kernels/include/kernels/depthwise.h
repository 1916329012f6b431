// Depthwise float convolutions: as many groups as input and output channels, so
// that the channels, and not a product's k, are what vectors run along.
#ifndef KERNELS_DEPTHWISE_H_
#define KERNELS_DEPTHWISE_H_

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/targets.h"

namespace bqengine::kernels {

struct DepthwiseKernels {
  // Computes the output pixels [begin, end) of [batch, out_h, out_w]; shape has
  // in_channels == out_channels == groups. Sums run from the bias over
  // ascending taps. weight: [kernel_h, kernel_w, C], that is transposed; bias:
  // [C].
  void (*conv)(const ConvShape& shape, int64_t begin, int64_t end,
               const float* x, const float* weight, const float* bias,
               float* y);
};

// Null if this build does not contain the target. Call what it points to only
// if IsUsable(target).
const DepthwiseKernels* GetDepthwiseKernels(Target target);

}  // namespace bqengine::kernels

#endif  // KERNELS_DEPTHWISE_H_
