// What the tests of the float kernels share: operands, shapes and tolerances.
#ifndef TESTS_KERNELS_FLOAT_TEST_UTIL_H_
#define TESTS_KERNELS_FLOAT_TEST_UTIL_H_

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "kernel_test_util.h"
#include "kernels/shapes.h"

namespace bqengine::kernels {

inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Small integers: their products and sums are exact in any order, so results
// are compared bit by bit however long the sums are.
inline std::vector<float> IntegerFloats(Random& random, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = float(Uniform(random, -8, 8));
  return values;
}

inline std::vector<float> RealFloats(Random& random, int64_t count) {
  std::uniform_real_distribution<float> distribution(-2.0f, 2.0f);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = distribution(random);
  return values;
}

// Also zeros of both signs, infinities, NaN and subnormals.
inline std::vector<float> OddFloats(Random& random, int64_t count) {
  constexpr float kOdd[] = {0.0f,       -0.0f,  kNan,   -kNan, kInfinity,
                            -kInfinity, 1e-42f, -3e38f, 0.5f,  -1.0f};
  std::vector<float> values = RealFloats(random, count);
  for (float& value : values) {
    if (OneIn(random, 4)) value = kOdd[Uniform(random, 0, 9)];
  }
  return values;
}

inline std::vector<float> Absolute(std::vector<float> values) {
  for (float& value : values) value = std::fabs(value);
  return values;
}

// Sum of `terms` products, rounded after each: the error is at most terms * eps
// / 2 of the sum of their magnitudes, to first order; twice that for safety.
inline float SumTolerance(int64_t terms, float magnitude) {
  return float(terms) * std::numeric_limits<float>::epsilon() * magnitude;
}

// Cuts [0, count) into ranges of random sizes that begin at multiples of
// `step`.
inline std::vector<std::pair<int64_t, int64_t>> RandomRanges(Random& random,
                                                             int64_t count,
                                                             int64_t step) {
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (int64_t begin = 0; begin < count;) {
    const int64_t end = std::min(begin + step * Uniform(random, 1, 30), count);
    ranges.emplace_back(begin, end);
    begin = end;
  }
  std::shuffle(ranges.begin(), ranges.end(), random);
  return ranges;
}

inline Window RandomWindow(Random& random) {
  Window w{};
  const auto axis = [&](int64_t& in, int64_t& out, int64_t& kernel,
                        int64_t& stride, int64_t& dilation, int64_t& before,
                        int64_t& after) {
    kernel = Uniform(random, 1, 4);
    stride = Uniform(random, 1, 3);
    dilation = OneIn(random, 3) ? 2 : 1;
    // At times more padding than kernel: windows without any input.
    before = OneIn(random, 2) ? 0 : Uniform(random, 0, kernel + 1);
    after = OneIn(random, 2) ? 0 : Uniform(random, 0, kernel + 1);
    const int64_t reach = (kernel - 1) * dilation + 1;
    in = Uniform(random, 1, 9);
    if (in + before + after < reach) in = reach;
    out = (in + before + after - reach) / stride + 1;
  };
  w.batch = Uniform(random, 1, 3);
  axis(w.in_h, w.out_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top,
       w.pad_bottom);
  axis(w.in_w, w.out_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left,
       w.pad_right);
  if (OneIn(random, 6)) {  // pointwise
    w.kernel_h = w.kernel_w = w.stride_h = w.stride_w = 1;
    w.pad_top = w.pad_left = w.pad_bottom = w.pad_right = 0;
    w.out_h = w.in_h;
    w.out_w = w.in_w;
  }
  return w;
}

inline int64_t InputPixels(const Window& w) {
  return w.batch * w.in_h * w.in_w;
}
inline int64_t OutputPixels(const Window& w) {
  return w.batch * w.out_h * w.out_w;
}

inline ConvShape RandomConvShape(Random& random) {
  ConvShape shape{};
  shape.window = RandomWindow(random);
  shape.groups = OneIn(random, 3) ? Uniform(random, 2, 4) : 1;
  shape.in_channels =
      shape.groups * Uniform(random, 1, OneIn(random, 3) ? 70 : 9);
  shape.out_channels = shape.groups * Uniform(random, 1, 70);
  return shape;
}

inline std::string Describe(const Window& w) {
  std::ostringstream text;
  text << w.batch << "x" << w.in_h << "x" << w.in_w << " to " << w.out_h << "x"
       << w.out_w << " kernel " << w.kernel_h << "x" << w.kernel_w
       << " strides " << w.stride_h << "," << w.stride_w << " dilations "
       << w.dilation_h << "," << w.dilation_w << " pads " << w.pad_top << ","
       << w.pad_left << "," << w.pad_bottom << "," << w.pad_right;
  return text.str();
}

inline std::string Describe(const ConvShape& shape) {
  std::ostringstream text;
  text << Describe(shape.window) << " channels " << shape.in_channels << " to "
       << shape.out_channels << " groups " << shape.groups;
  return text.str();
}

}  // namespace bqengine::kernels

#endif  // TESTS_KERNELS_FLOAT_TEST_UTIL_H_
