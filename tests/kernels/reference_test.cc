// The binary half of the oracle: against values worked out by hand, and against
// a second formulation that shares nothing with it (bits decoded to floats, the
// image padded by copying, plain float convolution).
#include "kernels/reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "naive_conv.h"

namespace bqengine::kernels {
namespace {

const Encoding kEncodings[] = {Encoding::kBipolar, Encoding::kUnipolar};

// ------------------------------------------------------------------- products

TEST(ReferenceBinaryGemm, EveryPairingByHand) {
  // bits a = 1 0 1, w = 1 1 0
  const std::vector<uint64_t> a = Pack({1, 0, 1}, 3), w = Pack({1, 1, 0}, 3);
  const auto product = [&](Encoding activations, Encoding weights) {
    const uint64_t* const inputs[] = {a.data()};
    float y = kNaN;
    reference::BinaryGemm(1, 3, 1, {activations, weights, 0}, inputs, w.data(),
                          {}, {.y = &y});
    return y;
  };
  const Encoding bipolar = Encoding::kBipolar, unipolar = Encoding::kUnipolar;
  EXPECT_EQ(product(bipolar, bipolar), 1 - 1 - 1);
  EXPECT_EQ(product(unipolar, unipolar), 1 + 0 + 0);
  EXPECT_EQ(product(unipolar, bipolar), 1 + 0 - 1);
  EXPECT_EQ(product(bipolar, unipolar), 1 - 1 + 0);
}

TEST(ReferenceBinaryGemm, AgreesWithFloatProduct) {
  const uint32_t seed = 20240501;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int64_t k : {1, 2, 63, 64, 65, 127, 128, 129, 193}) {
    for (Encoding activations : kEncodings) {
      for (Encoding weights : kEncodings) {
        const int64_t rows = 3, out = 4;
        const std::vector<int> a = RandomBits(random, rows * k);
        const std::vector<int> w = RandomBits(random, out * k);
        const std::vector<uint64_t> packed_a = Pack(a, k),
                                    packed_w = Pack(w, k);
        const uint64_t* const inputs[] = {packed_a.data()};
        std::vector<float> y(rows * out);
        reference::BinaryGemm(rows, k, out, {activations, weights, 0}, inputs,
                              packed_w.data(), {}, {.y = y.data()});
        const std::vector<float> x = Decode(a, activations);
        const std::vector<float> v = Decode(w, weights);
        for (int64_t i = 0; i < rows * out; ++i) {
          float sum = 0;
          for (int64_t j = 0; j < k; ++j) {
            sum += x[size_t(i / out * k + j)] * v[size_t(i % out * k + j)];
          }
          EXPECT_EQ(y[size_t(i)], sum) << "k " << k << " element " << i;
        }
      }
    }
  }
}

TEST(ReferenceBinaryConv, PaddingByHand) {
  // One pixel, value +1, one channel; 3x3 kernel of six +1 and three -1 whose
  // centre is -1: eight taps with sum 4 lie on padding.
  const ConvShape shape = MakeShape(SquareWindow(1, 3, 1), 1, 1, 1);
  const std::vector<uint64_t> weight = Pack({1, 1, 1, 0, 0, 1, 1, 0, 1}, 1);
  const uint64_t x = 1;
  const uint64_t* const inputs[] = {&x};
  const auto conv = [&](BinaryFormat format) {
    float y = kNaN;
    reference::BinaryConv(shape, format, inputs, weight.data(), {}, {.y = &y});
    return y;
  };
  const Encoding bipolar = Encoding::kBipolar, unipolar = Encoding::kUnipolar;
  EXPECT_EQ(conv({bipolar, bipolar, 0}), -1);
  EXPECT_EQ(conv({bipolar, bipolar, 1}), -1 + 4);
  EXPECT_EQ(conv({bipolar, bipolar, -1}), -1 - 4);
  EXPECT_EQ(conv({bipolar, unipolar, -1}), 0 - 6);
  EXPECT_EQ(conv({unipolar, unipolar, 1}), 0 + 6);
  EXPECT_EQ(conv({unipolar, bipolar, 1}), -1 + 4);
  EXPECT_EQ(conv({unipolar, bipolar, 0}), -1);
}

TEST(ReferenceBinaryConv, AgreesWithFloatConvolution) {
  for (uint32_t seed = 1; seed <= 6; ++seed) {
    std::mt19937 random(seed);
    for (const Channels& channels : kChannels) {
      const ConvShape shape = MakeShape(RandomWindow(random), channels.in,
                                        channels.out, channels.groups);
      const Window& w = shape.window;
      SCOPED_TRACE("seed " + std::to_string(seed) + " " + Describe(shape));
      const std::vector<int> a =
          RandomBits(random, w.batch * w.in_h * w.in_w * channels.in);
      const std::vector<int> weight =
          RandomBits(random, channels.out * w.kernel_h * w.kernel_w *
                                 (channels.in / channels.groups));
      const std::vector<uint64_t> packed_a = Pack(a, channels.in);
      const std::vector<uint64_t> packed_w =
          Pack(weight, channels.in / channels.groups);
      const uint64_t* const inputs[] = {packed_a.data()};
      for (Encoding activations : kEncodings) {
        for (Encoding weights : kEncodings) {
          for (int pad : {-1, 0, 1}) {
            if (activations == Encoding::kUnipolar && pad < 0) continue;
            const std::vector<float> expected =
                NaiveConv(shape, float(pad), Decode(a, activations),
                          Decode(weight, weights));
            std::vector<float> y(expected.size(), kNaN);
            const BinaryFormat format = {activations, weights, pad};
            reference::BinaryConv(shape, format, inputs, packed_w.data(), {},
                                  {.y = y.data()});
            ASSERT_EQ(y, expected) << "pad " << pad;

            // As bits, with a threshold that is met exactly here and there.
            const float threshold = 1;
            Epilogue epilogue;
            epilogue.threshold = &threshold;
            std::vector<int> reached;
            for (float value : expected) reached.push_back(value >= threshold);
            const std::vector<uint64_t> expected_bits =
                Pack(reached, channels.out);
            std::vector<uint64_t> y_bits(expected_bits.size(), ~uint64_t{0});
            reference::BinaryConv(shape, format, inputs, packed_w.data(),
                                  epilogue, {.y_bits = y_bits.data()});
            ASSERT_EQ(y_bits, expected_bits) << "pad " << pad;
          }
        }
      }
    }
  }
}

// ------------------------------------------------------------------- epilogue

TEST(ReferenceEpilogue, OneBaseByHand) {
  const int32_t acc[] = {3};
  EXPECT_EQ(reference::ApplyEpilogue({}, acc, 0, 1), 3.0f);
  const float mul[] = {0.5f, 2.0f}, add[] = {-7.0f};
  Epilogue epilogue;
  epilogue.mul = mul;
  epilogue.mul_stride = 1;
  epilogue.add = add;
  EXPECT_EQ(reference::ApplyEpilogue(epilogue, acc, 0, 2), 1.5f - 7.0f);
  EXPECT_EQ(reference::ApplyEpilogue(epilogue, acc, 1, 2), 6.0f - 7.0f);
}

TEST(ReferenceEpilogue, BasesByHand) {
  // M = 2, N = 2; acc[n * 2 + m].
  const int32_t acc[] = {1, 2, 3, 4};
  const float beta[] = {10.0f, 100.0f};
  const float alpha[] = {0.5f, 0.25f};
  Epilogue epilogue;
  epilogue.weight_bases = epilogue.activation_bases = 2;
  EXPECT_EQ(reference::ApplyEpilogue(epilogue, acc, 0, 3), 10.0f);
  epilogue.beta = beta;
  EXPECT_EQ(reference::ApplyEpilogue(epilogue, acc, 0, 3), 30.0f + 700.0f);
  epilogue.alpha = alpha;
  EXPECT_EQ(reference::ApplyEpilogue(epilogue, acc, 2, 3), 10.0f + 250.0f);
  // [M, O] with O = 3: channel 2 has 4 and 32.
  const float alpha_per_channel[] = {1, 2, 4, 8, 16, 32};
  epilogue.alpha = alpha_per_channel;
  epilogue.alpha_per_channel = true;
  EXPECT_EQ(reference::ApplyEpilogue(epilogue, acc, 2, 3),
            10.0f * (4 + 64) + 100.0f * (12 + 128));
}

TEST(ReferenceEpilogue, MultiplicationRoundsBeforeAddition) {
  // 16777215 * (1 + 2^-23) = 16777217 - 2^-23, which rounds to 16777216; minus
  // that gives 0, but a fused multiply-add would give almost 1.
  const int32_t acc[] = {16777215};
  const float mul = 1.0f + std::ldexp(1.0f, -23), add = -16777216.0f;
  Epilogue epilogue;
  epilogue.mul = &mul;
  epilogue.add = &add;
  EXPECT_EQ(reference::ApplyEpilogue(epilogue, acc, 0, 1), 0.0f);
  EXPECT_NE(std::fma(16777215.0f, mul, add), 0.0f);
}

TEST(ReferenceEpilogue, StepsByHand) {
  const float slope[] = {0.5f, -2.0f}, limits[] = {-4.0f, 5.0f};
  const float add = -10.0f, mul = 3.0f;
  const auto apply = [](int32_t acc, const PostStep& step) {
    Epilogue epilogue;
    epilogue.post_steps = 1;
    epilogue.post[0] = step;
    return reference::ApplyEpilogue(epilogue, &acc, 1, 2, 100.0f);
  };
  EXPECT_EQ(apply(-3, {PostOp::kRelu}), 0.0f);
  EXPECT_EQ(apply(3, {PostOp::kRelu}), 3.0f);
  EXPECT_EQ(apply(-3, {PostOp::kPRelu, slope, 1}), 6.0f);
  EXPECT_EQ(apply(-3, {PostOp::kPRelu, slope, 0}), -1.5f);
  EXPECT_EQ(apply(3, {PostOp::kPRelu, slope, 1}), 3.0f);
  EXPECT_EQ(apply(-6, {PostOp::kClip, limits}), -4.0f);
  EXPECT_EQ(apply(6, {PostOp::kClip, limits}), 5.0f);
  EXPECT_EQ(apply(2, {PostOp::kClip, limits}), 2.0f);
  EXPECT_EQ(apply(3, {PostOp::kAdd, &add}), -7.0f);
  EXPECT_EQ(apply(3, {PostOp::kMul, &mul}), 9.0f);
  EXPECT_EQ(apply(3, {PostOp::kResidual}), 103.0f);
  // In their order.
  const int32_t acc = 3;
  Epilogue epilogue;
  epilogue.post_steps = 3;
  epilogue.post[0] = {PostOp::kAdd, &add};
  epilogue.post[1] = {PostOp::kMul, &mul};
  epilogue.post[2] = {PostOp::kResidual};
  EXPECT_EQ(reference::ApplyEpilogue(epilogue, &acc, 0, 1, 0.5f), -20.5f);
}

TEST(ReferenceBinaryConv, BasesAgreeWithSeparateConvolutions) {
  const uint32_t seed = 7;
  std::mt19937 random(seed);
  const int64_t bases = 3, activation_bases = 2;
  const ConvShape shape = MakeShape(RandomWindow(random), 70, 6, 2);
  const Window& w = shape.window;
  SCOPED_TRACE("seed 7 " + Describe(shape));
  const BinaryFormat format = {Encoding::kBipolar, Encoding::kBipolar, -1};
  const int64_t filter = w.kernel_h * w.kernel_w * 35;

  std::vector<std::vector<int>> a;
  std::vector<std::vector<uint64_t>> packed_a;
  std::vector<const uint64_t*> inputs;
  for (int64_t n = 0; n < activation_bases; ++n) {
    a.push_back(RandomBits(random, w.batch * w.in_h * w.in_w * 70));
    packed_a.push_back(Pack(a.back(), 70));
  }
  for (const auto& input : packed_a) inputs.push_back(input.data());
  const std::vector<int> weight = RandomBits(random, bases * 6 * filter);
  const std::vector<float> alpha = RandomFloats(random, bases * 6);
  const std::vector<float> beta = RandomFloats(random, activation_bases);
  const std::vector<float> mul = RandomFloats(random, 6);
  const float add = 0.3f;

  Epilogue epilogue;
  epilogue.weight_bases = bases;
  epilogue.activation_bases = activation_bases;
  epilogue.alpha = alpha.data();
  epilogue.alpha_per_channel = true;
  epilogue.beta = beta.data();
  epilogue.mul = mul.data();
  epilogue.mul_stride = 1;
  epilogue.add = &add;
  std::vector<float> y(size_t(w.batch * w.out_h * w.out_w * 6));
  reference::BinaryConv(shape, format, inputs.data(), Pack(weight, 35).data(),
                        epilogue, {.y = y.data()});

  std::vector<std::vector<float>> acc;  // [n * bases + m]
  for (int64_t n = 0; n < activation_bases; ++n) {
    for (int64_t m = 0; m < bases; ++m) {
      const std::vector<int> base(weight.begin() + m * 6 * filter,
                                  weight.begin() + (m + 1) * 6 * filter);
      acc.push_back(NaiveConv(shape, -1,
                              Decode(a[size_t(n)], format.activations),
                              Decode(base, format.weights)));
    }
  }
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t o = i % 6;
    const float first = alpha[o] * acc[0][i] + alpha[6 + o] * acc[1][i] +
                        alpha[12 + o] * acc[2][i];
    const float second = alpha[o] * acc[3][i] + alpha[6 + o] * acc[4][i] +
                         alpha[12 + o] * acc[5][i];
    const float sum = beta[0] * first + beta[1] * second;
    EXPECT_EQ(y[i], sum * mul[o] + add) << "element " << i;
  }
}

