// Softmax: y = exp(x - max) / sum(exp(x - max)). NaN in, or a largest value
// that is infinite, gives NaN in the whole row, as in the scalar twin.
#ifndef KERNELS_SOFTMAX_H_
#define KERNELS_SOFTMAX_H_

#include <cstdint>

#include "kernels/targets.h"

namespace bqengine::kernels {

struct SoftmaxKernels {
  // x and y: [outer, length, inner], not overlapping; over `length` elements
  // that are `inner` apart.
  void (*softmax)(int64_t outer, int64_t length, int64_t inner, const float* x,
                  float* y);
};

// Null if this build does not contain the target. Call what it points to only
// if IsUsable(target).
const SoftmaxKernels* GetSoftmaxKernels(Target target);

}  // namespace bqengine::kernels

#endif  // KERNELS_SOFTMAX_H_
