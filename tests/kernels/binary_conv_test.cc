// Binary convolutions of every target against the scalar twin: random shapes
// around every edge, and the special ones by name.
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>

#include "binary_test_util.h"
#include "kernels/bconv.h"
#include "kernels/bgrouped.h"

namespace bqengine::kernels {
namespace {

class BinaryConvTest : public testing::TestWithParam<Target> {};

constexpr uint64_t kSeed = 20250712;

void CheckWithRandomEpilogue(Target target, BconvSpec& spec, Random& random) {
  const Window& w = spec.shape.window;
  const float k = float(w.kernel_h * w.kernel_w * spec.shape.in_channels /
                        spec.shape.groups);
  const auto epilogue =
      RandomEpilogue::Make(random, spec.shape.out_channels, std::sqrt(k));
  spec.epilogue = epilogue->epilogue;
  CheckConvolution(target, spec, random);
}

TEST(BinaryConv, SomeTargetRuns) { EXPECT_FALSE(UsableTargets().empty()); }

TEST_P(BinaryConvTest, RandomShapes) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Random random(kSeed);
  for (int done = 0; done < 400;) {
    BconvSpec spec = {};
    Window& w = spec.shape.window;
    w.batch = Uniform(random, 1, 3);
    w.in_h = Uniform(random, 1, 17);
    w.in_w = Uniform(random, 1, 17);
    w.kernel_h = Uniform(random, 1, 5);
    w.kernel_w = Uniform(random, 1, 5);
    w.stride_h = Uniform(random, 1, 3);
    w.stride_w = Uniform(random, 1, 3);
    w.dilation_h = Uniform(random, 1, 3);
    w.dilation_w = Uniform(random, 1, 3);
    const auto pad = [&] { return Uniform(random, 0, 4); };
    if (!SetOutput({pad(), pad(), pad(), pad()}, w)) continue;
    spec.shape.groups = OneIn(random, 3) ? Uniform(random, 2, 9) : 1;
    const int64_t most = 193 / spec.shape.groups;
    spec.shape.in_channels = spec.shape.groups * Uniform(random, 1, most);
    spec.shape.out_channels = spec.shape.groups * Uniform(random, 1, most);
    // The scalar twin, not the kernel, would take long over larger ones.
    const int64_t work = w.batch * w.out_h * w.out_w * w.kernel_h * w.kernel_w *
                         spec.shape.out_channels;
    if (work > 120'000) continue;
    RandomizeFormat(random, spec);
    CheckWithRandomEpilogue(GetParam(), spec, random);
    if (HasFatalFailure()) return;
    ++done;
  }
}

TEST_P(BinaryConvTest, EveryNumberOfInputChannels) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 1);
  Random random(kSeed + 1);
  for (int64_t in = 1; in <= 193; ++in) {
    BconvSpec spec = Square(5, in, 9, 3, 1);
    RandomizeFormat(random, spec);
    CheckWithRandomEpilogue(GetParam(), spec, random);
    if (HasFatalFailure()) return;
  }
}

TEST_P(BinaryConvTest, EverySizeAndPadValue) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 2);
  Random random(kSeed + 2);
  for (int64_t size = 1; size <= 17; ++size) {
    for (int pad_value : {-1, 0, 1}) {
      for (Encoding weights : {Encoding::kBipolar, Encoding::kUnipolar}) {
        BconvSpec spec = Square(size, 37, 20, 3, 1);
        spec.format = {Encoding::kBipolar, weights, pad_value};
        CheckConvolution(GetParam(), spec, random);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Depthwise, and groups that begin inside of words and cross their borders, on
// the input as on the (packed) output.
TEST_P(BinaryConvTest, Groups) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 3);
  Random random(kSeed + 3);
  const struct {
    int64_t in, out, groups;
  } cases[] = {{1, 1, 1},     {7, 7, 7},     {64, 64, 64}, {65, 130, 65},
               {96, 96, 3},   {160, 80, 4},  {129, 3, 3},  {66, 66, 2},
               {192, 192, 2}, {128, 128, 4}, {40, 200, 2}, {200, 40, 5}};
  for (const auto& c : cases) {
    for (bool bits_out : {false, true}) {
      BconvSpec spec = Square(5, c.in, c.out, 3, 1, c.groups);
      RandomizeFormat(random, spec);
      spec.bits_out = bits_out;
      CheckWithRandomEpilogue(GetParam(), spec, random);
      if (HasFatalFailure()) return;
    }
  }
}

// Windows that lie on padding altogether, before and behind the image.
TEST_P(BinaryConvTest, MorePaddingThanImage) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 4);
  Random random(kSeed + 4);
  for (int64_t kernel : {1, 2, 3}) {
    for (int pad_value : {-1, 0, 1}) {
      BconvSpec spec = Square(2, 70, 33, kernel, 4);
      spec.format = {Encoding::kBipolar, Encoding::kBipolar, pad_value};
      CheckWithRandomEpilogue(GetParam(), spec, random);
      if (HasFatalFailure()) return;
    }
  }
}

// Numbers whose products are beyond 64 bits.
TEST_P(BinaryConvTest, FarWindows) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 9);
  Random random(kSeed + 9);
  constexpr int64_t kFar = int64_t{1} << 30;
  BconvSpec strided = Square(2, 128, 16, 1, 0);
  strided.shape.window.stride_h = strided.shape.window.stride_w = kFar;
  strided.shape.window.out_h = strided.shape.window.out_w = 1;
  CheckWithRandomEpilogue(GetParam(), strided, random);
  // One tap of four meets the image.
  BconvSpec dilated = Square(2, 64, 64, 2, 0, 64);
  Window& w = dilated.shape.window;
  w.dilation_h = w.dilation_w = w.stride_h = w.stride_w = kFar;
  w.pad_top = w.pad_left = w.pad_bottom = w.pad_right = kFar;
  w.out_h = w.out_w = 2;
  EXPECT_FALSE(UsesBgrouped(dilated));
  CheckWithRandomEpilogue(GetParam(), dilated, random);
}

// 1x1, of any stride.
TEST_P(BinaryConvTest, Pointwise) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed + 5);
  Random random(kSeed + 5);
  for (int64_t stride : {1, 2, 3}) {
    for (int64_t in : {16, 33, 64, 100, 192}) {
      BconvSpec spec = Square(9, in, 70, 1, 0);
      spec.shape.window.batch = 2;
      spec.shape.window.stride_h = stride;
      spec.shape.window.stride_w = 1;
      ASSERT_TRUE(SetOutput({0, 0, 0, 0}, spec.shape.window));
      RandomizeFormat(random, spec);
      CheckWithRandomEpilogue(GetParam(), spec, random);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(BinaryConvTest, PartsFitTheTile) {
  const BgemmKernels& kernels = *GetBgemmKernels(GetParam());
  for (int64_t in : {1, 64, 512, 100'000}) {
    const BconvSpec spec = Square(3, in, 1, 3, 1);
    Guarded<std::byte> memory(int64_t(BconvPlanBytes(kernels, spec)));
    Random random(kSeed);
    const std::vector<uint64_t> weight = RandomRows(random, 9, in);
    const BconvPlan plan =
        MakeBconvPlan(kernels, spec, weight.data(), memory.data());
    const int64_t pixels = BconvPartPixels(kernels, plan);
    EXPECT_GE(pixels, kernels.tile_rows);
    EXPECT_EQ(pixels % kernels.tile_rows, 0);
    EXPECT_LE(pixels, 256);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, BinaryConvTest,
                         testing::ValuesIn(UsableTargets()), TargetTestName);

}  // namespace
}  // namespace bqengine::kernels
