// .npy files, good and broken.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "common/file.h"
#include "common/npy.h"
#include "common_test_util.h"

namespace bqengine::tools {
namespace {

class NpyTest : public FolderTest {};

std::string NpyBytes(const std::string& dictionary, const std::string& data,
                     int version = 1) {
  std::string header = dictionary + "\n";
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(version);
  bytes += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) {
    bytes += static_cast<char>(header.size() >> (8 * i) & 0xff);
  }
  return bytes + header + data;
}

std::string Dictionary(const std::string& descr, const std::string& shape,
                       const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran +
         ", 'shape': " + shape + ", }";
}

template <typename T>
std::string Bytes(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

TEST_F(NpyTest, RoundTripKeepsEveryBit) {
  for (const Shape& shape :
       std::vector<Shape>{{}, {0}, {1}, {7}, {2, 3}, {5, 0, 2}, {3, 1, 4, 2}}) {
    size_t count = 1;
    for (const int64_t d : shape) count *= static_cast<size_t>(d);
    std::vector<float> values(count);
    std::mt19937 random(7);
    // Any bits, NaN and infinities among them.
    for (float& v : values)
      v = std::bit_cast<float>(static_cast<uint32_t>(random()));
    const std::string path = Path("x.npy");
    ASSERT_TRUE(WriteNpy(path, shape, values).ok());
    const auto read = ReadNpy(path);
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(read->shape, shape);
    EXPECT_EQ(Bytes(read->values), Bytes(values));
  }
}

// What numpy.save(path, numpy.array([[1.5, -2.0]], "f4")) writes, byte by byte.
TEST_F(NpyTest, WritesWhatNumPyWrites) {
  const std::string path = Path("x.npy");
  ASSERT_TRUE(WriteNpy(path, {1, 2}, std::vector<float>{1.5f, -2.0f}).ok());
  std::string expected("\x93NUMPY\x01\x00\x76\x00", 10);
  expected += "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
  expected.resize(127, ' ');
  expected += '\n';
  expected += Bytes<float>({1.5f, -2.0f});
  EXPECT_EQ(Read(path), expected);
}

// Files that NumPy itself wrote come out as they went in.
TEST_F(NpyTest, RewritesFilesOfNumPy) {
  const std::string golden = BQE_SHARED "/golden";
  if (!std::filesystem::exists(golden)) GTEST_SKIP() << "no " << golden;
  int files = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(golden)) {
    if (entry.path().extension() != ".npy") continue;
    SCOPED_TRACE(entry.path().string());
    const auto array = ReadNpy(entry.path().string());
    ASSERT_TRUE(array.ok()) << array.status().message();
    const std::string path = Path("x.npy");
    ASSERT_TRUE(WriteNpy(path, array->shape, array->values).ok());
    EXPECT_TRUE(Read(path) == Read(entry.path().string()));
    ++files;
  }
  EXPECT_GT(files, 0);
}

TEST_F(NpyTest, WritesOneDimensionAsTuple) {
  const std::string path = Path("x.npy");
  ASSERT_TRUE(WriteNpy(path, {2}, std::vector<float>{1, 2}).ok());
  EXPECT_NE(Read(path).find("'shape': (2,), }"), std::string::npos);
}

template <typename T>
void ExpectConverted(const std::string& path, const std::string& descr,
                     const std::vector<T>& values,
                     const std::vector<float>& expected) {
  SCOPED_TRACE(descr);
  const std::string shape = "(" + std::to_string(values.size()) + ",)";
  const std::string bytes =
      NpyBytes(Dictionary(descr, shape), Bytes<T>(values));
  ASSERT_TRUE(WriteFile(path, bytes).ok());
  const auto read = ReadNpy(path);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->values, expected);
}

