// Float ops that treat each element by itself. Bit-identical to the scalar
// twins in kernels/reference.h on every target, NaN and signs of zeros included
// (which NaN, of several, is not).
//
// Outputs must not overlap inputs.
#ifndef KERNELS_ELEMENTWISE_H_
#define KERNELS_ELEMENTWISE_H_

#include <cstdint>

#include "kernels/targets.h"

namespace bqengine::kernels {

struct ElementwiseKernels {
  // y = x * mul + add, rounded twice. x and y: [rows, channels]; mul and add:
  // [channels], or null for absent.
  void (*affine)(int64_t rows, int64_t channels, const float* x,
                 const float* mul, const float* add, float* y);
  // y = x < 0 ? slope * x : x. slope: [channels].
  void (*prelu)(int64_t rows, int64_t channels, const float* x,
                const float* slope, float* y);

  void (*add)(int64_t count, const float* a, const float* b, float* y);
  void (*mul)(int64_t count, const float* a, const float* b, float* y);
  void (*relu)(int64_t count, const float* x, float* y);
  void (*clip)(int64_t count, float min, float max, const float* x, float* y);
  void (*floor)(int64_t count, const float* x, float* y);
};

// Null if this build does not contain the target. Call what it points to only
// if IsUsable(target).
const ElementwiseKernels* GetElementwiseKernels(Target target);

}  // namespace bqengine::kernels

#endif  // KERNELS_ELEMENTWISE_H_
