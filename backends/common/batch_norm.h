// BatchNormalization as a multiplication and an addition per channel.
#ifndef BACKENDS_COMMON_BATCH_NORM_H_
#define BACKENDS_COMMON_BATCH_NORM_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "bqengine/backend.hpp"

namespace bqengine::backends {

struct Affine {
  std::vector<float> mul, add;
};

// In double and rounded once, in just this order of operations: the passes that
// fold a BatchNormalization compute the same, so that a folded graph gives the
// same bits.
inline Affine AffineOfBatchNorm(const backend::NodeView& node) {
  const float* scale = node.constant("scale").floats();
  const float* bias = node.constant("bias").floats();
  const float* mean = node.constant("mean").floats();
  const float* var = node.constant("var").floats();
  const double epsilon = node.Float("epsilon");
  const size_t channels = size_t(node.input(0).dim(-1));
  Affine affine{std::vector<float>(channels), std::vector<float>(channels)};
  for (size_t c = 0; c < channels; ++c) {
    const double deviation = std::sqrt(var[c] + epsilon);
    affine.mul[c] = float(scale[c] / deviation);
    affine.add[c] =
        float(bias[c] - double(mean[c]) * double(scale[c]) / deviation);
  }
  return affine;
}

}  // namespace bqengine::backends

#endif  // BACKENDS_COMMON_BATCH_NORM_H_
