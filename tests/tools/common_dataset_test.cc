// idx and CIFAR-10 files, and the data sets made of them.
#include <gtest/gtest.h>
#include <zlib.h>

#include "common/cifar10.h"
#include "common/dataset.h"
#include "common/idx.h"
#include "common_test_util.h"

namespace bqengine::tools {
namespace {

namespace fs = std::filesystem;

class DatasetTest : public FolderTest {
 protected:
  std::string WriteGz(const std::string& name, const std::string& bytes) {
    const gzFile file = gzopen(Path(name).c_str(), "wb9");
    EXPECT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())),
              static_cast<int>(bytes.size()));
    EXPECT_EQ(gzclose(file), Z_OK);
    return Path(name);
  }
};

std::string Big(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes += static_cast<char>(value >> shift & 0xff);
  }
  return bytes;
}

std::string Images(uint32_t count, uint32_t height, uint32_t width,
                   size_t bytes) {
  std::string data;
  for (size_t i = 0; i < bytes; ++i) data += static_cast<char>(i * 7);
  return Big(2051) + Big(count) + Big(height) + Big(width) + data;
}

std::string Labels(const std::string& values) {
  return Big(2049) + Big(static_cast<uint32_t>(values.size())) + values;
}

TEST_F(DatasetTest, ReadsIdxPlainAndGz) {
  const std::string bytes = Images(3, 2, 5, 30);
  for (const std::string& path :
       {Write("images", bytes), WriteGz("images.gz", bytes)}) {
    SCOPED_TRACE(path);
    const auto images = ReadIdxImages(path);
    ASSERT_TRUE(images.ok()) << images.status().message();
    EXPECT_EQ(images->count, 3);
    EXPECT_EQ(images->height, 2);
    EXPECT_EQ(images->width, 5);
    EXPECT_EQ(images->channels, 1);
    EXPECT_EQ(std::string(images->pixels.begin(), images->pixels.end()),
              bytes.substr(16));
    EXPECT_EQ(images->item(2).size(), 10u);
    EXPECT_EQ(images->item(2)[0], 20 * 7);
  }
  const auto labels = ReadIdxLabels(WriteGz("labels.gz", Labels("\1\2\3")));
  ASSERT_TRUE(labels.ok()) << labels.status().message();
  EXPECT_EQ(*labels, (std::vector<uint8_t>{1, 2, 3}));
}

TEST_F(DatasetTest, RefusesBrokenIdx) {
  const std::string good = Images(2, 3, 4, 24);
  struct Case {
    std::string bytes;
    std::string what;
  };
  const Case cases[] = {
      {"", "is empty"},
      {"\1\2", "header is truncated"},
      {good.substr(0, 15), "header is truncated"},
      {good.substr(0, 16), "is truncated"},
      {good.substr(0, good.size() - 1), "declares 24 bytes, there are 23"},
      {good + "x", "has more data than the 24 bytes"},
      {Labels("abcdefghijklmnop"), "magic number is 2049, expected 2051"},
      {Big(0x0d03) + good.substr(4), "magic number is 3331"},
      {Images(0, 3, 4, 0), "holds no entries"},
      {Images(2, 0, 4, 0), "pictures have no size"},
      {Images(2, 3, 0, 0), "pictures have no size"},
      {Images(0xffffffff, 0xffffffff, 0xffffffff, 8), "declares more data"},
      {Images(0x10000, 0x10000, 0x10000, 8), "declares more data"},
      {Images(0x3fffffff, 2, 2, 8), "is truncated"},
  };
  for (const Case& c : cases) {
    for (const bool gz : {false, true}) {
      if (gz && c.bytes.empty()) continue;
      SCOPED_TRACE(c.what + (gz ? " gz" : ""));
      const std::string path = gz ? WriteGz("x", c.bytes) : Write("x", c.bytes);
      ExpectFileError(ReadIdxImages(path).status(),
                      StatusCode::kInvalidArgument, path, c.what);
    }
  }
}

