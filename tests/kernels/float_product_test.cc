// Float matrix products and convolutions of every target against the scalar
// twins.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "float_test_util.h"
#include "kernels/depthwise.h"
#include "kernels/fgemm.h"
#include "kernels/reference.h"

namespace bqengine::kernels {
namespace {

constexpr uint64_t kSeed = 20250811;

class FloatProductTest : public testing::TestWithParam<Target> {
 protected:
  void SetUp() override { ASSERT_NE(kernels_, nullptr); }
  const FloatProductKernels* kernels_ = GetFloatProductKernels(GetParam());
  Random random_{kSeed};
  testing::ScopedTrace seed_{__FILE__, __LINE__,
                             "seed " + std::to_string(kSeed)};
};

TEST(FloatProduct, SomeTargetRuns) { EXPECT_FALSE(UsableTargets().empty()); }

// A matrix product with room between its rows, computed in ranges of rows and
// channels.
struct GemmCase {
  int64_t rows, k, out, x_stride, y_stride;
  std::vector<float> x, weight, bias;

  GemmCase(Random& random, int64_t rows_in, int64_t k_in, int64_t out_in,
           std::vector<float> (*values)(Random&, int64_t))
      : rows(rows_in),
        k(k_in),
        out(out_in),
        x_stride(k + Uniform(random, 0, 5)),
        y_stride(out + Uniform(random, 0, 5)),
        // Nothing behind the last row.
        x(values(random, (rows - 1) * x_stride + k)),
        weight(values(random, out * k)),
        bias(OneIn(random, 3) ? std::vector<float>() : values(random, out)) {}

  const float* Bias() const { return bias.empty() ? nullptr : bias.data(); }

  std::vector<float> DenseX() const {
    std::vector<float> dense;
    for (int64_t row = 0; row < rows; ++row) {
      const auto first = x.begin() + row * x_stride;
      dense.insert(dense.end(), first, first + k);
    }
    return dense;
  }

  std::vector<float> Reference() const {
    std::vector<float> y(size_t(rows * out));
    reference::Gemm(rows, k, out, DenseX().data(), weight.data(), Bias(),
                    y.data());
    return y;
  }

  // Dense, after checking that nothing else was written.
  std::vector<float> Run(const FloatProductKernels& kernels,
                         Random& random) const {
    Guarded<float> packed(kernels.packed_floats(k, out));
    kernels.pack_weights(k, out, weight.data(), Bias(), packed.data());
    EXPECT_TRUE(packed.GuardsIntact());
    Guarded<float> y((rows - 1) * y_stride + out);
    const float untouched = y[0];
    for (const auto& [row, row_end] : RandomRanges(random, rows, 1)) {
      for (const auto& [begin, end] :
           RandomRanges(random, out, kernels.panel_channels)) {
        kernels.gemm(row_end - row, k, x.data() + row * x_stride, x_stride,
                     packed.data(), begin, end, y.data() + row * y_stride,
                     y_stride);
      }
    }
    EXPECT_TRUE(y.GuardsIntact());
    std::vector<float> dense;
    for (size_t i = 0; i < y.size(); ++i) {
      if (int64_t(i) % y_stride < out) {
        dense.push_back(y[i]);
      } else {
        EXPECT_TRUE(SameFloat(y[i], untouched)) << "written between rows";
      }
    }
    return dense;
  }
};

void ExpectSameFloats(const std::vector<float>& got,
                      const std::vector<float>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_TRUE(SameFloat(got[i], want[i]))
        << "at " << i << ": " << got[i] << ", not " << want[i];
  }
}

TEST_P(FloatProductTest, GemmIsExactOnIntegers) {
  for (int64_t out = 1; out <= 70; ++out) {
    for (int64_t k : {1, 2, 3, 31, 32, 33, 100}) {
      const int64_t rows = Uniform(random_, 1, OneIn(random_, 5) ? 110 : 20);
      SCOPED_TRACE(testing::Message() << rows << "x" << out << "x" << k);
      const GemmCase gemm(random_, rows, k, out, IntegerFloats);
      ExpectSameFloats(gemm.Run(*kernels_, random_), gemm.Reference());
    }
  }
}

TEST_P(FloatProductTest, GemmIsWithinTheErrorOfItsSums) {
  for (int64_t k : {1, 5, 64, 257, 1000}) {
    SCOPED_TRACE(testing::Message() << "k " << k);
    const GemmCase gemm(random_, 29, k, 67, RealFloats);
    const std::vector<float> got = gemm.Run(*kernels_, random_);
    const std::vector<float> want = gemm.Reference();
    GemmCase magnitudes = gemm;
    magnitudes.x = Absolute(gemm.x);
    magnitudes.weight = Absolute(gemm.weight);
    magnitudes.bias = Absolute(gemm.bias);
    const std::vector<float> magnitude = magnitudes.Reference();
    for (size_t i = 0; i < want.size(); ++i) {
      // The bias is a term too, and the last rounds the reference.
      ASSERT_NEAR(got[i], want[i], SumTolerance(k + 2, magnitude[i]));
    }
  }
}

// RandomRanges cuts each run in other places.
TEST_P(FloatProductTest, BitsDoNotDependOnTheSplit) {
  for (int i = 0; i < 30; ++i) {
    const GemmCase gemm(random_, Uniform(random_, 1, 110),
                        Uniform(random_, 1, 90), Uniform(random_, 1, 200),
                        RealFloats);
    SCOPED_TRACE(testing::Message()
                 << gemm.rows << "x" << gemm.out << "x" << gemm.k);
    const std::vector<float> first = gemm.Run(*kernels_, random_);
    ExpectSameFloats(gemm.Run(*kernels_, random_), first);
    // Each row as if it were alone.
    GemmCase row = gemm;
    row.rows = 1;
    for (int64_t r = 0; r < gemm.rows; ++r) {
      row.x.assign(gemm.x.begin() + r * gemm.x_stride,
                   gemm.x.begin() + r * gemm.x_stride + gemm.k);
      const auto begin = first.begin() + r * gemm.out;
      ExpectSameFloats(row.Run(*kernels_, random_),
                       std::vector<float>(begin, begin + gemm.out));
    }
  }
}

TEST_P(FloatProductTest, OddValuesStayInTheirRowsAndChannels) {
  GemmCase gemm(random_, 23, 40, 37, IntegerFloats);
  gemm.x[size_t(4 * gemm.x_stride + 7)] = kNan;
  gemm.x[size_t(9 * gemm.x_stride + 39)] = kInfinity;
  gemm.weight[36 * 40 + 1] = -kInfinity;
  gemm.weight[2 * 40 + 39] = kNan;
  gemm.bias.assign(37, 1.0f);
  gemm.bias[20] = kInfinity;
  ExpectSameFloats(gemm.Run(*kernels_, random_), gemm.Reference());
}

struct ConvCase {
  ConvShape shape;
  int64_t k;
  std::vector<float> x, weight, bias;

