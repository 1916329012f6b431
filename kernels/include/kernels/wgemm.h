// Products of float activations with binary weights (BinaryConnect, BWN): the
// weights stay bits in memory.
//
//   y[o] = (sum_m alpha[m][o] * acc[m]) * mul[o] + add[o],
//
// acc[m] being the dot product with the weights of base m, which are {-1,+1} or
// {0,1}. It is summed in one fixed order, over ascending k, and every other
// operation rounds by itself, so the bits of the output depend neither on the
// tile, nor on how a caller divides rows and channels, nor on the target. A
// unipolar weight of 0 leaves its activation out, even if that is infinite or
// not a number.
#ifndef KERNELS_WGEMM_H_
#define KERNELS_WGEMM_H_

#include <cstdint>

#include "kernels/epilogue.h"
#include "kernels/shapes.h"
#include "kernels/targets.h"

namespace bqengine::kernels {

struct BinaryWeightProductKernels {
  // Output channels that are computed together: a range of channels has to
  // begin at a multiple of it.
  int64_t panel_channels;

  // 32-bit words that pack_weights writes. k counts all taps.
  int64_t (*packed_words)(int64_t k, int64_t out, int64_t weight_bases);

  // Packs channels [first, first + out) of weight [M, total_out, taps,
  // WordsFor(tap_bits)], with what the epilogue has for them (of which
  // activation bases, beta and threshold are not used); k = taps * tap_bits.
  // `packed` is aligned to 64 bytes.
  void (*pack_weights)(int64_t taps, int64_t tap_bits, int64_t total_out,
                       int64_t first, int64_t out, Encoding encoding,
                       const uint64_t* weight, const Epilogue& epilogue,
                       uint32_t* packed);

  // As FloatProductKernels::gemm.
  void (*gemm)(int64_t rows, int64_t k, int64_t weight_bases, Encoding encoding,
               const float* x, int64_t x_stride, const uint32_t* packed,
               int64_t out_begin, int64_t out_end, float* y, int64_t y_stride);

  // As FloatProductKernels::conv: each group is packed by itself.
  int64_t (*conv_scratch_floats)(const ConvShape& shape);
  void (*conv)(const ConvShape& shape, int64_t weight_bases, Encoding encoding,
               int64_t begin, int64_t end, const float* x,
               const uint32_t* packed, float* y, float* scratch);
};

// Null if this build does not contain the target. Call what it points to only
// if IsUsable(target).
const BinaryWeightProductKernels* GetBinaryWeightProductKernels(Target target);

}  // namespace bqengine::kernels

#endif  // KERNELS_WGEMM_H_
