// Products of 8-bit activations (int8 or uint8) with binary weights: first
// layers, which see pictures.
//
//   y[o] = (sum_m alpha[m][o] * float(acc[m])) * mul[o] + add[o],
//
// acc[m] being the exact dot product with the weights of base m, which are
// {-1,+1} or {0,1}, in int32: at most kMostByteTaps weights meet one output.
// float(acc) is exact up to 2^24 and rounds to the nearest, ties to even,
// beyond (more than 65793 weights under uint8). Sums over m go in ascending
// order and every operation rounds by itself, so that outputs are the same bits
// on every target. Padding is the integer 0.
//
// Weights are expanded to bytes when they are packed, 4 of a channel to a
// 32-bit lane, and meet the activations in the target's own dot product of
// bytes: VNNI's, 64 multiply-adds for one instruction; pairs (maddubs), 32
// bytes for two; on NEON a mask and a pairwise sum. Splitting the activations
// into 8 planes of bits instead would take the binary product 8 times: 341 / 8
// = 43 multiply-adds a cycle at most on Zen 4, where VNNI's bound is 64, and
// less than is measured on every target of bench/README.md. Looking sums of
// four activations up takes two shuffles for their 10 bits, and tables made for
// every row. The price is memory, a byte a weight; first layers are small.
#ifndef KERNELS_W8GEMM_H_
#define KERNELS_W8GEMM_H_

#include <cstdint>

#include "kernels/epilogue.h"
#include "kernels/shapes.h"
#include "kernels/targets.h"

namespace bqengine::kernels {

struct ByteProductKernels {
  // Output channels that are computed together: a range of channels has to
  // begin at a multiple of it.
  int64_t panel_channels;

  // 32-bit words that pack_weights writes. Of the shape, these two take
  // everything but the size of image and batch.
  int64_t (*packed_words)(const ConvShape& shape, int64_t weight_bases);

  // Packs weight [M, O, kernel_h, kernel_w, WordsFor(C / groups)], with what
  // the epilogue has for them (of which activation bases, beta and threshold
  // are not used). `packed` is aligned to 64 bytes.
  void (*pack_weights)(const ConvShape& shape, Encoding encoding, ByteType type,
                       const uint64_t* weight, const Epilogue& epilogue,
                       uint32_t* packed);

  // Grows with the batch up to some limit.
  int64_t (*scratch_bytes)(const ConvShape& shape);

  // Output pixels [begin, end) of y [batch, out_h, out_w, O], of them channels
  // [out_begin, out_end): all, unless there is but one group. A matrix product
  // is a convolution (GemmAsConv). `scratch` is aligned to 8 bytes.
  void (*conv)(const ConvShape& shape, int64_t weight_bases, Encoding encoding,
               ByteType type, int64_t begin, int64_t end, int64_t out_begin,
               int64_t out_end, const uint8_t* x, const uint32_t* packed,
               float* y, uint8_t* scratch);
};

// Null if this build does not contain the target. Call what it points to only
// if IsUsable(target).
const ByteProductKernels* GetByteProductKernels(Target target);

}  // namespace bqengine::kernels

#endif  // KERNELS_W8GEMM_H_
