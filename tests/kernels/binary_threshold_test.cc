// The integer form of a fused sign against the float expression, for every
// accumulator there can be.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kernels/reference.h"
#include "kernels/threshold.h"

namespace bqengine::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kMax = std::numeric_limits<float>::max();
constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
const float kNaN = std::nanf("");

struct Constants {
  float alpha = 1, beta = 1, mul = 1, add = 0, threshold = 0;

  Epilogue All() const {
    Epilogue e;
    e.alpha = &alpha;
    e.beta = &beta;
    e.mul = &mul;
    e.add = &add;
    e.threshold = &threshold;
    return e;
  }
  Epilogue Affine() const {
    Epilogue e = All();
    e.alpha = e.beta = nullptr;
    return e;
  }
};

bool FloatBit(const Epilogue& e, int32_t acc) {
  const float threshold = e.threshold == nullptr ? 0.0f : *e.threshold;
  return reference::ApplyEpilogue(e, &acc, 0, 1) >= threshold;
}

// The number of accumulators checked, or -1 after a failure.
int64_t CheckAll(const Epilogue& e, int32_t max_abs, const Constants& c) {
  const AccumulatorRange range = FindAccumulatorRange(e, 0, max_abs);
  for (int32_t acc = -max_abs; acc <= max_abs; ++acc) {
    if (range.Contains(acc) != FloatBit(e, acc)) {
      ADD_FAILURE() << "acc " << acc << " of " << max_abs << ": alpha "
                    << c.alpha << " beta " << c.beta << " mul " << c.mul
                    << " add " << c.add << " threshold " << c.threshold;
      return -1;
    }
  }
  return 2 * int64_t{max_abs} + 1;
}

const std::vector<float>& SpecialValues() {
  static const std::vector<float> values = {
      0.0f,   -0.0f, 1.0f,      -1.0f,      3.0f,       -2.0f,
      0.1f,   -0.3f, kDenormal, -kDenormal, 1e-40f,     1e38f,
      -1e38f, kMax,  -kMax,     kInfinity,  -kInfinity, kNaN};
  return values;
}

TEST(BinaryThreshold, EveryCombinationOfSpecialAffineConstants) {
  for (int32_t max_abs : {1, 2, 9, 40}) {
    for (float mul : SpecialValues()) {
      for (float add : SpecialValues()) {
        for (float threshold : SpecialValues()) {
          const Constants c = {.mul = mul, .add = add, .threshold = threshold};
          ASSERT_GT(CheckAll(c.Affine(), max_abs, c), 0);
        }
      }
    }
  }
}

// alpha and beta can overflow, or underflow, before mul brings the value back.
TEST(BinaryThreshold, SpecialConstantsInARow) {
  const std::vector<float> factors = {0.0f,      1.0f,       -1.0f,  1e-30f,
                                      -1e-30f,   1e38f,      -1e38f, kDenormal,
                                      kInfinity, -kInfinity, kNaN};
  const std::vector<float> terms = {0.0f, 2.0f, 1e38f, kInfinity, -kInfinity};
  for (float alpha : factors) {
    for (float beta : factors) {
      for (float mul : factors) {
        for (float add : terms) {
          for (float threshold : terms) {
            const Constants c = {alpha, beta, mul, add, threshold};
            ASSERT_GT(CheckAll(c.All(), 12, c), 0);
          }
        }
      }
    }
  }
}

TEST(BinaryThreshold, AbsentConstants) {
  const Epilogue none;
  for (int32_t max_abs : {1, 5, 64}) {
    EXPECT_GT(CheckAll(none, max_abs, {}), 0);
  }
  const AccumulatorRange range = FindAccumulatorRange(none, 0, 64);
  EXPECT_TRUE(range.Contains(0));
  EXPECT_FALSE(range.Contains(-1));
}

// Constants chosen so that some accumulator meets the threshold exactly, or
// misses it by one rounding.
TEST(BinaryThreshold, EqualityAndItsNeighbours) {
  const uint64_t seed = 20250714;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  for (int i = 0; i < 400; ++i) {
    const int32_t max_abs = int32_t(1 + random() % 3000);
    Constants c = {.mul = normal(random), .add = 30 * normal(random)};
    const int32_t acc = int32_t(random() % uint64_t(2 * max_abs + 1)) - max_abs;
    const float exact = reference::ApplyEpilogue(c.Affine(), &acc, 0, 1);
    for (float threshold : {exact, std::nextafter(exact, kInfinity),
                            std::nextafter(exact, -kInfinity)}) {
      c.threshold = threshold;
      ASSERT_GT(CheckAll(c.Affine(), max_abs, c), 0);
    }
  }
}

// Beyond 2^24 neighbouring accumulators round to the same float. All of them
// are too many: those around the switch, and the ends.
TEST(BinaryThreshold, LargeAccumulators) {
  const int32_t max_abs = (1 << 30) - 1;
  for (float mul : {1.0f, -1.0f, 0.7f, -1e-3f, kDenormal}) {
    for (float threshold : {0.0f, 16777217.0f, 33554434.0f, -5e8f, 123.0f}) {
      const Constants c = {.mul = mul, .add = 0.5f, .threshold = threshold};
      const Epilogue e = c.Affine();
      const AccumulatorRange range = FindAccumulatorRange(e, 0, max_abs);
      const double around = (double(threshold) - 0.5) / double(mul);
      for (double middle : {around, -around, 0.0, double(max_abs)}) {
        const double low =
            std::clamp(middle - 300, -double(max_abs), double(max_abs) - 600);
        for (int32_t i = 0; i <= 600; ++i) {
          const int32_t acc = int32_t(low) + i;
          ASSERT_EQ(range.Contains(acc), FloatBit(e, acc))
              << acc << " mul " << mul << " threshold " << threshold;
          ASSERT_EQ(range.Contains(-acc), FloatBit(e, -acc))
              << -acc << " mul " << mul << " threshold " << threshold;
        }
      }
    }
  }
}

TEST(BinaryThreshold, ReadsItsOwnChannel) {
  const float mul[] = {1.0f, -1.0f, 0.0f};
  const float add[] = {-2.5f};
  const float threshold[] = {0.0f, 0.0f, -3.0f};
  Epilogue e;
  e.mul = mul;
  e.mul_stride = 1;
  e.add = add;
  e.threshold = threshold;
  e.threshold_stride = 1;
  const auto ones = [&](int64_t channel) {
    const AccumulatorRange range = FindAccumulatorRange(e, channel, 4);
    std::vector<int32_t> accumulators;
    for (int32_t acc = -4; acc <= 4; ++acc) {
      if (range.Contains(acc)) accumulators.push_back(acc);
    }
    return accumulators;
  };
  EXPECT_EQ(ones(0), (std::vector<int32_t>{3, 4}));
  EXPECT_EQ(ones(1), (std::vector<int32_t>{-4, -3}));
  EXPECT_EQ(ones(2), (std::vector<int32_t>{-4, -3, -2, -1, 0, 1, 2, 3, 4}));
}

}  // namespace
}  // namespace bqengine::kernels