TEST_F(DatasetTest, RefusesBrokenGzip) {
  const std::string packed = Read(WriteGz("good.gz", Images(50, 9, 9, 4050)));
  for (size_t size = 1; size < packed.size(); size += 3) {
    SCOPED_TRACE(size);
    const std::string path = Write("x.gz", packed.substr(0, size));
    ExpectFileError(ReadIdxImages(path).status(), StatusCode::kInvalidArgument,
                    path, "");
  }
  // The checksum is the last thing but the size.
  std::string wrong = packed;
  wrong[wrong.size() - 8] ^= 1;
  const std::string path = Write("x.gz", wrong);
  ExpectFileError(ReadIdxImages(path).status(), StatusCode::kInvalidArgument,
                  path, "gzip data is damaged");
}

// 64 MB of zeros in 64 kB: read as far as the header's 10 bytes, and one more.
TEST_F(DatasetTest, UnpacksNoMoreThanDeclared) {
  std::string bomb = Images(10, 1, 1, 10);
  bomb.resize(size_t{64} << 20);
  const std::string path = WriteGz("bomb.gz", bomb);
  ExpectFileError(ReadIdxImages(path).status(), StatusCode::kInvalidArgument,
                  path, "has more data than the 10 bytes");
}

TEST_F(DatasetTest, RefusesWhatIsNoFile) {
  const std::string absent = Path("absent");
  ExpectFileError(ReadIdxLabels(absent).status(), StatusCode::kNotFound, absent,
                  "cannot open");
  ExpectFileError(ReadIdxImages(folder_.string()).status(),
                  StatusCode::kInvalidArgument, folder_.string(),
                  "is a directory");
  ExpectFileError(ReadCifar10(absent).status(), StatusCode::kNotFound, absent,
                  "cannot open");
}

std::string CifarRecord(char label, char red, char green, char blue) {
  return std::string(1, label) + std::string(1023, red) + "R" +
         std::string(1023, green) + "G" + std::string(1023, blue) + "B";
}

TEST_F(DatasetTest, ReadsCifar10ChannelsLast) {
  const auto data = ReadCifar10(
      Write("x.bin", CifarRecord(9, 1, 2, 3) + CifarRecord(0, 4, 5, 6)));
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(data->labels, (std::vector<uint8_t>{9, 0}));
  EXPECT_EQ(data->images.count, 2);
  EXPECT_EQ(data->images.height, 32);
  EXPECT_EQ(data->images.width, 32);
  EXPECT_EQ(data->images.channels, 3);
  const auto second = data->images.item(1);
  ASSERT_EQ(second.size(), 3072u);
  EXPECT_EQ(second[0], 4);
  EXPECT_EQ(second[1], 5);
  EXPECT_EQ(second[2], 6);
  EXPECT_EQ(second[3069], 'R');
  EXPECT_EQ(second[3070], 'G');
  EXPECT_EQ(second[3071], 'B');
}

TEST_F(DatasetTest, RefusesBrokenCifar10) {
  const std::string record = CifarRecord(1, 2, 3, 4);
  struct Case {
    std::string bytes;
    std::string what;
  };
  for (const Case& c :
       {Case{"", "is empty"}, Case{record.substr(1), "size of 3072 bytes"},
        Case{record + record + "x", "size of 6147 bytes"},
        Case{record + CifarRecord(10, 0, 0, 0), "record 1 has label 10"}}) {
    SCOPED_TRACE(c.what);
    const std::string path = Write("x.bin", c.bytes);
    ExpectFileError(ReadCifar10(path).status(), StatusCode::kInvalidArgument,
                    path, c.what);
  }
}

