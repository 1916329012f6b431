// Products of 8-bit integers with binary weights, of every target against the
// scalar twins: all sums are exact, so every bit is the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "binary_test_util.h"
#include "float_test_util.h"
#include "kernels/reference.h"
#include "kernels/w8gemm.h"

namespace bqengine::kernels {
namespace {

constexpr uint64_t kSeed = 20251123;

// Values of all sizes; sometimes the ends of the range alone, whose sums are
// the largest.
template <typename T>
std::vector<T> RandomBytes(Random& random, int64_t count) {
  constexpr T kMin = std::numeric_limits<T>::min();
  constexpr T kMax = std::numeric_limits<T>::max();
  const int64_t kind = Uniform(random, 0, 3);
  std::vector<T> values(static_cast<size_t>(count));
  for (T& value : values) {
    value = kind == 0   ? kMin
            : kind == 1 ? kMax
                        : T(Uniform(random, kMin, kMax));
  }
  return values;
}

class ByteProductTest : public testing::TestWithParam<Target> {
 protected:
  void SetUp() override { ASSERT_NE(kernels_, nullptr); }

  // A convolution with random weights, epilogue and division into parts.
  template <typename T>
  void ExpectTwin(const ConvShape& shape) {
    const Window& window = shape.window;
    const Encoding encoding =
        OneIn(random_, 2) ? Encoding::kBipolar : Encoding::kUnipolar;
    const ByteType type =
        std::is_signed_v<T> ? ByteType::kInt8 : ByteType::kUint8;
    const auto e = RandomWeightEpilogue(random_, shape.out_channels);
    const int64_t bases = e->epilogue.weight_bases;
    SCOPED_TRACE(testing::Message()
                 << Describe(shape) << " bases " << bases
                 << (encoding == Encoding::kBipolar ? "" : " unipolar")
                 << (std::is_signed_v<T> ? " int8" : " uint8"));
    const int64_t taps = window.kernel_h * window.kernel_w;
    const int64_t group_in = shape.in_channels / shape.groups;
    const BeforeForbidden<T> x(
        RandomBytes<T>(random_, InputPixels(window) * shape.in_channels));
    const std::vector<uint64_t> weight =
        RandomRows(random_, bases * shape.out_channels * taps, group_in);

    Guarded<uint32_t> packed(kernels_->packed_words(shape, bases));
    kernels_->pack_weights(shape, encoding, type, weight.data(), e->epilogue,
                           packed.data());
    const int64_t pixels = OutputPixels(window);
    Guarded<float> y(pixels * shape.out_channels);
    Guarded<uint8_t> scratch(kernels_->scratch_bytes(shape));
    const int64_t channel_step =
        shape.groups == 1 ? kernels_->panel_channels : shape.out_channels;
    for (const auto& [begin, end] : RandomRanges(random_, pixels, 1)) {
      for (const auto& [first, last] :
           RandomRanges(random_, shape.out_channels, channel_step)) {
        kernels_->conv(shape, bases, encoding, type, begin, end, first, last,
                       reinterpret_cast<const uint8_t*>(x.data()),
                       packed.data(), y.data(), scratch.data());
      }
    }
    std::vector<float> want(y.size());
    reference::BinaryWeightConv(shape, encoding, x.data(), weight.data(),
                                e->epilogue, want.data());
    ExpectSame(y, want);
    EXPECT_TRUE(packed.GuardsIntact());
    EXPECT_TRUE(scratch.GuardsIntact());
  }

  const ByteProductKernels* kernels_ = GetByteProductKernels(GetParam());
  Random random_{kSeed};
  testing::ScopedTrace seed_{__FILE__, __LINE__,
                             "seed " + std::to_string(kSeed)};
};

TEST(ByteProduct, SomeTargetRuns) { EXPECT_FALSE(UsableTargets().empty()); }

TEST_P(ByteProductTest, EveryWidthAndHeight) {
  for (int64_t out = 1; out <= 150; ++out) {
    const int64_t rows = Uniform(random_, 1, OneIn(random_, 5) ? 110 : 20);
    const int64_t k = Uniform(random_, 1, 70);
    ExpectTwin<int8_t>(GemmAsConv(rows, k, out));
    ExpectTwin<uint8_t>(GemmAsConv(rows, k, out));
  }
}

// Around the lengths after which 16-bit sums are widened.
TEST_P(ByteProductTest, LongSums) {
  for (int64_t k : {255, 256, 257, 259, 260, 511, 512, 513, 516, 784, 5000}) {
    for (int i = 0; i < 8; ++i) {
      const int64_t rows = Uniform(random_, 1, 12);
      const int64_t out = Uniform(random_, 1, 40);
      ExpectTwin<int8_t>(GemmAsConv(rows, k, out));
      ExpectTwin<uint8_t>(GemmAsConv(rows, k, out));
    }
  }
}

// float(acc) rounds here.
TEST_P(ByteProductTest, SumsBeyondWhatFloatsHold) {
  for (int i = 0; i < 6; ++i) {
    const int64_t k = Uniform(random_, 300'000, 400'000);
    ExpectTwin<int8_t>(GemmAsConv(1, k, 3));
    ExpectTwin<uint8_t>(GemmAsConv(1, k, 3));
  }
}

TEST_P(ByteProductTest, Convolutions) {
  for (int i = 0; i < 300; ++i) {
    const ConvShape shape = RandomConvShape(random_);
    if (i % 2 == 0) {
      ExpectTwin<int8_t>(shape);
    } else {
      ExpectTwin<uint8_t>(shape);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, ByteProductTest,
                         testing::ValuesIn(UsableTargets()), TargetTestName);

}  // namespace
}  // namespace bqengine::kernels
