// Pictures at another size, pixel by pixel as Pillow makes them.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "common/resize.h"

namespace bqengine::tools {
namespace {

#include "common_resize_expected.h"

// As in common_resize_make.py: neighbours differ much.
PixelBatch Picture(int64_t height, int64_t width, int64_t channels) {
  PixelBatch picture{1, height, width, channels, {}};
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (int64_t c = 0; c < channels; ++c) {
        picture.pixels.push_back(static_cast<uint8_t>(
            7 * x * x + 13 * y * y + 5 * x * y + 31 * (x ^ y) + 67 * c));
      }
    }
  }
  return picture;
}

TEST(Resize, IsThatOfPillow) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message()
                 << c.height << "x" << c.width << "x" << c.channels << " to "
                 << c.new_height << "x" << c.new_width);
    const auto resized = ResizePictures(Picture(c.height, c.width, c.channels),
                                        c.new_height, c.new_width);
    ASSERT_TRUE(resized.ok()) << resized.status().message();
    EXPECT_EQ(resized->count, 1);
    EXPECT_EQ(resized->height, c.new_height);
    EXPECT_EQ(resized->width, c.new_width);
    EXPECT_EQ(resized->channels, c.channels);
    EXPECT_EQ(resized->pixels, c.expected);
  }
}

TEST(Resize, KeepsWhatHasTheSize) {
  const PixelBatch picture = Picture(9, 13, 3);
  EXPECT_EQ(ResizePictures(picture, 9, 13)->pixels, picture.pixels);
}

// White stays white, though weights are rounded one by one.
TEST(Resize, KeepsWhite) {
  for (const int64_t width : {1, 3, 7, 999, 65535}) {
    PixelBatch white{1, 1, width, 1, {}};
    white.pixels.assign(static_cast<size_t>(width), 255);
    for (const int64_t to : {1, 2, 5, 998, 4096}) {
      const auto resized = ResizePictures(white, 1, to);
      ASSERT_TRUE(resized.ok());
      EXPECT_EQ(resized->pixels,
                std::vector<uint8_t>(static_cast<size_t>(to), 255))
          << width << " to " << to;
    }
  }
}

TEST(Resize, TakesEachPictureOfABatch) {
  PixelBatch two = Picture(9, 7, 1);
  const PixelBatch first = two;
  two.count = 2;
  for (const uint8_t pixel : first.pixels) {
    two.pixels.push_back(static_cast<uint8_t>(255 - pixel));
  }
  const auto both = ResizePictures(two, 4, 3);
  ASSERT_TRUE(both.ok());
  const PixelBatch second{
      1, 9, 7, 1, {first.pixels.size() + two.pixels.begin(), two.pixels.end()}};
  std::vector<uint8_t> expected = ResizePictures(first, 4, 3)->pixels;
  const std::vector<uint8_t> rest = ResizePictures(second, 4, 3)->pixels;
  expected.insert(expected.end(), rest.begin(), rest.end());
  EXPECT_EQ(both->pixels, expected);
}

TEST(Resize, RefusesSizes) {
  const PixelBatch picture = Picture(2, 4, 1);
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{0, 1},
                                      {1, -1},
                                      {70000, 1},
                                      {1, 1LL << 40}}) {
    EXPECT_EQ(ResizePictures(picture, height, width).status().code(),
              StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace bqengine::tools