TEST_F(DatasetTest, FindsMnistAndLimits) {
  Write("t10k-images-idx3-ubyte", Images(3, 2, 2, 12));
  WriteGz("t10k-labels-idx1-ubyte.gz", Labels("\4\5\6"));
  const auto all = ReadDataset("mnist:" + folder_.string(), Split::kTest);
  ASSERT_TRUE(all.ok()) << all.status().message();
  EXPECT_EQ(all->images.count, 3);
  EXPECT_EQ(all->labels, (std::vector<uint16_t>{4, 5, 6}));
  const auto two = ReadDataset("mnist:" + folder_.string(), Split::kTest, 2);
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(two->images.count, 2);
  EXPECT_EQ(two->images.pixels.size(), 8u);
  EXPECT_EQ(two->labels, (std::vector<uint16_t>{4, 5}));
  EXPECT_EQ(
      ReadDataset("mnist:" + folder_.string(), Split::kTest, 99)->images.count,
      3);
}

TEST_F(DatasetTest, RefusesMnistOfUnequalCounts) {
  Write("t10k-images-idx3-ubyte", Images(3, 2, 2, 12));
  const std::string labels = Write("t10k-labels-idx1-ubyte", Labels("\4\5"));
  // Also where the limit would hide it.
  for (const int64_t limit : {0, 1}) {
    ExpectFileError(
        ReadDataset("mnist:" + folder_.string(), Split::kTest, limit).status(),
        StatusCode::kInvalidArgument, labels, "has 2 labels for 3 images");
  }
}

TEST_F(DatasetTest, FindsCifar10) {
  const std::string one = Write("other.bin", CifarRecord(3, 0, 0, 0));
  EXPECT_EQ(ReadDataset("cifar10:" + one, Split::kTest)->labels[0], 3);
  EXPECT_EQ(ReadDataset("cifar10:" + folder_.string(), Split::kTest)->labels[0],
            3);
  Write("third.bin", CifarRecord(4, 0, 0, 0));
  ExpectFileError(
      ReadDataset("cifar10:" + folder_.string(), Split::kTest).status(),
      StatusCode::kNotFound, folder_.string(), "name one");
  Write("test_batch.bin", CifarRecord(5, 0, 0, 0));
  EXPECT_EQ(ReadDataset("cifar10:" + folder_.string(), Split::kTest)->labels[0],
            5);
}

TEST_F(DatasetTest, ReadsTrainingSets) {
  Write("train-images-idx3-ubyte", Images(3, 2, 2, 12));
  Write("train-labels-idx1-ubyte", Labels("\7\10\11"));
  const auto mnist = ReadDataset("mnist:" + folder_.string(), Split::kTrain, 2);
  ASSERT_TRUE(mnist.ok()) << mnist.status().message();
  EXPECT_EQ(mnist->labels, (std::vector<uint16_t>{7, 8}));
  EXPECT_TRUE(mnist->class_names.empty());

  for (char i = 1; i <= 5; ++i) {
    Write("data_batch_" + std::to_string(i) + ".bin",
          CifarRecord(i, i, 0, 0) + CifarRecord(0, 9, 9, i));
  }
  const std::string spec = "cifar10:" + folder_.string();
  const auto cifar = ReadDataset(spec, Split::kTrain);
  ASSERT_TRUE(cifar.ok()) << cifar.status().message();
  EXPECT_EQ(cifar->images.count, 10);
  EXPECT_EQ(cifar->images.pixels.size(), 10u * 3072);
  EXPECT_EQ(cifar->labels,
            (std::vector<uint16_t>{1, 0, 2, 0, 3, 0, 4, 0, 5, 0}));
  EXPECT_EQ(cifar->images.item(8)[0], 5);
  EXPECT_EQ(cifar->images.item(9)[2], 5);
  const auto three = ReadDataset(spec, Split::kTrain, 3);
  EXPECT_EQ(three->images.count, 3);
  // A limit hides images, not classes.
  EXPECT_EQ(three->labels, (std::vector<uint16_t>{1, 0, 2}));
  EXPECT_EQ(three->classes, 6);
}

