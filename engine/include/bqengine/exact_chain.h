// Where the sign of a batch-normalised accumulator switches, in exact
// arithmetic.
//
// Frameworks round what stands between an integer accumulator and a sign, each
// in its own way, and may differ where the exact value is near zero. Ours go by
// the exact value of the stored parameters: passes, importers, quantizers and
// trainers ask here.
//
//   ExactChain chain;                       // y = x, an accumulator
//   chain.BatchNormalization(0.81096435f, -0.06873564f, 584.83264f, 653.917f,
//                            2e-5f);
//   *chain.Compare(587);                    // -1: y(587) is -1.7e-6
#ifndef BQENGINE_EXACT_CHAIN_H_
#define BQENGINE_EXACT_CHAIN_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "bqengine/export.h"
#include "bqengine/status.h"

namespace bqengine {

// A function y(x) of an integer, made of the ops of a network in order. Each
// call appends one; numbers are taken as the rationals that they are, and what
// ops do to them is exact: the real number that the formula means, whatever
// float arithmetic would make of it. A copy is independent; Compare may be
// called from any number of threads at once.
class BQENGINE_API ExactChain {
 public:
  static constexpr size_t kMostOps = 48;
  // Each square root multiplies the work of Compare, where doubles leave it
  // open.
  static constexpr size_t kMostBatchNorms = 4;

  // False, and nothing is appended, if a number is not finite (the bounds of
  // Clip may be infinite), if a slope is negative, if min > max, if
  // var + epsilon <= 0, or if there are as many as above already.
  bool Mul(float factor);
  bool Add(float summand);
  // (y - mean) / sqrt(var + epsilon) * scale + bias
  bool BatchNormalization(float scale, float bias, float mean, float var,
                          float epsilon);
  bool Relu();
  bool PRelu(float slope);  // y < 0 ? slope * y : y
  bool Clip(float min, float max);
  bool Floor();

  // The sign of y(x) - threshold: -1, 0 or 1. `threshold` may be infinite but
  // is no NaN. Only kOutOfMemory.
  Result<int> Compare(int64_t x, float threshold = 0) const;

 private:
  enum class Kind { kMul, kAdd, kBatchNorm, kRelu, kPRelu, kClip, kFloor };
  struct Op {
    Kind kind;
    float value[5];
  };
  struct Exact;  // the arithmetic, in exact_chain.cc
  bool Append(const Op& op);
  int CompareExactly(int64_t x, float threshold) const;

  std::array<Op, kMostOps> ops_ = {};
  size_t num_ops_ = 0;
  size_t num_batch_norms_ = 0;
};

}  // namespace bqengine

#endif  // BQENGINE_EXACT_CHAIN_H_
