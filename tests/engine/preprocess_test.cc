// Pixels to inputs, and channels-first to channels-last.
#include "bqengine/preprocess.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace bqengine {
namespace {

GraphInput Input(Shape shape, Preprocess preprocess) {
  return {.name = "x",
          .info = {DataType::kFloat32, std::move(shape)},
          .preprocess = std::move(preprocess)};
}

// Every byte, by the formula of the header, to the last bit.
TEST(PixelsToInput, FollowsFormulaExactly) {
  std::vector<uint8_t> pixels(256);
  std::iota(pixels.begin(), pixels.end(), uint8_t{0});
  const float scale = 1.0f / 255, mean = 0.1307f, std = 0.3081f;
  std::vector<float> out(256);
  ASSERT_TRUE(PixelsToInput(Input({kBatch, 16, 16, 1}, {scale, {mean}, {std}}),
                            pixels, out)
                  .ok());
  for (int p = 0; p < 256; ++p) {
    const float scaled = static_cast<float>(p) * scale;
    const float shifted = scaled - mean;
    EXPECT_EQ(out[static_cast<size_t>(p)], shifted / std) << p;
  }
}

TEST(PixelsToInput, ChannelsHaveTheirOwn) {
  const std::vector<uint8_t> pixels = {1, 2, 3, 4, 5, 6};
  std::vector<float> out(6);
  ASSERT_TRUE(PixelsToInput(Input({kBatch, 1, 2, 3}, {2, {1, 2, 3}, {1, 2, 4}}),
                            pixels, out)
                  .ok());
  EXPECT_EQ(out, (std::vector<float>{1, 1, 0.75, 7, 4, 2.25}));
  // One mean for all and a std for each; a batch of two items of one pixel.
  ASSERT_TRUE(
      PixelsToInput(Input({kBatch, 1, 1, 3}, {1, {1}, {1, 2, 4}}), pixels, out)
          .ok());
  EXPECT_EQ(out, (std::vector<float>{0, 0.5, 0.5, 3, 2, 1.25}));
}

TEST(PixelsToInput, RefusesWhatDoesNotFit) {
  const std::vector<uint8_t> pixels(12);
  std::vector<float> out(12);
  const auto code = [&](const GraphInput& input, size_t in_size,
                        size_t out_size) {
    return PixelsToInput(input, std::span(pixels).first(in_size),
                         std::span(out).first(out_size))
        .code();
  };
  const GraphInput good = Input({kBatch, 2, 1, 3}, {});
  EXPECT_EQ(code(good, 12, 12), StatusCode::kOk);
  EXPECT_EQ(code(good, 6, 12), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(good, 7, 7), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(good, 0, 0), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Input({kBatch, 2, 1, 3}, {1, {1, 2}, {1}}), 6, 6),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Input({kBatch, 2, 1, 3}, {1, {1}, {}}), 6, 6),
            StatusCode::kInvalidArgument);
  GraphInput bits = good;
  bits.info.type = DataType::kBipolar;
  EXPECT_EQ(code(bits, 6, 6), StatusCode::kInvalidArgument);
}

TEST(Layouts, ShapesInFiles) {
  const Shape image = {kBatch, 4, 5, 3};
  EXPECT_EQ(*ShapeInLayout(image, Layout::kNHWC), image);
  EXPECT_EQ(*ShapeInLayout(image, Layout::kNCHW), (Shape{kBatch, 3, 4, 5}));
  EXPECT_EQ(*ShapeInLayout({kBatch, 7, 2}, Layout::kNCHW),
            (Shape{kBatch, 2, 7}));
  EXPECT_EQ(*ShapeInLayout({kBatch, 7}, Layout::kNCHW), (Shape{kBatch, 7}));
}

// Against the definition: element (n, c, h, w) of one is (n, h, w, c) of the
// other.
TEST(Layouts, ConvertBothWays) {
  constexpr size_t kN = 2, kH = 3, kW = 4, kC = 5;
  const Shape shape = {kBatch, kH, kW, kC};
  std::vector<float> first(kN * kC * kH * kW);
  std::iota(first.begin(), first.end(), 0.0f);
  std::vector<float> last(first.size()), back(first.size());
  ASSERT_TRUE(ToChannelsLast(shape, Layout::kNCHW, first, last).ok());
  for (size_t n = 0; n < kN; ++n) {
    for (size_t c = 0; c < kC; ++c) {
      for (size_t h = 0; h < kH; ++h) {
        for (size_t w = 0; w < kW; ++w) {
          EXPECT_EQ(last[((n * kH + h) * kW + w) * kC + c],
                    first[((n * kC + c) * kH + h) * kW + w]);
        }
      }
    }
  }
  ASSERT_TRUE(FromChannelsLast(shape, Layout::kNCHW, last, back).ok());
  EXPECT_EQ(back, first);
  ASSERT_TRUE(ToChannelsLast(shape, Layout::kNHWC, first, last).ok());
  EXPECT_EQ(last, first);
  ASSERT_TRUE(FromChannelsLast({kBatch, 60}, Layout::kNCHW, first, last).ok());
  EXPECT_EQ(last, first);
}

TEST(Layouts, RefuseWhatDoesNotFit) {
  std::vector<float> in(12), out(12);
  const Shape shape = {kBatch, 2, 2, 3};
  for (const Layout layout : {Layout::kNHWC, Layout::kNCHW}) {
    for (const auto convert : {&ToChannelsLast, &FromChannelsLast}) {
      EXPECT_EQ(convert(shape, layout, std::span(in).first(11),
                        std::span(out).first(11))
                    .code(),
                StatusCode::kInvalidArgument);
      EXPECT_EQ(convert(shape, layout, in, std::span(out).first(6)).code(),
                StatusCode::kInvalidArgument);
      EXPECT_FALSE(convert({kBatch, 0}, layout, in, out).ok());
    }
  }
}

}  // namespace
}  // namespace bqengine
