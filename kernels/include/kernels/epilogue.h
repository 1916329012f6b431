// What stands around the integer accumulators of a binary product: the meaning
// of its bits before, and the way to its output behind. Shared by the scalar
// and the SIMD kernels.
#ifndef KERNELS_EPILOGUE_H_
#define KERNELS_EPILOGUE_H_

#include <cstdint>

#include "kernels/shapes.h"

namespace bqengine::kernels {

// Encodings and padding of a binary product. `pad_value` is the value of a
// padded activation: -1, 0 or 1 (bipolar), 0 or 1 (unipolar).
struct BinaryFormat {
  Encoding activations = Encoding::kBipolar;
  Encoding weights = Encoding::kBipolar;
  int pad_value = 0;
};

// A step behind the affine, x -> y, for one channel; `value` is its constant.
enum class PostOp {
  kRelu,      // x < 0 ? 0 : x
  kPRelu,     // x < 0 ? value * x : x
  kClip,      // x < min ? min : x, then x > max ? max : x
  kAdd,       // x + value
  kMul,       // x * value
  kResidual,  // x + residual, the element of a tensor of the output's shape
};

struct PostStep {
  PostOp op;
  // kPRelu, kAdd, kMul: per channel, as in Epilogue; kClip: {min, max}.
  const float* value = nullptr;
  int64_t stride = 0;
};

inline constexpr int kMaxPostSteps = 8;

// With acc[m][n] the integer dot product of weight base m and activation base
// n, each operation rounded by itself, sums in ascending order:
//
//   s = float(acc)                                          M = N = 1, no alpha
//                                                           and no beta
//   s = sum_n beta[n] * (sum_m alpha[m][o] * float(acc[m][n]))      otherwise
//   y = s * mul[o] + add[o], then the steps of `post`, one after the other
//   bit = y >= threshold[o]
//
// Null pointers are absent: a missing alpha, beta or mul is no multiplication,
// a missing add no addition. `*_stride` is 0 for one value for all channels, 1
// for one each.
struct Epilogue {
  int64_t weight_bases = 1;      // M
  int64_t activation_bases = 1;  // N
  const float* alpha = nullptr;  // [M] or [M, O]
  bool alpha_per_channel = false;
  const float* beta = nullptr;  // [N]
  const float* mul = nullptr;
  int64_t mul_stride = 0;
  const float* add = nullptr;
  int64_t add_stride = 0;
  int post_steps = 0;
  PostStep post[kMaxPostSteps] = {};
  // Only for packed output; null means 0.
  const float* threshold = nullptr;
  int64_t threshold_stride = 0;
};

// Of a run: floats, bits, or both.
struct BinaryOutput {
  float* y = nullptr;               // [.., O]
  uint64_t* y_bits = nullptr;       // [.., WordsFor(O)]
  const float* residual = nullptr;  // [.., O]; only if a step wants it
};

}  // namespace bqengine::kernels

#endif  // KERNELS_EPILOGUE_H_
