// Elementwise float ops, pools and Softmax of every target against the scalar
// twins.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "float_test_util.h"
#include "kernels/elementwise.h"
#include "kernels/pool.h"
#include "kernels/reference.h"
#include "kernels/softmax.h"

namespace bqengine::kernels {
namespace {

constexpr uint64_t kSeed = 20250813;

TEST(FloatOps, SomeTargetRuns) { EXPECT_FALSE(UsableTargets().empty()); }

class ElementwiseTest : public testing::TestWithParam<Target> {
 protected:
  void SetUp() override { ASSERT_NE(kernels_, nullptr); }
  const ElementwiseKernels* kernels_ = GetElementwiseKernels(GetParam());
  Random random_{kSeed};
  testing::ScopedTrace seed_{__FILE__, __LINE__,
                             "seed " + std::to_string(kSeed)};
};

// `run` and `twin` are called with a pointer to the output.
template <typename Run, typename Twin>
void ExpectTwin(const char* op, int64_t count, const Run& run,
                const Twin& twin) {
  SCOPED_TRACE(testing::Message() << op << " of " << count);
  Guarded<float> got(count);
  std::vector<float> want(static_cast<size_t>(count));
  run(got.data());
  twin(want.data());
  ExpectSame(got, want);
}

TEST_P(ElementwiseTest, OpsWithoutChannels) {
  for (int64_t n = 1; n <= 140; ++n) {
    const std::vector<float> a = OddFloats(random_, n);
    const std::vector<float> b = OddFloats(random_, n);
    const float* x = a.data();
    ExpectTwin(
        "add", n, [&](float* y) { kernels_->add(n, x, b.data(), y); },
        [&](float* y) { reference::AddTensors(n, x, b.data(), y); });
    ExpectTwin(
        "mul", n, [&](float* y) { kernels_->mul(n, x, b.data(), y); },
        [&](float* y) { reference::MulTensors(n, x, b.data(), y); });
    ExpectTwin(
        "relu", n, [&](float* y) { kernels_->relu(n, x, y); },
        [&](float* y) { reference::Relu(n, x, y); });
    ExpectTwin(
        "floor", n, [&](float* y) { kernels_->floor(n, x, y); },
        [&](float* y) { reference::Floor(n, x, y); });
    const float limits[] = {-kInfinity, -1.0f, -0.0f, 0.0f, 0.75f, kInfinity};
    const float min = limits[Uniform(random_, 0, 5)];
    const float max = limits[Uniform(random_, 0, 5)];
    ExpectTwin(
        "clip", n, [&](float* y) { kernels_->clip(n, min, max, x, y); },
        [&](float* y) { reference::Clip(n, min, max, x, y); });
  }
}

TEST_P(ElementwiseTest, OpsWithChannels) {
  for (int64_t channels = 1; channels <= 70; ++channels) {
    const int64_t rows = Uniform(random_, 0, 5);
    const int64_t n = rows * channels;
    const std::vector<float> x = OddFloats(random_, n);
    const std::vector<float> mul = OddFloats(random_, channels);
    const std::vector<float> add = OddFloats(random_, channels);
    for (const float* m : {static_cast<const float*>(nullptr), mul.data()}) {
      for (const float* a : {static_cast<const float*>(nullptr), add.data()}) {
        ExpectTwin(
            "affine", n,
            [&](float* y) {
              kernels_->affine(rows, channels, x.data(), m, a, y);
            },
            [&](float* y) {
              reference::Affine(rows, channels, x.data(), m, 1, a, 1, y);
            });
      }
    }
    ExpectTwin(
        "prelu", n,
        [&](float* y) {
          kernels_->prelu(rows, channels, x.data(), mul.data(), y);
        },
        [&](float* y) {
          reference::PRelu(rows, channels, x.data(), mul.data(), 1, y);
        });
  }
}

// An FMA would keep the low bits of the product.
TEST_P(ElementwiseTest, AffineRoundsTwice) {
  const std::vector<float> x(33, 1.0f + 0x1p-12f);
  const std::vector<float> mul(33, 1.0f + 0x1p-12f);
  const std::vector<float> add(33, -1.0f);
  std::vector<float> y(33);
  kernels_->affine(1, 33, x.data(), mul.data(), add.data(), y.data());
  for (float value : y) EXPECT_EQ(value, 0x1p-11f);
}

class FloatPoolTest : public testing::TestWithParam<Target> {
 protected:
  void SetUp() override { ASSERT_NE(kernels_, nullptr); }
  const FloatPoolKernels* kernels_ = GetFloatPoolKernels(GetParam());
  Random random_{kSeed};
  testing::ScopedTrace seed_{__FILE__, __LINE__,
                             "seed " + std::to_string(kSeed)};
};

TEST_P(FloatPoolTest, MaxAndAverage) {
  for (int i = 0; i < 500; ++i) {
    const Window window = RandomWindow(random_);
    const int64_t channels = Uniform(random_, 1, 70);
    const int64_t pixels = OutputPixels(window);
    SCOPED_TRACE(testing::Message()
                 << Describe(window) << " channels " << channels);
    const std::vector<float> x =
        OddFloats(random_, InputPixels(window) * channels);
    const auto ranges = RandomRanges(random_, pixels, 1);
    ExpectTwin(
        "max", pixels * channels,
        [&](float* y) {
          for (const auto& [begin, end] : ranges) {
            kernels_->max(window, channels, begin, end, x.data(), y);
          }
        },
        [&](float* y) { reference::MaxPool(window, channels, x.data(), y); });
    for (bool pad : {false, true}) {
      ExpectTwin(
          pad ? "average with padding" : "average", pixels * channels,
          [&](float* y) {
            for (const auto& [begin, end] : ranges) {
              kernels_->average(window, channels, pad, begin, end, x.data(), y);
            }
          },
          [&](float* y) {
            reference::AveragePool(window, channels, pad, x.data(), y);
          });
    }
  }
}

// With ceil_mode the last windows may reach beyond the padding too.
TEST_P(FloatPoolTest, WindowsBeyondThePadding) {
  Window window{};
  window.batch = 1;
  window.in_h = window.in_w = 5;
  window.kernel_h = window.kernel_w = 3;
  window.stride_h = window.stride_w = 3;
  window.dilation_h = window.dilation_w = 1;
  window.pad_top = window.pad_left = window.pad_right = 1;
  window.pad_bottom = 0;
  window.out_h = 2;
  window.out_w = 3;
  const std::vector<float> x = RealFloats(random_, 25 * 7);
  for (bool pad : {false, true}) {
    ExpectTwin(
        "average", 2 * 3 * 7,
        [&](float* y) { kernels_->average(window, 7, pad, 0, 6, x.data(), y); },
        [&](float* y) { reference::AveragePool(window, 7, pad, x.data(), y); });
  }
}

TEST_P(FloatPoolTest, GlobalAverage) {
  for (int64_t channels = 1; channels <= 70; ++channels) {
    const int64_t items = Uniform(random_, 1, 3);
    const int64_t pixels = Uniform(random_, 1, 50);
    const std::vector<float> x = RealFloats(random_, items * pixels * channels);
    ExpectTwin(
        "global average", items * channels,
        [&](float* y) {
          kernels_->global_average(items, pixels, channels, x.data(), y);
        },
        [&](float* y) {
          reference::GlobalAveragePool(items, pixels, channels, x.data(), y);
        });
  }
}

class SoftmaxTest : public testing::TestWithParam<Target> {
 protected:
  void SetUp() override { ASSERT_NE(kernels_, nullptr); }
  const SoftmaxKernels* kernels_ = GetSoftmaxKernels(GetParam());
  Random random_{kSeed};
  testing::ScopedTrace seed_{__FILE__, __LINE__,
                             "seed " + std::to_string(kSeed)};
};

// Relative error of one output: that of x - max grows with its size, exp adds
// a unit in the last place, the sum one for each term, the division a half.
float SoftmaxTolerance(float distance, int64_t length) {
  return (distance + float(length) + 4) * std::numeric_limits<float>::epsilon();
}

TEST_P(SoftmaxTest, IsCloseToItsTwin) {
  for (int i = 0; i < 300; ++i) {
    const int64_t outer = Uniform(random_, 1, 3);
    const int64_t length = Uniform(random_, 1, 70);
    const int64_t inner = OneIn(random_, 2) ? 1 : Uniform(random_, 1, 40);
    SCOPED_TRACE(testing::Message() << outer << "x" << length << "x" << inner);
    // Up to differences whose exp is no normal number any more.
    const float scale = float(Uniform(random_, 0, 60));
    std::vector<float> x = RealFloats(random_, outer * length * inner);
    for (float& value : x) value *= scale;
    Guarded<float> got(int64_t(x.size()));
    std::vector<float> want(x.size());
    kernels_->softmax(outer, length, inner, x.data(), got.data());
    reference::Softmax(outer, length, inner, x.data(), want.data());
    EXPECT_TRUE(got.GuardsIntact());
    for (size_t j = 0; j < x.size(); ++j) {
      const float distance = 4 * scale;  // of x from the largest, at most
      ASSERT_NEAR(got[j], want[j],
                  want[j] * SoftmaxTolerance(distance, length) +
                      std::numeric_limits<float>::min());
    }
  }
}

TEST_P(SoftmaxTest, LargeValuesDoNotOverflow) {
  const std::vector<float> x = {3e38f, -3e38f, 1000.0f, 3e38f};
  std::vector<float> y(4);
  kernels_->softmax(1, 4, 1, x.data(), y.data());
  EXPECT_EQ(y, (std::vector<float>{0.5f, 0.0f, 0.0f, 0.5f}));
}

TEST_P(SoftmaxTest, OddValuesMakeTheirRowNaN) {
  for (int64_t inner : {1, 19}) {
    for (float odd : {kNan, kInfinity}) {
      for (int64_t at = 0; at < 21; ++at) {
        std::vector<float> x = RealFloats(random_, 21 * inner);
        x[size_t(at * inner)] = odd;
        std::vector<float> y(x.size());
        kernels_->softmax(1, 21, inner, x.data(), y.data());
        for (int64_t i = 0; i < 21 * inner; ++i) {
          ASSERT_EQ(std::isnan(y[size_t(i)]), i % inner == 0)
              << odd << " at " << at << " of " << inner << ": " << i;
        }
      }
    }
  }
  // A value of -inf has no share, and only a row of them is NaN.
  const std::vector<float> x = {-kInfinity, 0.0f, 0.0f};
  std::vector<float> y(3);
  kernels_->softmax(1, 3, 1, x.data(), y.data());
  EXPECT_EQ(y, (std::vector<float>{0.0f, 0.5f, 0.5f}));
}

INSTANTIATE_TEST_SUITE_P(Targets, ElementwiseTest,
                         testing::ValuesIn(UsableTargets()), TargetTestName);
INSTANTIATE_TEST_SUITE_P(Targets, FloatPoolTest,
                         testing::ValuesIn(UsableTargets()), TargetTestName);
INSTANTIATE_TEST_SUITE_P(Targets, SoftmaxTest,
                         testing::ValuesIn(UsableTargets()), TargetTestName);

}  // namespace
}  // namespace bqengine::kernels