TEST_F(NpyTest, ConvertsOtherTypes) {
  const std::string path = Path("x.npy");
  ExpectConverted<double>(path, "<f8", {0.1, -1e300}, {0.1f, -INFINITY});
  ExpectConverted<uint8_t>(path, "|u1", {0, 255}, {0, 255});
  ExpectConverted<int8_t>(path, "|i1", {-128, 127}, {-128, 127});
  ExpectConverted<uint16_t>(path, "<u2", {65535}, {65535});
  ExpectConverted<int16_t>(path, "<i2", {-32768}, {-32768});
  ExpectConverted<uint32_t>(path, "<u4", {4294967295u}, {4294967296.0f});
  ExpectConverted<int32_t>(path, "<i4", {-16777217}, {-16777216.0f});
  ExpectConverted<uint64_t>(path, "<u8", {~uint64_t{0}},
                            {18446744073709551616.0f});
  ExpectConverted<int64_t>(path, "<i8", {-5, 5}, {-5, 5});
  ExpectConverted<uint8_t>(path, "|b1", {0, 1}, {0, 1});
}

TEST_F(NpyTest, ReadsAllVersionsAndAnyOrderOfKeys) {
  const std::string data = Bytes<float>({1, 2});
  for (const int version : {1, 2, 3}) {
    SCOPED_TRACE(version);
    const auto read = ReadNpy(
        Write("x.npy", NpyBytes("{\"shape\" : ( 2L , ) ,'fortran_order':False, "
                                "'descr':'<f4'}   ",
                                data, version)));
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(read->shape, Shape{2});
    EXPECT_EQ(read->values, (std::vector<float>{1, 2}));
  }
}

TEST_F(NpyTest, FortranOrderOfVectorIsNoDifference) {
  const auto read =
      ReadNpy(Write("x.npy", NpyBytes(Dictionary("<f4", "(2,)", "True"),
                                      Bytes<float>({1, 2}))));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->values, (std::vector<float>{1, 2}));
}

