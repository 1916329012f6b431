// Products of floats with binary weights, of every target against the scalar
// twins.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "binary_test_util.h"
#include "float_test_util.h"
#include "kernels/reference.h"
#include "kernels/wgemm.h"

namespace bqengine::kernels {
namespace {

constexpr uint64_t kSeed = 20250812;

class BinaryWeightTest : public testing::TestWithParam<Target> {
 protected:
  void SetUp() override { ASSERT_NE(kernels_, nullptr); }
  Encoding RandomEncoding() {
    return OneIn(random_, 2) ? Encoding::kBipolar : Encoding::kUnipolar;
  }
  std::vector<uint64_t> RandomWeights(int64_t bases, int64_t out, int64_t taps,
                                      int64_t tap_bits) {
    return RandomRows(random_, bases * out * taps, tap_bits);
  }
  Guarded<float> Gemm(int64_t rows, int64_t k, int64_t out, Encoding encoding,
                      const std::vector<float>& x,
                      const std::vector<uint64_t>& weight,
                      const Epilogue& epilogue) {
    const int64_t bases = epilogue.weight_bases;
    Guarded<uint32_t> packed(kernels_->packed_words(k, out, bases));
    kernels_->pack_weights(1, k, out, 0, out, encoding, weight.data(), epilogue,
                           packed.data());
    EXPECT_TRUE(packed.GuardsIntact());
    Guarded<float> y(rows * out);
    for (const auto& [row, row_end] : RandomRanges(random_, rows, 1)) {
      for (const auto& [begin, end] :
           RandomRanges(random_, out, kernels_->panel_channels)) {
        kernels_->gemm(row_end - row, k, bases, encoding, x.data() + row * k, k,
                       packed.data(), begin, end, y.data() + row * out, out);
      }
    }
    return y;
  }

  const BinaryWeightProductKernels* kernels_ =
      GetBinaryWeightProductKernels(GetParam());
  Random random_{kSeed};
  testing::ScopedTrace seed_{__FILE__, __LINE__,
                             "seed " + std::to_string(kSeed)};
};

TEST(BinaryWeight, SomeTargetRuns) { EXPECT_FALSE(UsableTargets().empty()); }

// The sums are exact and the rest rounds alike: every bit is the twin's.
TEST_P(BinaryWeightTest, GemmIsExactOnIntegers) {
  for (int64_t out = 1; out <= 70; ++out) {
    for (int64_t k : {1, 2, 31, 32, 33, 63, 64, 65, 130}) {
      const int64_t rows = Uniform(random_, 1, OneIn(random_, 5) ? 110 : 20);
      const Encoding encoding = RandomEncoding();
      const auto e = RandomWeightEpilogue(random_, out);
      SCOPED_TRACE(testing::Message()
                   << rows << "x" << out << "x" << k << " bases "
                   << e->epilogue.weight_bases
                   << (encoding == Encoding::kBipolar ? "" : " unipolar"));
      const std::vector<float> x = IntegerFloats(random_, rows * k);
      const std::vector<uint64_t> weight =
          RandomWeights(e->epilogue.weight_bases, out, 1, k);
      std::vector<float> want(size_t(rows * out));
      reference::BinaryWeightGemm(rows, k, out, encoding, x.data(),
                                  weight.data(), e->epilogue, want.data());
      ExpectSame(Gemm(rows, k, out, encoding, x, weight, e->epilogue), want);
    }
  }
}

// Sums round in ascending k, on every target and wherever an output falls.
TEST_P(BinaryWeightTest, GemmSumsInOrder) {
  for (Encoding encoding : {Encoding::kBipolar, Encoding::kUnipolar}) {
    for (int i = 0; i < 20; ++i) {
      const int64_t rows = Uniform(random_, 1, 40);
      const int64_t k = Uniform(random_, 1, 300);
      const int64_t out = Uniform(random_, 1, 150);
      const std::vector<float> x = RealFloats(random_, rows * k);
      const std::vector<uint64_t> weight = RandomWeights(1, out, 1, k);
      std::vector<float> want;
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t o = 0; o < out; ++o) {
          float sum = 0;
          for (int64_t j = 0; j < k; ++j) {
            const uint64_t word = weight[size_t(o * WordsFor(k) + j / 64)];
            const float value = x[size_t(row * k + j)];
            if ((word >> (j % 64)) & 1) {
              sum += value;
            } else if (encoding == Encoding::kBipolar) {
              sum -= value;
            }
          }
          want.push_back(sum);
        }
      }
      SCOPED_TRACE(testing::Message() << rows << "x" << out << "x" << k);
      ExpectSame(Gemm(rows, k, out, encoding, x, weight, Epilogue{}), want);
    }
  }
}

