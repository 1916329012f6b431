// Float matrix products and convolutions: y = x * weight' + bias.
//
// Every element of the output is summed in one fixed order, from the bias over
// ascending k, so its bits depend neither on the tile it falls into nor on how
// a caller divides the rows and channels.
#ifndef KERNELS_FGEMM_H_
#define KERNELS_FGEMM_H_

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/targets.h"

namespace bqengine::kernels {

struct FloatProductKernels {
  // Output channels that are computed together: a range of channels has to
  // begin at a multiple of it.
  int64_t panel_channels;

  // Floats that pack_weights writes.
  int64_t (*packed_floats)(int64_t k, int64_t out);
  // Brings weight [out, k] and bias [out] (null: zeros) into the order in which
  // `gemm` reads them. `packed` is aligned to 64 bytes.
  void (*pack_weights)(int64_t k, int64_t out, const float* weight,
                       const float* bias, float* packed);

  // y[r * y_stride + o] for r in [0, rows) and o in [out_begin, out_end), from
  // rows of k floats that are x_stride apart. out_begin is a multiple of
  // panel_channels; out_end is too, or it is the number of channels packed.
  void (*gemm)(int64_t rows, int64_t k, const float* x, int64_t x_stride,
               const float* packed, int64_t out_begin, int64_t out_end,
               float* y, int64_t y_stride);

  // For `conv`, each group is packed by itself and the groups follow each
  // other: pack_weights(k, O / groups, ..) with k = kernel_h * kernel_w * C /
  // groups.
  //
  // Computes the output pixels [begin, end) of [batch, out_h, out_w]. `scratch`
  // has conv_scratch_floats floats, aligned to 64 bytes.
  int64_t (*conv_scratch_floats)(const ConvShape& shape);
  void (*conv)(const ConvShape& shape, int64_t begin, int64_t end,
               const float* x, const float* packed, float* y, float* scratch);
};

// Null if this build does not contain the target. Call what it points to only
// if IsUsable(target).
const FloatProductKernels* GetFloatProductKernels(Target target);

}  // namespace bqengine::kernels

#endif  // KERNELS_FGEMM_H_