TEST(ReferenceBinaryGemm, NaNMeetsNoThreshold) {
  const uint64_t x = 1, w = 1;
  const uint64_t* const inputs[] = {&x};
  const float mul = kNaN, infinite = kInf;
  uint64_t y = ~uint64_t{0};
  Epilogue epilogue;
  epilogue.mul = &mul;
  reference::BinaryGemm(1, 1, 1, {}, inputs, &w, epilogue, {.y_bits = &y});
  EXPECT_EQ(y, 0u);
  epilogue.mul = &infinite;
  epilogue.threshold = &infinite;
  reference::BinaryGemm(1, 1, 1, {}, inputs, &w, epilogue, {.y_bits = &y});
  EXPECT_EQ(y, 1u);
}

// ------------------------------------------------- float with binary weights

TEST(ReferenceBinaryWeightGemm, BothEncodingsByHand) {
  const float x[] = {0.5f, -2.0f, 4.0f};
  const std::vector<uint64_t> w = Pack({1, 0, 1}, 3);
  const float alpha = 2.0f, mul = 3.0f, add = 1.0f;
  Epilogue epilogue;
  epilogue.alpha = &alpha;
  epilogue.mul = &mul;
  epilogue.add = &add;
  float y = kNaN;
  reference::BinaryWeightGemm(1, 3, 1, Encoding::kBipolar, x, w.data(),
                              epilogue, &y);
  EXPECT_EQ(y, (0.5f + 2.0f + 4.0f) * 2 * 3 + 1);
  reference::BinaryWeightGemm(1, 3, 1, Encoding::kUnipolar, x, w.data(),
                              epilogue, &y);
  EXPECT_EQ(y, (0.5f + 4.0f) * 2 * 3 + 1);
}

