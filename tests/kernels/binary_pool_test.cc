// Binary maximum and binarization of every target against the scalar twins.
#include "kernels/binary_pool.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "binary_test_util.h"
#include "kernels/binarize.h"

namespace bqengine::kernels {
namespace {

constexpr uint64_t kSeed = 20250713;

class BinaryPoolTest : public testing::TestWithParam<Target> {};
class BinarizeTest : public testing::TestWithParam<Target> {};

TEST(BinaryPool, SomeTargetRuns) { EXPECT_FALSE(UsableTargets().empty()); }

TEST_P(BinaryPoolTest, RandomShapes) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Random random(kSeed);
  const BinaryPoolKernels* kernels = GetBinaryPoolKernels(GetParam());
  ASSERT_NE(kernels, nullptr);
  for (int i = 0; i < 600; ++i) {
    Window w = {};
    w.batch = Uniform(random, 1, 3);
    w.in_h = Uniform(random, 1, 17);
    w.in_w = Uniform(random, 1, 17);
    w.out_h = Uniform(random, 1, 9);
    w.out_w = Uniform(random, 1, 9);
    w.kernel_h = Uniform(random, 1, 4);
    w.kernel_w = Uniform(random, 1, 4);
    w.stride_h = Uniform(random, 1, 3);
    w.stride_w = Uniform(random, 1, 3);
    w.dilation_h = Uniform(random, 1, 3);
    w.dilation_w = Uniform(random, 1, 3);
    w.pad_top = Uniform(random, 0, 5);
    w.pad_left = Uniform(random, 0, 5);
    const int64_t channels =
        OneIn(random, 2) ? Uniform(random, 1, 193) : Uniform(random, 1, 2000);
    SCOPED_TRACE(testing::Message()
                 << "case " << i << ", " << channels << " channels");
    // Few ones, or every maximum would be one.
    std::vector<uint64_t> x =
        RandomRows(random, w.batch * w.in_h * w.in_w, channels);
    for (uint64_t& word : x) word &= random() & random();
    const int64_t rows = w.batch * w.out_h;
    const int64_t row_words = w.out_w * WordsFor(channels);
    std::vector<uint64_t> want(size_t(rows * row_words));
    reference::BinaryMaxPool(w, channels, x.data(), want.data());

    Guarded<uint64_t> y(rows * row_words);
    const int64_t cut = Uniform(random, 0, rows);
    kernels->max(w, channels, cut, rows - cut, x.data(), y.data());
    kernels->max(w, channels, 0, cut, x.data(), y.data());
    ExpectSame(y, want);
    if (HasFailure()) return;
  }
}

TEST_P(BinarizeTest, EveryNumberOfChannels) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 1);
  Random random(kSeed + 1);
  const BinarizeKernels* kernels = GetBinarizeKernels(GetParam());
  ASSERT_NE(kernels, nullptr);
  for (int64_t channels = 1; channels <= 193; ++channels) {
    for (int64_t thresholds : {int64_t{0}, int64_t{1}, channels}) {
      SCOPED_TRACE(testing::Message()
                   << channels << " channels, " << thresholds << " thresholds");
      const int64_t rows = Uniform(random, 1, 5);
      std::vector<float> x(size_t(rows * channels)), t(size_t{1} * 193);
      for (float& value : t) value = RandomConstant(random, true);
      for (size_t i = 0; i < x.size(); ++i) {
        // Equality is the interesting case.
        x[i] = OneIn(random, 4)
                   ? t[thresholds == channels ? i % size_t(channels) : 0]
                   : RandomConstant(random, true);
      }
      const float* threshold = thresholds == 0 ? nullptr : t.data();
      const int64_t stride = thresholds > 1 ? 1 : 0;
      std::vector<uint64_t> want(size_t(rows * WordsFor(channels)));
      reference::Binarize(rows, channels, x.data(), threshold, stride,
                          want.data());
      Guarded<uint64_t> y(int64_t(want.size()));
      kernels->run(rows, channels, x.data(), threshold, stride, y.data());
      ExpectSame(y, want);
      if (HasFailure()) return;
    }
  }
}

TEST_P(BinarizeTest, SpecialValues) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float nan = std::nanf("");
  const BinarizeKernels* kernels = GetBinarizeKernels(GetParam());
  // 20 channels: a vector of every target, and a tail.
  std::vector<float> x;
  uint64_t want = 0;
  const struct {
    float value;
    bool bit;
  } values[] = {{0.0f, true},      {-0.0f, true},       {nan, false},
                {kInfinity, true}, {-kInfinity, false}, {-1e-45f, false},
                {1e-45f, true},    {-nan, false},       {-1.0f, false},
                {3e38f, true}};
  for (int i = 0; i < 20; ++i) {
    x.push_back(values[i % 10].value);
    want |= uint64_t{values[i % 10].bit} << i;
  }
  uint64_t y = ~uint64_t{0};
  kernels->run(1, 20, x.data(), nullptr, 0, &y);
  EXPECT_EQ(y, want);
  kernels->run(1, 20, x.data(), &nan, 0, &y);
  EXPECT_EQ(y, 0u);
}

