#include "bqengine/exact_chain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace bqengine {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kTiny = std::numeric_limits<float>::denorm_min();

int Compare(const ExactChain& chain, int64_t x, float threshold = 0) {
  const Result<int> sign = chain.Compare(x, threshold);
  EXPECT_TRUE(sign.ok());
  return sign.ok() ? *sign : -2;
}

TEST(ExactChain, WithoutOpsIsTheInteger) {
  const ExactChain chain;
  EXPECT_EQ(Compare(chain, 3, 3), 0);
  EXPECT_EQ(Compare(chain, 0, kTiny), -1);
  EXPECT_EQ(Compare(chain, 0, -kTiny), 1);
  EXPECT_EQ(Compare(chain, 0, kInf), -1);
  EXPECT_EQ(Compare(chain, 0, -kInf), 1);
  // More than a float, or a double, can tell apart.
  EXPECT_EQ(Compare(chain, (int64_t{1} << 24) + 1, 0x1p24f), 1);
  EXPECT_EQ(Compare(chain, (int64_t{1} << 60) + 1, 0x1p60f), 1);
}

// A published network: PyTorch and ONNX Runtime get -1.91e-6 at 587, floats
// with mul and add rounded beforehand get 0.
TEST(ExactChain, BatchNormSwitchesWhereItsParametersSay) {
  ExactChain chain;
  ASSERT_TRUE(chain.BatchNormalization(0.81096435f, -0.06873564f, 584.83264f,
                                       653.917f, 2e-5f));
  EXPECT_EQ(Compare(chain, 586), -1);
  EXPECT_EQ(Compare(chain, 587), -1);
  EXPECT_EQ(Compare(chain, 588), 1);
}

TEST(ExactChain, BatchNormIsZeroWhereTheSquaresAreEqual) {
  ExactChain chain;  // (x - 5) / 2 * 3 - 6
  ASSERT_TRUE(chain.BatchNormalization(3, -6, 5, 3.75f, 0.25f));
  EXPECT_EQ(Compare(chain, 8), -1);
  EXPECT_EQ(Compare(chain, 9), 0);
  EXPECT_EQ(Compare(chain, 10), 1);
  EXPECT_EQ(Compare(chain, 9, kTiny), -1);
  // An irrational deviation: zero only where the mean is and nothing is added.
  ExactChain irrational;
  ASSERT_TRUE(irrational.BatchNormalization(-1, 0, 5, 2, 0));
  EXPECT_EQ(Compare(irrational, 4), 1);
  EXPECT_EQ(Compare(irrational, 5), 0);
  EXPECT_EQ(Compare(irrational, 6), -1);
}

// The two roots are one number, which the arithmetic does not know.
TEST(ExactChain, TwoBatchNormsWithOneDeviation) {
  ExactChain chain;  // x / sqrt(2) / sqrt(2) - 3
  ASSERT_TRUE(chain.BatchNormalization(1, 0, 0, 2, 0));
  ASSERT_TRUE(chain.BatchNormalization(1, -3, 0, 2, 0));
  EXPECT_EQ(Compare(chain, 5), -1);
  EXPECT_EQ(Compare(chain, 6), 0);
  EXPECT_EQ(Compare(chain, 7), 1);
}

TEST(ExactChain, SeveralRootsOfDifferentNumbers) {
  ExactChain chain;
  // ((x - 1) / sqrt(2) + 1) / sqrt(3) ... = 0 at x = 1 - sqrt(2).
  ASSERT_TRUE(chain.BatchNormalization(1, 1, 1, 2, 0));
  ASSERT_TRUE(chain.BatchNormalization(1, 0, 0, 3, 0));
  EXPECT_EQ(Compare(chain, -1), -1);
  EXPECT_EQ(Compare(chain, 0), 1);
  ASSERT_TRUE(chain.BatchNormalization(1, 0, 0, 5, 0));
  ASSERT_TRUE(chain.BatchNormalization(-1, 0, 0, 7, 0));
  EXPECT_FALSE(chain.BatchNormalization(1, 0, 0, 11, 0));
  EXPECT_EQ(Compare(chain, -1), 1);
  EXPECT_EQ(Compare(chain, 0), -1);
}