TEST_F(NpyTest, RefusesBrokenFiles) {
  const std::string eight(8, '\0');
  const std::string good = Dictionary("<f4", "(2,)");
  struct Case {
    std::string bytes;
    std::string what;
  };
  const Case cases[] = {
      {"", "is empty"},
      {"PK\3\4 this is an .npz", "is not an .npy file"},
      {"\x93NUMP", "is not an .npy file"},
      {"\x93NUMPY", "header is truncated"},
      {std::string("\x93NUMPY\1\0\xff\xff", 10), "header is truncated"},
      {std::string("\x93NUMPY\2\0\xff\xff\xff\xff{}", 14),
       "header is truncated"},
      {NpyBytes(good, eight, 4), "version 4"},
      {NpyBytes(good, eight, 0), "version 0"},
      {NpyBytes(good, eight.substr(1)), "takes 8 bytes, the file holds 7"},
      {NpyBytes(good, ""), "takes 8 bytes, the file holds 0"},
      {NpyBytes(good, eight + "x"), "takes 8 bytes, the file holds 9"},
      {NpyBytes(Dictionary("<f4", "(1, 2)", "True"), eight), "Fortran order"},
      {NpyBytes(Dictionary(">f4", "(2,)"), eight), "big-endian"},
      {NpyBytes(Dictionary("<f2", "(4,)"), eight), "type '<f2'"},
      {NpyBytes(Dictionary("<c8", "(1,)"), eight), "type '<c8'"},
      {NpyBytes(Dictionary("|O", "(1,)"), eight), "type '|O'"},
      {NpyBytes(Dictionary("", "(1,)"), eight), "'descr' is not a string"},
      {NpyBytes("{'descr': [('a', '<f4')], 'fortran_order': False, "
                "'shape': (2,), }",
                eight),
       "records"},
      {NpyBytes("{'descr': '<f4', 'fortran_order': False, }", eight),
       "no 'shape'"},
      {NpyBytes("{'descr': '<f4', 'shape': (2,), }", eight),
       "no 'fortran_order'"},
      {NpyBytes("{'fortran_order': False, 'shape': (2,), }", eight),
       "no 'descr'"},
      {NpyBytes("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }",
                eight),
       "neither True nor False"},
      {NpyBytes("{'descr': '<f4', 'color': 1}", eight), "unknown key 'color'"},
      {NpyBytes("[1, 2]", eight), "not a dictionary"},
      {NpyBytes("{'descr", eight), "damaged"},
      {NpyBytes("{'descr': '<f4'", eight), "damaged"},
      {NpyBytes("{", eight), "damaged"},
      {NpyBytes(good + " x", eight), "behind its dictionary"},
      {NpyBytes(Dictionary("<f4", "(2"), eight), "'shape'"},
      {NpyBytes(Dictionary("<f4", "2"), eight), "not a tuple"},
      {NpyBytes(Dictionary("<f4", "(a,)"), eight), "something else"},
      {NpyBytes(Dictionary("<f4", "(-2,)"), eight), "negative dimension"},
      {NpyBytes(Dictionary("<f4", "(99999999999999999999,)"), eight),
       "beyond 64 bits"},
      {NpyBytes(Dictionary("<f4", "(4294967296, 4294967296)"), eight),
       "overflows"},
      // 2^62 floats: the count fits, the bytes do not; and 2^62 + 2 would wrap
      // around to the 8 bytes that are there.
      {NpyBytes(Dictionary("<f4", "(4611686018427387904,)"), eight),
       "overflows"},
      {NpyBytes(Dictionary("<f4", "(4611686018427387906,)"), eight),
       "overflows"},
      {NpyBytes(Dictionary("<f4", "(1000000000000,)"), eight),
       "takes 4000000000000 bytes"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    const std::string path = Write("x.npy", c.bytes);
    ExpectFileError(ReadNpy(path).status(), StatusCode::kInvalidArgument, path,
                    c.what);
  }
  std::string many = "(";
  for (int i = 0; i < 40; ++i) many += "1,";
  const std::string path =
      Write("x.npy", NpyBytes(Dictionary("<f4", many + ")"), eight));
  ExpectFileError(ReadNpy(path).status(), StatusCode::kInvalidArgument, path,
                  "too many dimensions");
}

// Whatever one byte becomes, and wherever a file ends, there is a result or an
// error; sanitizers watch.
TEST_F(NpyTest, SurvivesDamage) {
  const std::string good =
      NpyBytes(Dictionary("<f4", "(2, 3)"), Bytes<float>({1, 2, 3, 4, 5, 6}));
  const auto parse = [](const std::string& bytes) {
    return ParseNpy(
        "x", {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  };
  ASSERT_TRUE(parse(good).ok());
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(parse(good.substr(0, size)).ok()) << size;
  }
  constexpr unsigned kSeed = 11;
  std::mt19937 random(kSeed);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = good;
    for (int k = 0; k < 3; ++k) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const auto result = parse(bytes);
    if (!result.ok()) {
      EXPECT_TRUE(result.status().message().starts_with("x: "))
          << "seed " << kSeed << ", case " << i;
    }
  }
}

TEST_F(NpyTest, RefusesWhatIsNoFile) {
  const std::string absent = Path("absent.npy");
  ExpectFileError(ReadNpy(absent).status(), StatusCode::kNotFound, absent,
                  "cannot open");
  ExpectFileError(ReadNpy(folder_.string()).status(),
                  StatusCode::kInvalidArgument, folder_.string(),
                  "is a directory");
}

TEST_F(NpyTest, WriteChecksShape) {
  const std::string path = Path("x.npy");
  ExpectFileError(WriteNpy(path, {3}, std::vector<float>(2)),
                  StatusCode::kInvalidArgument, path, "(3,)");
  EXPECT_EQ(FilesInFolder(), 0u);
}

}  // namespace
}  // namespace bqengine::tools
