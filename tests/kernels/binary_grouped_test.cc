// Binary convolutions of narrow groups, of every target, against the scalar
// twin.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "binary_test_util.h"
#include "kernels/bgrouped.h"

namespace bqengine::kernels {
namespace {

class BinaryGroupedTest : public testing::TestWithParam<Target> {};

constexpr uint64_t kSeed = 20261123;

// `in` and `out` channels of each group.
BconvSpec Groups(int64_t size, int64_t groups, int64_t in, int64_t out,
                 int64_t kernel, int64_t stride = 1, int64_t dilation = 1) {
  return Square(size, groups * in, groups * out, kernel,
                (kernel - 1) * dilation / 2, groups, stride, dilation);
}

void RandomizeOneOutput(Random& random, BconvSpec& spec) {
  RandomizeFormat(random, spec);
  spec.floats_too = false;
}

// Runs `spec` in ranges of rows, in random order, and compares.
void Check(Target target, const BconvSpec& spec, Random& random) {
  SCOPED_TRACE(Describe(spec));
  ASSERT_TRUE(UsesBgrouped(spec));
  const ConvShape& shape = spec.shape;
  const Window& w = shape.window;
  const int64_t out = shape.out_channels;
  const int64_t pixels = w.batch * w.out_h * w.out_w;
  const BeforeForbidden<uint64_t> x(
      RandomRows(random, w.batch * w.in_h * w.in_w, shape.in_channels));
  const BeforeForbidden<uint64_t> weight(RandomRows(
      random, out * w.kernel_h * w.kernel_w, shape.in_channels / shape.groups));
  std::vector<float> want(size_t(spec.bits_out ? 0 : pixels * out));
  std::vector<uint64_t> want_bits(
      size_t(spec.bits_out ? pixels * WordsFor(out) : 0));
  const uint64_t* const input = x.data();
  reference::BinaryConv(shape, spec.format, &input, weight.data(),
                        spec.epilogue,
                        {.y = spec.bits_out ? nullptr : want.data(),
                         .y_bits = spec.bits_out ? want_bits.data() : nullptr});

  const BgroupedKernels* kernels = GetBgroupedKernels(target);
  ASSERT_NE(kernels, nullptr);
  Guarded<std::byte> memory(int64_t(BgroupedPlanBytes(*kernels, spec)));
  const BgroupedPlan plan =
      MakeBgroupedPlan(*kernels, spec, weight.data(), memory.data());
  Guarded<float> y(int64_t(want.size()));
  Guarded<uint64_t> y_bits(int64_t(want_bits.size()));
  std::vector<int64_t> begins;
  const int64_t rows = w.batch * w.out_h;
  const int64_t most = Uniform(random, 1, rows);
  for (int64_t row = 0; row < rows; row += most) begins.push_back(row);
  std::shuffle(begins.begin(), begins.end(), random);
  for (int64_t begin : begins) {
    Guarded<std::byte> scratch(int64_t(BgroupedScratchBytes(plan)));
    kernels->run(plan, begin, std::min(most, rows - begin), x.data(),
                 spec.bits_out ? nullptr : y.data(),
                 spec.bits_out ? y_bits.data() : nullptr, scratch.data());
    ASSERT_TRUE(scratch.GuardsIntact());
  }
  EXPECT_TRUE(memory.GuardsIntact());
  ExpectSame(y, want);
  ExpectSame(y_bits, want_bits);
}

void CheckWithRandomEpilogue(Target target, BconvSpec& spec, Random& random) {
  const Window& w = spec.shape.window;
  const float k = float(w.kernel_h * w.kernel_w * spec.shape.in_channels /
                        spec.shape.groups);
  const auto epilogue =
      RandomEpilogue::Make(random, spec.shape.out_channels, std::sqrt(k));
  spec.epilogue = epilogue->epilogue;
  spec.epilogue.weight_bases = spec.epilogue.activation_bases = 1;
  spec.epilogue.post_steps = 0;
  if (!spec.bits_out) spec.epilogue.alpha = spec.epilogue.beta = nullptr;
  Check(target, spec, random);
}

TEST_P(BinaryGroupedTest, RandomShapes) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Random random(kSeed);
  for (int done = 0; done < 400;) {
    BconvSpec spec = {};
    Window& w = spec.shape.window;
    const auto any = [&](int64_t low, int64_t high) {
      return Uniform(random, low, high);
    };
    w = {.batch = any(1, 3),
         .in_h = any(1, 17),
         .in_w = any(1, 17),
         .out_h = 0,
         .out_w = 0,
         .kernel_h = any(1, 5),
         .kernel_w = any(1, 5),
         .stride_h = any(1, 3),
         .stride_w = any(1, 3),
         .dilation_h = any(1, 3),
         .dilation_w = any(1, 3),
         .pad_top = 0,
         .pad_left = 0};
    if (!SetOutput({any(0, 4), any(0, 4), any(0, 4), any(0, 4)}, w)) continue;
    const int64_t group_in = OneIn(random, 2) ? 1 : any(2, 20);
    const int64_t group_out = OneIn(random, 2) ? group_in : any(1, 20);
    spec.shape.groups = any(2, 193);
    spec.shape.in_channels = spec.shape.groups * group_in;
    spec.shape.out_channels = spec.shape.groups * group_out;
    // The scalar twin, not the kernel, would take long over larger ones.
    const int64_t work = w.batch * w.out_h * w.out_w * w.kernel_h * w.kernel_w *
                         spec.shape.out_channels;
    if (work > 120'000) continue;
    RandomizeOneOutput(random, spec);
    if (!UsesBgrouped(spec)) continue;
    CheckWithRandomEpilogue(GetParam(), spec, random);
    if (HasFatalFailure()) return;
    ++done;
  }
}

TEST_P(BinaryGroupedTest, DepthwiseOfEveryNumberOfChannels) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 1);
  Random random(kSeed + 1);
  for (int64_t channels = 2; channels <= 193; ++channels) {
    for (bool bits_out : {false, true}) {
      BconvSpec spec = Groups(5, channels, 1, 1, 3);
      RandomizeOneOutput(random, spec);
      spec.bits_out = bits_out;
      CheckWithRandomEpilogue(GetParam(), spec, random);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(BinaryGroupedTest, EveryFormat) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 2);
  Random random(kSeed + 2);
  const BconvSpec shapes[] = {
      Groups(7, 70, 1, 1, 3),    Groups(8, 33, 1, 1, 5, 2),
      Groups(6, 33, 1, 3, 3),    Groups(9, 16, 8, 8, 3),
      Groups(9, 9, 16, 16, 3),   Groups(7, 40, 4, 4, 3, 2, 2),
      Groups(7, 10, 12, 12, 3),  Groups(7, 3, 64, 64, 1),
      Groups(9, 3, 28, 5, 3, 2), Groups(5, 600, 1, 1, 3)};
  for (BconvSpec spec : shapes) {
    for (Encoding activations : {Encoding::kBipolar, Encoding::kUnipolar}) {
      for (Encoding weights : {Encoding::kBipolar, Encoding::kUnipolar}) {
        for (int pad : {-1, 0, 1}) {
          if (activations == Encoding::kUnipolar && pad < 0) continue;
          for (bool bits_out : {false, true}) {
            spec.format = {activations, weights, pad};
            spec.bits_out = bits_out;
            CheckWithRandomEpilogue(GetParam(), spec, random);
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

// As many terms as a count can hold, all of them ones, or none.
TEST_P(BinaryGroupedTest, LargestCounts) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 3);
  Random random(kSeed + 3);
  for (int64_t kernel : {3, 4, 15}) {
    const int64_t in = 255 / (kernel * kernel);
    BconvSpec spec = Groups(kernel, 66, in, 1, kernel);
    for (int i = 0; i < 4; ++i) {
      RandomizeOneOutput(random, spec);
      CheckWithRandomEpilogue(GetParam(), spec, random);
      if (HasFatalFailure()) return;
    }
  }
}

// Windows that lie on padding altogether, before and behind the image.
TEST_P(BinaryGroupedTest, MorePaddingThanImage) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 4);
  Random random(kSeed + 4);
  for (int64_t kernel : {1, 2, 3}) {
    for (int64_t in : {1, 4}) {
      BconvSpec spec = Groups(2, 70, in, in, kernel);
      ASSERT_TRUE(SetOutput({4, 4, 4, 4}, spec.shape.window));
      for (int i = 0; i < 4; ++i) {
        RandomizeOneOutput(random, spec);
        CheckWithRandomEpilogue(GetParam(), spec, random);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(BinaryGrouped, LeavesTheRest) {
  BconvSpec spec = Groups(5, 8, 1, 1, 3);
  EXPECT_TRUE(UsesBgrouped(spec));
  const float scale = 2;
  spec.epilogue.alpha = &scale;
  EXPECT_FALSE(UsesBgrouped(spec));
  spec.bits_out = true;
  EXPECT_TRUE(UsesBgrouped(spec));
  spec.floats_too = true;
  EXPECT_FALSE(UsesBgrouped(spec));
  spec.floats_too = false;
  spec.epilogue.post_steps = 1;
  EXPECT_FALSE(UsesBgrouped(spec));
  spec.epilogue.post_steps = 0;
  spec.epilogue.weight_bases = 2;
  EXPECT_FALSE(UsesBgrouped(spec));
  EXPECT_FALSE(UsesBgrouped(Groups(16, 8, 1, 1, 16)));  // 256 terms
  EXPECT_FALSE(UsesBgrouped(Groups(5, 2, 65, 1, 1)));
  EXPECT_FALSE(UsesBgrouped(Groups(5, 2, 1, 65, 1)));
  EXPECT_FALSE(UsesBgrouped(Groups(5, 1, 16, 16, 1)));
}

INSTANTIATE_TEST_SUITE_P(Targets, BinaryGroupedTest,
                         testing::ValuesIn(UsableTargets()), TargetTestName);

}  // namespace
}  // namespace bqengine::kernels
