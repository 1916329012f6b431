// BatchNormalization as a multiplication and an addition per channel: what it
// means, to the bit. Built-in backends run it so, and the passes of the engine
// fold it so; both take it from here.
#ifndef BACKENDS_BUILTIN_BATCH_NORM_H_
#define BACKENDS_BUILTIN_BATCH_NORM_H_

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace bqengine::backends {

// y = x * mul + add, rounded twice.
struct Affine {
  std::vector<float> mul, add;
};

// In double and rounded once, in just this order of operations. All spans have
// one entry a channel; var + epsilon is positive.
inline Affine AffineOfBatchNorm(std::span<const float> scale,
                                std::span<const float> bias,
                                std::span<const float> mean,
                                std::span<const float> var, double epsilon) {
  Affine affine;
  for (size_t c = 0; c < scale.size(); ++c) {
    const double deviation = std::sqrt(var[c] + epsilon);
    affine.mul.push_back(float(scale[c] / deviation));
    affine.add.push_back(
        float(bias[c] - double(mean[c]) * double(scale[c]) / deviation));
  }
  return affine;
}

}  // namespace bqengine::backends

#endif  // BACKENDS_BUILTIN_BATCH_NORM_H_
