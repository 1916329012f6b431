// Floats to bits.
#ifndef KERNELS_BINARIZE_H_
#define KERNELS_BINARIZE_H_

#include <cstdint>

#include "kernels/targets.h"

namespace bqengine::kernels {

struct BinarizeKernels {
  // bit = x >= threshold (NaN: 0). x: [rows, channels];
  // y: [rows, WordsFor(channels)], padding bits are cleared. threshold null: 0;
  // stride 0: one for all channels, 1: one each.
  void (*run)(int64_t rows, int64_t channels, const float* x,
              const float* threshold, int64_t threshold_stride, uint64_t* y);
};

// Null if this build does not contain the target.
const BinarizeKernels* GetBinarizeKernels(Target target);

}  // namespace bqengine::kernels

#endif  // KERNELS_BINARIZE_H_
