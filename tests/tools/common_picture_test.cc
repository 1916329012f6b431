// PNG and JPEG files, good and broken.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "common/picture.h"
#include "common_test_util.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>

namespace bqengine::tools {
namespace {

class PictureTest : public FolderTest {};

void Append(void* to, void* data, int size) {
  static_cast<std::string*>(to)->append(static_cast<const char*>(data),
                                        static_cast<size_t>(size));
}

std::string Png(int width, int height, int channels,
                const std::vector<uint8_t>& pixels) {
  std::string bytes;
  stbi_write_png_to_func(Append, &bytes, width, height, channels, pixels.data(),
                         width * channels);
  return bytes;
}

std::string Jpeg(int width, int height, int channels,
                 const std::vector<uint8_t>& pixels) {
  std::string bytes;
  stbi_write_jpg_to_func(Append, &bytes, width, height, channels, pixels.data(),
                         95);
  return bytes;
}

// A smooth slope, which JPEG keeps nearly as it is.
std::vector<uint8_t> Slope(int width, int height, int channels) {
  std::vector<uint8_t> pixels;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        pixels.push_back(static_cast<uint8_t>(3 * x + 2 * y + 40 * c));
      }
    }
  }
  return pixels;
}

TEST_F(PictureTest, ReadsPngExactly) {
  const std::vector<uint8_t> pixels = Slope(5, 3, 3);
  const auto picture = ReadPicture(Write("x.png", Png(5, 3, 3, pixels)), 3);
  ASSERT_TRUE(picture.ok()) << picture.status().message();
  EXPECT_EQ(picture->count, 1);
  EXPECT_EQ(picture->width, 5);
  EXPECT_EQ(picture->height, 3);
  EXPECT_EQ(picture->channels, 3);
  EXPECT_EQ(picture->pixels, pixels);
}

TEST_F(PictureTest, ConvertsChannels) {
  // Gray to RGB repeats.
  const auto rgb = ReadPicture(Write("g.png", Png(2, 1, 1, {10, 200})), 3);
  ASSERT_TRUE(rgb.ok());
  EXPECT_EQ(rgb->pixels, (std::vector<uint8_t>{10, 10, 10, 200, 200, 200}));
  // RGB to gray: the values are those of Pillow's convert("L").
  const auto gray = ReadPicture(
      Write("c.png", Png(4, 2, 3, {255, 0,   0,   0,  255, 0,   0,   0,
                                   255, 12,  200, 77, 100, 101, 99,  254,
                                   255, 253, 1,   2,  3,   255, 255, 255})),
      1);
  ASSERT_TRUE(gray.ok());
  EXPECT_EQ(gray->pixels,
            (std::vector<uint8_t>{76, 150, 29, 130, 100, 254, 2, 255}));
  // Also of a JPEG file: not its own luminance, which is rounded otherwise.
  const std::string jpeg = Write("c.jpg", Jpeg(32, 24, 3, Slope(32, 24, 3)));
  const auto color = ReadPicture(jpeg, 3);
  const auto luminance = ReadPicture(jpeg, 1);
  ASSERT_TRUE(color.ok() && luminance.ok());
  for (size_t i = 0; i < luminance->pixels.size(); ++i) {
    const uint8_t* pixel = color->pixels.data() + 3 * i;
    const double exact = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
    ASSERT_NEAR(luminance->pixels[i], exact, 0.51) << i;
  }
  // Transparency is dropped.
  const auto opaque =
      ReadPicture(Write("a.png", Png(1, 1, 4, {9, 8, 7, 0})), 3);
  ASSERT_TRUE(opaque.ok());
  EXPECT_EQ(opaque->pixels, (std::vector<uint8_t>{9, 8, 7}));
}

TEST_F(PictureTest, ReadsJpeg) {
  const std::vector<uint8_t> pixels = Slope(32, 24, 1);
  const auto picture = ReadPicture(Write("x.jpg", Jpeg(32, 24, 1, pixels)), 1);
  ASSERT_TRUE(picture.ok()) << picture.status().message();
  ASSERT_EQ(picture->pixels.size(), pixels.size());
  for (size_t i = 0; i < pixels.size(); ++i) {
    ASSERT_NEAR(picture->pixels[i], pixels[i], 8) << i;
  }
}

