// The float half of the oracle.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/reference.h"
#include "naive_conv.h"

namespace bqengine::kernels {
namespace {

using Floats = std::vector<float>;

// -0 counts as 0 here, and NaN as equal to itself.
void ExpectSame(const Floats& y, const Floats& expected) {
  ASSERT_EQ(y.size(), expected.size());
  for (size_t i = 0; i < y.size(); ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(y[i])) << "element " << i << ": " << y[i];
    } else {
      EXPECT_EQ(y[i], expected[i]) << "element " << i;
    }
  }
}

TEST(ReferenceConv, AgreesWithPaddingByCopying) {
  for (uint32_t seed = 1; seed <= 8; ++seed) {
    std::mt19937 random(seed);
    const int64_t groups = 1 + seed % 3;
    const ConvShape shape =
        MakeShape(RandomWindow(random), 4 * groups, 2 * groups, groups);
    const Window& w = shape.window;
    SCOPED_TRACE("seed " + std::to_string(seed) + " " + Describe(shape));
    // Small integers, so that sums are exact in any order.
    const auto integers = [&](int64_t count) {
      Floats values(static_cast<size_t>(count));
      for (float& value : values) value = float(int(random() % 21) - 10);
      return values;
    };
    const Floats x = integers(w.batch * w.in_h * w.in_w * 4 * groups);
    const Floats weight = integers(2 * groups * w.kernel_h * w.kernel_w * 4);
    const Floats bias = integers(2 * groups);
    Floats expected = NaiveConv(shape, 0, x, weight);
    Floats y(expected.size(), kNaN);
    reference::Conv(shape, x.data(), weight.data(), nullptr, y.data());
    EXPECT_EQ(y, expected);
    for (size_t i = 0; i < expected.size(); ++i) {
      expected[i] += bias[i % bias.size()];
    }
    reference::Conv(shape, x.data(), weight.data(), bias.data(), y.data());
    EXPECT_EQ(y, expected);
  }
}

TEST(ReferenceGemm, ByHand) {
  const float x[] = {1, 2, 3, 4, 5, 6};
  const float weight[] = {1, 0, -1, 0.5f, 0.5f, 0.5f};
  const float bias[] = {10, 20};
  Floats y(4);
  reference::Gemm(2, 3, 2, x, weight, bias, y.data());
  EXPECT_EQ(y, (Floats{8, 23, 8, 27.5f}));
  reference::Gemm(2, 3, 2, x, weight, nullptr, y.data());
  EXPECT_EQ(y, (Floats{-2, 3, -2, 7.5f}));
}

TEST(ReferenceMaxPool, ByHandWithNaN) {
  // 3x3, kernel 2, stride 1; NaN in a corner reaches one window.
  const Window w = MakeShape(SquareWindow(3, 2, 0), 1, 1, 1).window;
  const float x[] = {kNaN, 1, 2, 3, -kInf, 4, 5, 6, -7};
  Floats y(4);
  reference::MaxPool(w, 1, x, y.data());
  ExpectSame(y, {kNaN, 4, 6, 6});
}

TEST(ReferenceMaxPool, NaNWinsInEveryPlace) {
  const Window w = MakeShape(SquareWindow(2, 2, 0), 1, 1, 1).window;
  for (int place = 0; place < 4; ++place) {
    Floats x = {kInf, 1, 2, 3};
    x[size_t(place)] = kNaN;
    float y = 0;
    reference::MaxPool(w, 1, x.data(), &y);
    EXPECT_TRUE(std::isnan(y)) << place;
  }
}

TEST(ReferenceMaxPool, PaddingNeverWins) {
  const Window w = MakeShape(SquareWindow(1, 3, 1), 1, 1, 1).window;
  const float x = -5;
  float y = 0;
  reference::MaxPool(w, 1, &x, &y);
  EXPECT_EQ(y, -5);
}

TEST(ReferenceAveragePool, DivisorsOfPadding) {
  // 2x2 image, padding 1, kernel 2, stride 2, two channels, the second one ten
  // times the first: four windows, each with one pixel.
  Window w = SquareWindow(2, 2, 1);
  w.stride_h = w.stride_w = 2;
  w = MakeShape(w, 2, 2, 1).window;
  const float x[] = {1, 10, 2, 20, 3, 30, 4, 40};
  Floats y(8);
  reference::AveragePool(w, 2, false, x, y.data());
  EXPECT_EQ(y, (Floats{1, 10, 2, 20, 3, 30, 4, 40}));
  reference::AveragePool(w, 2, true, x, y.data());
  EXPECT_EQ(y, (Floats{0.25f, 2.5f, 0.5f, 5, 0.75f, 7.5f, 1, 10}));
}