// All values of the type against thresholds around every integer, and against
// those that no value, or every value, reaches.
template <typename T>
void ExpectEveryByte(Target target) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const BinarizeKernels* kernels = GetBinarizeKernels(target);
  ASSERT_NE(kernels, nullptr);
  const ByteType type =
      std::is_signed_v<T> ? ByteType::kInt8 : ByteType::kUint8;
  std::vector<float> thresholds = {-0.0f,      std::nanf(""), kInfinity,
                                   -kInfinity, 1e-45f,        -1e-45f,
                                   3e38f,      -3e38f,        0.5f};
  for (int value = -130; value <= 258; ++value) {
    const float exact = float(value);
    thresholds.push_back(std::nextafter(exact, -kInfinity));
    thresholds.push_back(exact);
    thresholds.push_back(std::nextafter(exact, kInfinity));
  }
  for (float threshold : thresholds) {
    std::vector<T> x;
    for (int value = std::numeric_limits<T>::min();
         value <= std::numeric_limits<T>::max(); ++value) {
      x.push_back(T(value));
    }
    std::vector<uint64_t> want(4);
    reference::Binarize(1, 256, x.data(), &threshold, 0, want.data());
    std::vector<int8_t> smallest(256);
    std::vector<uint64_t> reachable(4);
    PrepareByteThresholds(256, type, &threshold, 0, smallest.data(),
                          reachable.data());
    Guarded<uint64_t> y(4);
    kernels->run_bytes(1, 256, type, reinterpret_cast<uint8_t*>(x.data()),
                       smallest.data(), reachable.data(), y.data());
    SCOPED_TRACE(testing::Message() << "threshold " << threshold);
    ExpectSame(y, want);
  }
}

TEST_P(BinarizeTest, EveryInt8) { ExpectEveryByte<int8_t>(GetParam()); }
TEST_P(BinarizeTest, EveryUint8) { ExpectEveryByte<uint8_t>(GetParam()); }

template <typename T>
void ExpectEveryNumberOfChannels(Target target) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 2);
  Random random(kSeed + 2);
  const BinarizeKernels* kernels = GetBinarizeKernels(target);
  ASSERT_NE(kernels, nullptr);
  const ByteType type =
      std::is_signed_v<T> ? ByteType::kInt8 : ByteType::kUint8;
  for (int64_t channels = 1; channels <= 193; ++channels) {
    SCOPED_TRACE(testing::Message() << channels << " channels");
    const int64_t rows = Uniform(random, 1, 5);
    const int64_t stride = Uniform(random, 0, 1);
    std::vector<float> threshold(static_cast<size_t>(channels));
    for (float& value : threshold) {
      value = OneIn(random, 9) ? RandomConstant(random, true)
                               : float(Uniform(random, -5, 5));
    }
    // No byte beyond the tensor may be read: it ends with its block of memory.
    std::vector<T> x(static_cast<size_t>(rows * channels));
    for (T& value : x) value = T(Uniform(random, -6, 6));
    const float* given = OneIn(random, 9) ? nullptr : threshold.data();
    const int64_t words = rows * WordsFor(channels);
    std::vector<uint64_t> want(static_cast<size_t>(words));
    reference::Binarize(rows, channels, x.data(), given, stride, want.data());
    Guarded<int8_t> smallest(channels);
    Guarded<uint64_t> reachable(WordsFor(channels));
    PrepareByteThresholds(channels, type, given, stride, smallest.data(),
                          reachable.data());
    EXPECT_TRUE(smallest.GuardsIntact());
    EXPECT_TRUE(reachable.GuardsIntact());
    Guarded<uint64_t> y(words);
    kernels->run_bytes(rows, channels, type,
                       reinterpret_cast<uint8_t*>(x.data()), smallest.data(),
                       reachable.data(), y.data());
    ExpectSame(y, want);
  }
}

TEST_P(BinarizeTest, EveryNumberOfChannelsInt8) {
  ExpectEveryNumberOfChannels<int8_t>(GetParam());
}
TEST_P(BinarizeTest, EveryNumberOfChannelsUint8) {
  ExpectEveryNumberOfChannels<uint8_t>(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Targets, BinaryPoolTest,
                         testing::ValuesIn(UsableTargets()), TargetTestName);
INSTANTIATE_TEST_SUITE_P(Targets, BinarizeTest,
                         testing::ValuesIn(UsableTargets()), TargetTestName);

}  // namespace
}  // namespace bqengine::kernels