TEST_F(PictureTest, RefusesWhatIsNoPicture) {
  const std::string absent = Path("absent.png");
  ExpectFileError(ReadPicture(absent, 1).status(), StatusCode::kNotFound,
                  absent, "cannot open");
  ExpectFileError(ReadPicture(folder_.string(), 1).status(),
                  StatusCode::kInvalidArgument, folder_.string(),
                  "is a directory");
  const std::string empty = Write("empty.png", "");
  ExpectFileError(ReadPicture(empty, 1).status(), StatusCode::kInvalidArgument,
                  empty, "is empty");
  // GIF and BMP are not built in.
  for (const std::string bytes : {"GIF89a", "BM123456", "hello"}) {
    const std::string path = Write("x.png", bytes);
    ExpectFileError(ReadPicture(path, 1).status(), StatusCode::kInvalidArgument,
                    path, "not a PNG or JPEG");
  }
}

// A header of 33 bytes that declares 2^28 pixels.
TEST_F(PictureTest, RefusesHugePictures) {
  std::string bytes = Png(1, 1, 1, {0});
  bytes[18] = bytes[22] = 0x40;  // bits 8 to 15 of width and height
  const std::string path = Write("x.png", bytes);
  ExpectFileError(ReadPicture(path, 1).status(), StatusCode::kInvalidArgument,
                  path, "16385x16385 is too large");
}

// stb_image 2.27 would write behind its tables, already when it reads the
// header.
TEST_F(PictureTest, RefusesHuffmanTablesThatAreTooLarge) {
  const std::string good = Jpeg(16, 16, 1, Slope(16, 16, 1));
  size_t tables = 0;
  for (size_t at = good.find("\xff\xc4"); at != std::string::npos;
       at = good.find("\xff\xc4", at + 1)) {
    std::string bytes = good;
    // Marker, length, class, then the counts of codes of 1 to 16 bits.
    bytes[at + 5 + 14] = bytes[at + 5 + 15] = '\xff';
    const std::string path = Write("x.jpg", bytes);
    ExpectFileError(ReadPicture(path, 1).status(), StatusCode::kInvalidArgument,
                    path, "bad Huffman table");
    // Without any table: the marker becomes that of a comment.
    bytes = good;
    bytes[at + 1] = '\xfe';
    const auto picture = ReadPicture(Write("y.jpg", bytes), 1);
    if (picture.ok()) {
      EXPECT_EQ(picture->pixels.size(), 256u);
    }
    ++tables;
  }
  EXPECT_GT(tables, 0u);
}

// However a file is cut or damaged, there is a picture or an error; sanitizers
// watch. A cut PNG has lost pixels and must be an error.
TEST_F(PictureTest, SurvivesDamage) {
  constexpr unsigned kSeed = 5;
  std::mt19937 random(kSeed);
  std::vector<uint8_t> noise(20 * 20 * 3);
  for (uint8_t& pixel : noise) pixel = static_cast<uint8_t>(random());
  const std::string png = Png(20, 20, 3, noise);
  const std::string jpeg = Jpeg(20, 20, 3, noise);
  for (size_t size = 1; size + 16 < png.size(); size += 13) {
    EXPECT_FALSE(ReadPicture(Write("x", png.substr(0, size)), 3).ok()) << size;
  }
  for (size_t size = 1; size < jpeg.size(); size += 13) {
    const auto picture = ReadPicture(Write("x", jpeg.substr(0, size)), 3);
    if (picture.ok()) {
      EXPECT_EQ(picture->pixels.size(), 1200u);
    }
  }
  for (const std::string& good : {png, jpeg}) {
    for (int i = 0; i < 500; ++i) {
      std::string bytes = good;
      for (int k = 0; k < 3; ++k) {
        bytes[random() % bytes.size()] = static_cast<char>(random());
      }
      const auto picture = ReadPicture(Write("x", bytes), 1);
      if (picture.ok()) {
        EXPECT_EQ(picture->pixels.size(), picture->item_size())
            << "seed " << kSeed << ", case " << i;
      }
    }
  }
}

}  // namespace
}  // namespace bqengine::tools
