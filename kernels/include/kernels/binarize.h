// Floats, and 8-bit integers, to bits.
#ifndef KERNELS_BINARIZE_H_
#define KERNELS_BINARIZE_H_

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/targets.h"

namespace bqengine::kernels {

struct BinarizeKernels {
  // bit = x >= threshold (NaN: 0). x: [rows, channels];
  // y: [rows, WordsFor(channels)], padding bits are cleared. threshold null: 0;
  // stride 0: one for all channels, 1: one each.
  void (*run)(int64_t rows, int64_t channels, const float* x,
              const float* threshold, int64_t threshold_stride, uint64_t* y);

  // The same for 8-bit integers: float(x) >= threshold, with thresholds that
  // PrepareByteThresholds made.
  void (*run_bytes)(int64_t rows, int64_t channels, ByteType type,
                    const uint8_t* x, const int8_t* smallest,
                    const uint64_t* reachable, uint64_t* y);
};

// An integer reaches a threshold from its ceiling on. smallest: [channels],
// that ceiling within the range of the type, uint8 less 128; reachable:
// [WordsFor(channels)], a bit for each channel of which the largest integer
// reaches the threshold (NaN: none does). threshold as in `run`.
void PrepareByteThresholds(int64_t channels, ByteType type,
                           const float* threshold, int64_t threshold_stride,
                           int8_t* smallest, uint64_t* reachable);

// Null if this build does not contain the target.
const BinarizeKernels* GetBinarizeKernels(Target target);

}  // namespace bqengine::kernels

#endif  // KERNELS_BINARIZE_H_