TEST(ExactChain, WhatDoublesDoNotSee) {
  ExactChain chain;
  ASSERT_TRUE(chain.Mul(1e30f));
  ASSERT_TRUE(chain.Add(1e-30f));
  EXPECT_EQ(Compare(chain, 1, 1e30f), 1);
  EXPECT_EQ(Compare(chain, 0), 1);
  ExactChain tenth;  // 0.1f is above 0.1
  ASSERT_TRUE(tenth.Mul(0.1f));
  EXPECT_EQ(Compare(tenth, 30, 3), 1);
  ExactChain overflow;  // of doubles, to and fro
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(overflow.Mul(0x1p127f));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(overflow.Mul(0x1p-127f));
  EXPECT_EQ(Compare(overflow, 7, 7), 0);
  ExactChain underflow;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(underflow.Mul(kTiny));
  EXPECT_EQ(Compare(underflow, 7), 1);
  EXPECT_EQ(Compare(underflow, -7), -1);
}

TEST(ExactChain, ReluClipAndPRelu) {
  ExactChain relu;
  ASSERT_TRUE(relu.Add(-0.5f));
  ASSERT_TRUE(relu.Relu());
  EXPECT_EQ(Compare(relu, 0), 0);
  EXPECT_EQ(Compare(relu, 1, 0.5f), 0);
  ExactChain prelu;
  ASSERT_TRUE(prelu.PRelu(0.25f));
  EXPECT_EQ(Compare(prelu, -4, -1), 0);
  EXPECT_EQ(Compare(prelu, 4, 4), 0);
  ExactChain clip;
  ASSERT_TRUE(clip.Clip(-1, 1));
  ASSERT_TRUE(clip.Add(1));
  EXPECT_EQ(Compare(clip, -3), 0);
  EXPECT_EQ(Compare(clip, 0, 1), 0);
  EXPECT_EQ(Compare(clip, 9, 2), 0);
  ExactChain open;
  ASSERT_TRUE(open.Clip(-kInf, kInf));
  EXPECT_EQ(Compare(open, -3, -3), 0);
}

TEST(ExactChain, FloorOfWhatLooksLikeAnInteger) {
  ExactChain tenth;
  ASSERT_TRUE(tenth.Mul(0.1f));  // 30 of them are just above 3
  ASSERT_TRUE(tenth.Floor());
  EXPECT_EQ(Compare(tenth, 30, 3), 0);
  EXPECT_EQ(Compare(tenth, 29, 2), 0);
  EXPECT_EQ(Compare(tenth, -30, -4), 0);
  ExactChain below;
  ASSERT_TRUE(below.Mul(std::nextafter(0.1f, 0.0f)));  // just below 3
  ASSERT_TRUE(below.Floor());
  EXPECT_EQ(Compare(below, 30, 2), 0);
  ExactChain large;
  ASSERT_TRUE(large.Mul(1e30f));
  ASSERT_TRUE(large.Add(0.5f));
  ASSERT_TRUE(large.Floor());
  EXPECT_EQ(Compare(large, 1, 1e30f), 0);
}

TEST(ExactChain, RefusesWhatIsNoNumber) {
  ExactChain chain;
  EXPECT_FALSE(chain.Mul(kInf));
  EXPECT_FALSE(chain.Add(std::nanf("")));
  EXPECT_FALSE(chain.BatchNormalization(1, 0, 0, -1, 1));
  EXPECT_FALSE(chain.BatchNormalization(1, 0, kInf, 1, 1));
  EXPECT_FALSE(chain.PRelu(-1));
  EXPECT_FALSE(chain.Clip(2, 1));
  EXPECT_EQ(Compare(chain, 5, 5), 0);  // nothing was appended
  for (size_t i = 0; i < ExactChain::kMostOps; ++i) {
    ASSERT_TRUE(chain.Mul(1));
  }
  EXPECT_FALSE(chain.Mul(1));
}

}  // namespace
}  // namespace bqengine
