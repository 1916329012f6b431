// Data sets of pictures in one folder per class.
#include <gtest/gtest.h>

#include "common/picture_folder.h"
#include "common_test_util.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>

namespace bqengine::tools {
namespace {

namespace fs = std::filesystem;

class PictureFolderTest : public FolderTest {
 protected:
  std::string folder() const { return folder_.string(); }

  // A picture of one value, with its folders.
  std::string Picture(const std::string& name, uint8_t value, int width = 4,
                      int height = 3, int channels = 1) const {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    const std::vector<uint8_t> pixels(
        static_cast<size_t>(width * height * channels), value);
    const bool jpeg = path.extension().string().starts_with(".j");
    const int ok = jpeg ? stbi_write_jpg(path.c_str(), width, height, channels,
                                         pixels.data(), 100)
                        : stbi_write_png(path.c_str(), width, height, channels,
                                         pixels.data(), width * channels);
    EXPECT_TRUE(ok) << path;
    return path.string();
  }

  void ExpectError(Split split, StatusCode code, const std::string& path,
                   const std::string& what) const {
    ExpectFileError(ReadPictureFolder(folder(), split, 0, 0).status(), code,
                    path, what);
  }
};

// The value of each picture.
std::vector<int> Values(const Dataset& data) {
  std::vector<int> values;
  for (int64_t i = 0; i < data.images.count; ++i) {
    values.push_back(data.images.item(i)[0]);
  }
  return values;
}

TEST_F(PictureFolderTest, ReadsSplits) {
  Picture("train/cat/b.png", 2);
  Picture("train/cat/a.PNG", 1);
  Picture("train/cat/c.png", 3);
  Picture("train/dog/x.jpg", 50);
  Picture("train/Ant/y.jpeg", 70);
  Picture("train/Ant/z.png", 71);
  Picture("test/dog/t.png", 9);
  // Not pictures, or hidden.
  Write("train/readme.txt", "x");
  Write("train/cat/notes.txt", "x");
  Picture("train/cat/.d.png", 4);
  Picture("train/.cache/x.png", 5);
  fs::create_directories(Path("train/cat/folder.png"));

  const auto train =
      ReadDataset("folder:" + folder(), Split::kTrain, /*limit=*/0, 1);
  ASSERT_TRUE(train.ok()) << train.status().message();
  EXPECT_EQ(train->class_names,
            (std::vector<std::string>{"Ant", "cat", "dog"}));
  EXPECT_EQ(train->images.width, 4);
  EXPECT_EQ(train->images.height, 3);
  EXPECT_EQ(train->images.channels, 1);
  EXPECT_EQ(train->images.pixels.size(), 6u * 12);
  EXPECT_EQ(train->labels, (std::vector<uint16_t>{0, 1, 2, 0, 1, 1}));
  EXPECT_EQ(Values(*train), (std::vector<int>{70, 1, 50, 71, 2, 3}));

  // The only class there keeps its number.
  const auto test = ReadDataset("folder:" + folder(), Split::kTest, 0, 1);
  ASSERT_TRUE(test.ok()) << test.status().message();
  EXPECT_EQ(test->labels, (std::vector<uint16_t>{2}));
  EXPECT_EQ(test->class_names, train->class_names);
  EXPECT_EQ(Values(*test), (std::vector<int>{9}));
}

TEST_F(PictureFolderTest, LimitKeepsAllClasses) {
  for (const char* name : {"a/0", "a/1", "a/2", "b/0", "b/1", "c/0"}) {
    Picture(std::string(name) + ".png", 1);
  }
  const auto data = ReadPictureFolder(folder(), Split::kTest, 4, 0);
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(data->images.count, 4);
  EXPECT_EQ(data->labels, (std::vector<uint16_t>{0, 1, 2, 0}));
  EXPECT_EQ(ReadPictureFolder(folder(), Split::kTest, 99, 0)->images.count, 6);
}

TEST_F(PictureFolderTest, ConvertsChannels) {
  Picture("a/x.png", 1, 5, 5, 3);
  Picture("b/y.png", 2, 5, 5, 4);  // transparency is ignored
  for (const int64_t channels : {0, 1, 3}) {
    SCOPED_TRACE(channels);
    const auto data =
        ReadDataset("folder:" + folder(), Split::kTest, 0, channels);
    ASSERT_TRUE(data.ok()) << data.status().message();
    EXPECT_EQ(data->images.channels, channels == 1 ? 1 : 3);
    EXPECT_EQ(Values(*data), (std::vector<int>{1, 2}));
  }
  const std::string gray = Picture("b/y.png", 7, 5, 5, 1);
  ExpectError(Split::kTest, StatusCode::kInvalidArgument, gray, "5x5 gray");
  const auto mixed = ReadPictureFolder(folder(), Split::kTest, 0, 3);
  ASSERT_TRUE(mixed.ok()) << mixed.status().message();
  EXPECT_EQ(Values(*mixed), (std::vector<int>{1, 7}));
}

TEST_F(PictureFolderTest, NamesTheFirstOddPicture) {
  const std::string first = Picture("a/0.png", 1);
  Picture("b/0.png", 1);
  const std::string odd = Picture("a/1.png", 1, 4, 2);
  Picture("b/1.png", 1, 1, 1);
  ExpectError(Split::kTest, StatusCode::kInvalidArgument, odd,
              "picture of 4x2 gray, but " + first + " is one of 4x3 gray");
  Picture("a/1.png", 1, 4, 3, 3);
  ExpectError(Split::kTest, StatusCode::kInvalidArgument, odd, "4x3 RGB");
  const std::string png = Read(Picture("a/1.png", 1));
  Write("a/1.png", png.substr(0, png.size() / 2));
  ExpectError(Split::kTest, StatusCode::kInvalidArgument, odd, "damaged");
}

TEST_F(PictureFolderTest, SaysWhatIsMissing) {
  const auto absent = Path("absent");
  ExpectFileError(ReadPictureFolder(absent, Split::kTrain, 0, 0).status(),
                  StatusCode::kNotFound, absent, "no such folder");
  ExpectError(Split::kTest, StatusCode::kNotFound, folder(), "has no folders");
  Picture("a/0.png", 1);
  ExpectError(Split::kTrain, StatusCode::kNotFound, folder(),
              "training expects train/CLASS/");
  fs::create_directories(Path("b"));
  ExpectError(Split::kTest, StatusCode::kNotFound, Path("b"),
              "has no PNG or JPEG files");

  fs::create_directories(Path("train"));
  ExpectError(Split::kTrain, StatusCode::kNotFound, Path("train"),
              "has no folders");
  Picture("train/a/0.png", 1);
  ExpectError(Split::kTest, StatusCode::kNotFound, folder(), "no folder test");
  fs::create_directories(Path("test"));
  ExpectError(Split::kTest, StatusCode::kNotFound, Path("test"),
              "has no folders");
  Picture("test/b/0.png", 1);
  ExpectError(Split::kTest, StatusCode::kNotFound, Path("test/b"),
              "the folder train does not have");
}

}  // namespace
}  // namespace bqengine::tools