TEST(ReferenceBinaryWeightConv, AgreesWithFloatConvolution) {
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    std::mt19937 random(seed);
    for (const Channels& channels : kChannels) {
      const ConvShape shape = MakeShape(RandomWindow(random), channels.in,
                                        channels.out, channels.groups);
      const Window& w = shape.window;
      SCOPED_TRACE("seed " + std::to_string(seed) + " " + Describe(shape));
      // Small integers, so that sums are exact in any order.
      std::vector<float> x(size_t(w.batch * w.in_h * w.in_w * channels.in));
      for (float& value : x) value = float(int(random() % 255) - 127);
      const int64_t group_in = channels.in / channels.groups;
      const std::vector<int> weight =
          RandomBits(random, channels.out * w.kernel_h * w.kernel_w * group_in);
      for (Encoding weights : kEncodings) {
        const std::vector<float> expected =
            NaiveConv(shape, 0, x, Decode(weight, weights));
        std::vector<float> y(expected.size(), kNaN);
        reference::BinaryWeightConv(shape, weights, x.data(),
                                    Pack(weight, group_in).data(), {},
                                    y.data());
        ASSERT_EQ(y, expected);
      }
    }
  }
}

TEST(ReferenceBinaryWeightConv, SumsBasesByHand) {
  // Two bases of a 1x1 convolution with two channels, one pixel [1, 2].
  const ConvShape shape = MakeShape(SquareWindow(1, 1, 0), 2, 1, 1);
  const float x[] = {1.0f, 2.0f}, alpha[] = {10.0f, 1.0f};
  const std::vector<uint64_t> weight = Pack({1, 1, 0, 1}, 2);
  Epilogue epilogue;
  epilogue.weight_bases = 2;
  epilogue.alpha = alpha;
  float y = kNaN;
  reference::BinaryWeightConv(shape, Encoding::kBipolar, x, weight.data(),
                              epilogue, &y);
  EXPECT_EQ(y, 10.0f * 3 + 1.0f * (2 - 1));
}

