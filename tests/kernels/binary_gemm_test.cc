// Binary matrix products of every target against the scalar twin: every number
// of channels from 1 to 193, K around every step and word, rows around the
// tile, every pairing of encodings, floats and bits.
#include <gtest/gtest.h>

#include <cstdint>

#include "binary_test_util.h"
#include "kernels/bgemm.h"

namespace bqengine::kernels {
namespace {

class BinaryGemmTest : public testing::TestWithParam<Target> {};

constexpr uint64_t kSeed = 20250711;

BconvSpec Product(int64_t rows, int64_t k, int64_t out) {
  return {.shape = GemmAsConv(rows, k, out),
          .format = {},
          .epilogue = {},
          .bits_out = false};
}

BinaryFormat RandomFormat(Random& random) {
  const auto encoding = [&] {
    return OneIn(random, 2) ? Encoding::kBipolar : Encoding::kUnipolar;
  };
  return {.activations = encoding(), .weights = encoding(), .pad_value = 0};
}

void CheckProduct(Target target, int64_t rows, int64_t k, int64_t out,
                  Random& random) {
  BconvSpec spec = Product(rows, k, out);
  spec.format = RandomFormat(random);
  spec.bits_out = OneIn(random, 2);
  spec.floats_too = spec.bits_out && OneIn(random, 3);
  const auto epilogue = RandomEpilogue::Make(random, out, std::sqrt(float(k)));
  spec.epilogue = epilogue->epilogue;
  CheckConvolution(target, spec, random);
}

TEST(BinaryGemm, SomeTargetRuns) { EXPECT_FALSE(UsableTargets().empty()); }

TEST_P(BinaryGemmTest, HasItsOwnKernels) {
  const BgemmKernels* kernels = GetBgemmKernels(GetParam());
  ASSERT_NE(kernels, nullptr);
  EXPECT_EQ(64 % (kernels->lanes * kernels->block_vectors), 0);
  for (Target other : CompiledTargets()) {
    if (other != GetParam()) {
      EXPECT_NE(GetBgemmKernels(other), kernels);
      EXPECT_NE(GetBgemmKernels(other)->run, kernels->run);
    }
  }
}

TEST_P(BinaryGemmTest, EveryNumberOfChannels) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Random random(kSeed);
  for (int64_t out = 1; out <= 193; ++out) {
    CheckProduct(GetParam(), Uniform(random, 1, 9), Uniform(random, 1, 200),
                 out, random);
    if (HasFatalFailure()) return;
  }
}

TEST_P(BinaryGemmTest, EveryEdgeOfK) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 1);
  Random random(kSeed + 1);
  // 31 steps of 32 bits fill a byte of counts: 991 to 993, 1984 and so on.
  // Where ones are looked up 7 steps do, 223 to 225; and 2047 fill 16 bits.
  for (int64_t middle : {1, 32, 64, 96, 128, 192, 224, 256, 448, 512, 992, 1024,
                         1984, 2304, 2976, 65504}) {
    for (int64_t k = std::max<int64_t>(middle - 1, 1); k <= middle + 1; ++k) {
      CheckProduct(GetParam(), Uniform(random, 1, 6), k,
                   Uniform(random, 1, 150), random);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(BinaryGemmTest, HighestCounts) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 4);
  Random random(kSeed + 4);
  for (int64_t k : {224, 256, 992, 1024, 4096, 65504, 65536, 65600, 132000}) {
    for (int64_t out : {5, 70}) {
      CheckConvolution(GetParam(), Product(5, k, out), random,
                       Operands::kOpposite);
      if (HasFatalFailure()) return;
    }
  }
}

// More weights than a cache holds, which may make another kernel the best.
TEST_P(BinaryGemmTest, FewRowsOfManyWeights) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 5);
  Random random(kSeed + 5);
  for (int64_t rows : {1, 3, 4}) {
    for (int64_t out : {512, 600}) {
      CheckProduct(GetParam(), rows, 8224, out, random);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(BinaryGemmTest, EveryNumberOfRows) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 2);
  Random random(kSeed + 2);
  for (int64_t rows = 1; rows <= 70; ++rows) {
    CheckProduct(GetParam(), rows, Uniform(random, 1, 130),
                 Uniform(random, 1, 70), random);
    if (HasFatalFailure()) return;
  }
}

// Each pairing alone, floats and bits, without constants: the accumulator
// itself, whose extremes are -K and K.
TEST_P(BinaryGemmTest, EveryPairing) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 3);
  Random random(kSeed + 3);
  for (Encoding activations : {Encoding::kBipolar, Encoding::kUnipolar}) {
    for (Encoding weights : {Encoding::kBipolar, Encoding::kUnipolar}) {
      for (bool bits_out : {false, true}) {
        for (int64_t k : {1, 40, 64, 1000, 2400}) {
          BconvSpec spec = Product(21, k, 67);
          spec.format = {activations, weights, 0};
          spec.bits_out = bits_out;
          CheckConvolution(GetParam(), spec, random);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, BinaryGemmTest,
                         testing::ValuesIn(UsableTargets()), TargetTestName);

}  // namespace
}  // namespace bqengine::kernels