  ConvCase(Random& random, const ConvShape& shape_in,
           std::vector<float> (*values)(Random&, int64_t))
      : shape(shape_in),
        k(shape.window.kernel_h * shape.window.kernel_w * shape.in_channels /
          shape.groups),
        x(values(random, InputPixels(shape.window) * shape.in_channels)),
        weight(values(random, shape.out_channels * k)),
        bias(values(random, shape.out_channels)) {}

  std::vector<float> Reference() const {
    std::vector<float> y(
        size_t(OutputPixels(shape.window) * shape.out_channels));
    reference::Conv(shape, x.data(), weight.data(), bias.data(), y.data());
    return y;
  }

  std::vector<float> Run(const FloatProductKernels& kernels,
                         Random& random) const {
    const int64_t out = shape.out_channels / shape.groups;
    const int64_t group_floats = kernels.packed_floats(k, out);
    Guarded<float> packed(shape.groups * group_floats);
    for (int64_t g = 0; g < shape.groups; ++g) {
      kernels.pack_weights(k, out, weight.data() + g * out * k,
                           bias.data() + g * out,
                           packed.data() + g * group_floats);
    }
    const int64_t pixels = OutputPixels(shape.window);
    Guarded<float> y(pixels * shape.out_channels);
    Guarded<float> scratch(kernels.conv_scratch_floats(shape));
    for (const auto& [begin, end] : RandomRanges(random, pixels, 1)) {
      kernels.conv(shape, begin, end, x.data(), packed.data(), y.data(),
                   scratch.data());
    }
    EXPECT_TRUE(packed.GuardsIntact());
    EXPECT_TRUE(scratch.GuardsIntact());
    EXPECT_TRUE(y.GuardsIntact());
    return {y.data(), y.data() + y.size()};
  }
};

TEST_P(FloatProductTest, ConvIsExactOnIntegers) {
  for (int i = 0; i < 400; ++i) {
    const ConvShape shape = RandomConvShape(random_);
    SCOPED_TRACE(Describe(shape));
    const ConvCase conv(random_, shape, IntegerFloats);
    ExpectSameFloats(conv.Run(*kernels_, random_), conv.Reference());
  }
}

TEST_P(FloatProductTest, ConvBitsDoNotDependOnTheSplit) {
  for (int i = 0; i < 60; ++i) {
    const ConvShape shape = RandomConvShape(random_);
    SCOPED_TRACE(Describe(shape));
    const ConvCase conv(random_, shape, RealFloats);
    ExpectSameFloats(conv.Run(*kernels_, random_),
                     conv.Run(*kernels_, random_));
  }
}

class DepthwiseTest : public testing::TestWithParam<Target> {};

TEST_P(DepthwiseTest, ConvIsExactOnIntegers) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Random random(kSeed);
  const DepthwiseKernels* kernels = GetDepthwiseKernels(GetParam());
  ASSERT_NE(kernels, nullptr);
  for (int64_t channels = 1; channels <= 70; ++channels) {
    ConvShape shape{RandomWindow(random), channels, channels, channels};
    SCOPED_TRACE(Describe(shape));
    const ConvCase conv(random, shape, IntegerFloats);
    std::vector<float> transposed;
    for (int64_t tap = 0; tap < conv.k; ++tap) {
      for (int64_t c = 0; c < channels; ++c) {
        transposed.push_back(conv.weight[size_t(c * conv.k + tap)]);
      }
    }
    const int64_t pixels = OutputPixels(shape.window);
    Guarded<float> y(pixels * channels);
    for (const auto& [begin, end] : RandomRanges(random, pixels, 1)) {
      kernels->conv(shape, begin, end, conv.x.data(), transposed.data(),
                    conv.bias.data(), y.data());
    }
    ExpectSame(y, conv.Reference());
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, FloatProductTest,
                         testing::ValuesIn(UsableTargets()), TargetTestName);
INSTANTIATE_TEST_SUITE_P(Targets, DepthwiseTest,
                         testing::ValuesIn(UsableTargets()), TargetTestName);

}  // namespace
}  // namespace bqengine::kernels