TEST_F(DatasetTest, RefusesBrokenTrainingSets) {
  const std::string folder = folder_.string();
  ExpectFileError(ReadDataset("mnist:" + folder, Split::kTrain).status(),
                  StatusCode::kNotFound, folder, "train-images-idx3-ubyte.gz");
  const std::string images =
      Write("train-images-idx3-ubyte", Images(3, 2, 2, 11));
  ExpectFileError(ReadDataset("mnist:" + folder, Split::kTrain).status(),
                  StatusCode::kNotFound, folder, "train-labels-idx1-ubyte.gz");
  Write("train-labels-idx1-ubyte", Labels("\7\10\11"));
  ExpectFileError(ReadDataset("mnist:" + folder, Split::kTrain).status(),
                  StatusCode::kInvalidArgument, images, "is truncated");

  const std::string two = CifarRecord(1, 2, 3, 4) + CifarRecord(5, 6, 7, 8);
  for (int i = 1; i <= 5; ++i) {
    const std::string name = "data_batch_" + std::to_string(i) + ".bin";
    ExpectFileError(ReadDataset("cifar10:" + folder, Split::kTrain).status(),
                    StatusCode::kNotFound, Path(name), "cannot open");
    Write(name, two);
  }
  // Cut off inside a record, and between two; a limit hides neither.
  const std::string third =
      Write("data_batch_3.bin", two.substr(0, two.size() - 1));
  ExpectFileError(ReadDataset("cifar10:" + folder, Split::kTrain, 1).status(),
                  StatusCode::kInvalidArgument, third, "size of 6145 bytes");
  Write("data_batch_3.bin", two.substr(0, two.size() / 2));
  ExpectFileError(ReadDataset("cifar10:" + folder, Split::kTrain, 1).status(),
                  StatusCode::kInvalidArgument, third,
                  "is truncated: has 1 records, other batches 2");
  ExpectFileError(
      ReadDataset("cifar10:" + Path("data_batch_1.bin"), Split::kTrain)
          .status(),
      StatusCode::kInvalidArgument, Path("data_batch_1.bin"),
      "is not a folder");
}

TEST_F(DatasetTest, RefusesUnknownSets) {
  for (const std::string spec :
       {"", ":", "mnist", "mnist:", "imagenet:x", "cifar10", "MNIST:x"}) {
    const Status status = ReadDataset(spec, Split::kTest).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << spec;
    EXPECT_NE(status.message().find("'" + spec + "'"), std::string::npos);
  }
  const std::string absent = Path("absent");
  ExpectFileError(ReadDataset("mnist:" + absent, Split::kTest).status(),
                  StatusCode::kNotFound, absent, "no such folder");
  ExpectFileError(
      ReadDataset("mnist:" + Write("file", "x"), Split::kTest).status(),
      StatusCode::kInvalidArgument, Path("file"), "is not a folder");
  fs::create_directory(Path("empty"));
  ExpectFileError(ReadDataset("mnist:" + Path("empty"), Split::kTest).status(),
                  StatusCode::kNotFound, Path("empty"),
                  "t10k-images-idx3-ubyte.gz");
  ExpectFileError(
      ReadDataset("cifar10:" + Path("empty"), Split::kTest).status(),
      StatusCode::kNotFound, Path("empty"), "no .bin file");
}

// The images that ship: the first ten labels of the MNIST test set are known to
// everybody, and there are as many of each digit as in the full set's first
// 500.
TEST_F(DatasetTest, ReadsTheImagesThatShip) {
  const auto data =
      ReadDataset("mnist:" BQE_TEST_DATA "/mnist-500", Split::kTest);
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(data->images.count, 500);
  EXPECT_EQ(data->images.item_size(), 784u);
  EXPECT_EQ(
      std::vector<uint16_t>(data->labels.begin(), data->labels.begin() + 10),
      (std::vector<uint16_t>{7, 2, 1, 0, 4, 1, 4, 9, 5, 9}));
  const std::string full = BQE_SHARED "/data/mnist";
  if (!fs::exists(full)) GTEST_SKIP() << "no full MNIST at " << full;
  const auto reference = ReadDataset("mnist:" + full, Split::kTest, 500);
  ASSERT_TRUE(reference.ok()) << reference.status().message();
  EXPECT_EQ(data->images.pixels, reference->images.pixels);
  EXPECT_EQ(data->labels, reference->labels);
}

}  // namespace
}  // namespace bqengine::tools