TEST(ReferenceAveragePool, CellsBeyondThePaddingCountNever) {
  // ceil_mode: width 3, kernel 2, stride 2 gives a second window that reaches
  // one cell beyond the image, which has no padding.
  Window w = SquareWindow(3, 2, 0);
  w.in_h = w.kernel_h = 1;
  w.stride_w = 2;
  w.out_h = 1;
  w.out_w = 2;
  const float x[] = {1, 3, 5};
  Floats y(2);
  reference::AveragePool(w, 1, true, x, y.data());
  EXPECT_EQ(y, (Floats{2, 5}));
  w.pad_right = 1;  // now that cell is padding, and counts
  reference::AveragePool(w, 1, true, x, y.data());
  EXPECT_EQ(y, (Floats{2, 2.5f}));
  reference::AveragePool(w, 1, false, x, y.data());
  EXPECT_EQ(y, (Floats{2, 5}));
}

TEST(ReferenceGlobalAveragePool, ByHand) {
  const float x[] = {1, 2, 3, 6, -1, -2, -3, -6};
  Floats y(4);
  reference::GlobalAveragePool(2, 2, 2, x, y.data());
  EXPECT_EQ(y, (Floats{2, 4, -2, -4}));
}

TEST(ReferenceAffine, StridesAndAbsence) {
  const float x[] = {1, 2, 3, 4}, two[] = {2, -1}, add[] = {10, 20};
  Floats y(4);
  reference::Affine(2, 2, x, two, 0, add, 1, y.data());
  EXPECT_EQ(y, (Floats{12, 24, 16, 28}));
  reference::Affine(2, 2, x, two, 1, nullptr, 0, y.data());
  EXPECT_EQ(y, (Floats{2, -2, 6, -4}));
  reference::Affine(2, 2, x, nullptr, 0, add, 0, y.data());
  EXPECT_EQ(y, (Floats{11, 12, 13, 14}));
}

TEST(ReferenceAffine, MultiplicationRoundsBeforeAddition) {
  const float x = 16777215.0f, mul = 1.0f + std::ldexp(1.0f, -23);
  const float add = -16777216.0f;
  float y = kNaN;
  reference::Affine(1, 1, &x, &mul, 0, &add, 0, &y);
  EXPECT_EQ(y, 0.0f);
  EXPECT_NE(std::fma(x, mul, add), 0.0f);
}

TEST(ReferenceElementwise, ByHandWithNaN) {
  const float x[] = {-2, -0.5f, 0, 1.5f, kNaN, kInf};
  const float other[] = {1, 2, 3, 4, 5, 6};
  Floats y(6);
  reference::AddTensors(6, x, other, y.data());
  ExpectSame(y, {-1, 1.5f, 3, 5.5f, kNaN, kInf});
  reference::MulTensors(6, x, other, y.data());
  ExpectSame(y, {-2, -1, 0, 6, kNaN, kInf});
  reference::Relu(6, x, y.data());
  ExpectSame(y, {0, 0, 0, 1.5f, kNaN, kInf});
  reference::Clip(6, -1, 1, x, y.data());
  ExpectSame(y, {-1, -0.5f, 0, 1, kNaN, 1});
  reference::Floor(6, x, y.data());
  ExpectSame(y, {-2, -1, 0, 1, kNaN, kInf});
  const float slope[] = {0.5f, -2, 0};
  reference::PRelu(2, 3, x, slope, 1, y.data());
  ExpectSame(y, {-1, 1, 0, 1.5f, kNaN, kInf});
  reference::PRelu(2, 3, x, slope, 0, y.data());
  ExpectSame(y, {-1, -0.25f, 0, 1.5f, kNaN, kInf});
}

TEST(ReferenceSoftmax, AlongAnInnerDimensionWithoutOverflow) {
  // [2, 2, 2] along the middle: pairs (0, 2), (1, 3), (4, 6), (5, 7).
  const float x[] = {1000, 0, 1000, std::log(3.0f), -1000, 5, -1000, kNaN};
  Floats y(8);
  reference::Softmax(2, 2, 2, x, y.data());
  EXPECT_EQ(y[0], 0.5f);
  EXPECT_EQ(y[2], 0.5f);
  EXPECT_NEAR(y[1], 0.25f, 1e-6f);
  EXPECT_NEAR(y[3], 0.75f, 1e-6f);
  EXPECT_EQ(y[4], 0.5f);
  EXPECT_EQ(y[6], 0.5f);
  EXPECT_TRUE(std::isnan(y[5]) && std::isnan(y[7]));
}

}  // namespace
}  // namespace bqengine::kernels