// ------------------------------------------------------------------ other bits

TEST(ReferenceBinarize, ThresholdZeroNaNAndInfinity) {
  const float x[] = {0.0f, -0.0f, -1e-30f, kNaN, kInf, -kInf, 1.0f};
  uint64_t y = ~uint64_t{0};
  reference::Binarize(1, 7, x, nullptr, 0, &y);
  EXPECT_EQ(y, 0b1010011u);
  const float threshold = 1.0f;
  reference::Binarize(1, 7, x, &threshold, 0, &y);
  EXPECT_EQ(y, 0b1010000u);
  const float per_channel[] = {0.5f, -1.0f, -1.0f, 0.0f, kInf, -kInf, kNaN};
  reference::Binarize(1, 7, x, per_channel, 1, &y);
  EXPECT_EQ(y, 0b0110110u);
}

TEST(ReferenceBinarize, RowsStartAtWords) {
  std::vector<float> x(2 * 65, -1.0f);
  x[0] = x[64] = 1.0f;            // row 0: channels 0 and 64
  x[65 + 1] = x[65 + 63] = 1.0f;  // row 1: channels 1 and 63
  std::vector<uint64_t> y(4, ~uint64_t{0});
  reference::Binarize(2, 65, x.data(), nullptr, 0, y.data());
  EXPECT_EQ(y, (std::vector<uint64_t>{1, 1, (uint64_t{1} << 63) | 2, 0}));
}

TEST(ReferenceBinaryMaxPool, IsTheMaximumOfDecodedValues) {
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    std::mt19937 random(seed);
    for (int64_t channels : {1, 3, 64, 65, 130}) {
      const ConvShape shape =
          MakeShape(RandomWindow(random), channels, channels, 1);
      const Window& w = shape.window;
      SCOPED_TRACE("seed " + std::to_string(seed) + " " + Describe(shape));
      const std::vector<int> x =
          RandomBits(random, w.batch * w.in_h * w.in_w * channels);
      std::vector<float> maximum(
          size_t(w.batch * w.out_h * w.out_w * channels));
      reference::MaxPool(w, channels, Decode(x, Encoding::kBipolar).data(),
                         maximum.data());
      std::vector<int> expected;
      for (float value : maximum) expected.push_back(value == 1.0f);
      const std::vector<uint64_t> expected_words = Pack(expected, channels);
      std::vector<uint64_t> y(expected_words.size(), ~uint64_t{0});
      reference::BinaryMaxPool(w, channels, Pack(x, channels).data(), y.data());
      EXPECT_EQ(y, expected_words);
    }
  }
}

}  // namespace
}  // namespace bqengine::kernels
