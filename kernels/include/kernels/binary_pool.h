// Maximum of bits in a sliding window.
#ifndef KERNELS_BINARY_POOL_H_
#define KERNELS_BINARY_POOL_H_

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/targets.h"

namespace bqengine::kernels {

struct BinaryPoolKernels {
  // The output rows [first, first + rows) of batch * out_h. x and y are the
  // whole tensors: [batch, in_h, in_w, WordsFor(channels)], and the output's.
  // Padding never wins.
  void (*max)(const Window& window, int64_t channels, int64_t first_row,
              int64_t rows, const uint64_t* x, uint64_t* y);
};

// Null if this build does not contain the target.
const BinaryPoolKernels* GetBinaryPoolKernels(Target target);

}  // namespace bqengine::kernels

#endif  // KERNELS_BINARY_POOL_H_