TEST_P(BinaryWeightTest, OddActivations) {
  for (Encoding encoding : {Encoding::kBipolar, Encoding::kUnipolar}) {
    const int64_t rows = 30, k = 70, out = 37;
    std::vector<float> x = IntegerFloats(random_, rows * k);
    // In some rows one value, in some two.
    for (int64_t row = 0; row < rows; row += 2) {
      for (int64_t i = 0; i <= row % 4; i += 2) {
        x[size_t(row * k + Uniform(random_, 0, k - 1))] =
            OneIn(random_, 3) ? kNan
                              : (OneIn(random_, 2) ? kInfinity : -kInfinity);
      }
    }
    const std::vector<uint64_t> weight = RandomWeights(1, out, 1, k);
    std::vector<float> want(size_t(rows * out));
    reference::BinaryWeightGemm(rows, k, out, encoding, x.data(), weight.data(),
                                Epilogue{}, want.data());
    ExpectSame(Gemm(rows, k, out, encoding, x, weight, Epilogue{}), want);
  }
}

TEST_P(BinaryWeightTest, ConvIsExactOnIntegers) {
  for (int i = 0; i < 300; ++i) {
    const ConvShape shape = RandomConvShape(random_);
    const Window& window = shape.window;
    const Encoding encoding = RandomEncoding();
    const auto e = RandomWeightEpilogue(random_, shape.out_channels);
    const int64_t bases = e->epilogue.weight_bases;
    SCOPED_TRACE(testing::Message() << Describe(shape) << " bases " << bases);
    const int64_t taps = window.kernel_h * window.kernel_w;
    const int64_t group_in = shape.in_channels / shape.groups;
    const int64_t group_out = shape.out_channels / shape.groups;
    const std::vector<float> x =
        IntegerFloats(random_, InputPixels(window) * shape.in_channels);
    const std::vector<uint64_t> weight =
        RandomWeights(bases, shape.out_channels, taps, group_in);

    const int64_t group_words =
        kernels_->packed_words(taps * group_in, group_out, bases);
    Guarded<uint32_t> packed(shape.groups * group_words);
    for (int64_t g = 0; g < shape.groups; ++g) {
      kernels_->pack_weights(taps, group_in, shape.out_channels, g * group_out,
                             group_out, encoding, weight.data(), e->epilogue,
                             packed.data() + g * group_words);
    }
    const int64_t pixels = OutputPixels(window);
    Guarded<float> y(pixels * shape.out_channels);
    Guarded<float> scratch(kernels_->conv_scratch_floats(shape));
    for (const auto& [begin, end] : RandomRanges(random_, pixels, 1)) {
      kernels_->conv(shape, bases, encoding, begin, end, x.data(),
                     packed.data(), y.data(), scratch.data());
    }
    std::vector<float> want(y.size());
    reference::BinaryWeightConv(shape, encoding, x.data(), weight.data(),
                                e->epilogue, want.data());
    ExpectSame(y, want);
    EXPECT_TRUE(packed.GuardsIntact());
    EXPECT_TRUE(scratch.GuardsIntact());
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, BinaryWeightTest,
                         testing::ValuesIn(UsableTargets()), TargetTestName);

}  // namespace
}  // namespace bqengine::kernels
