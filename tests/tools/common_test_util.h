// Files for tests of the data readers.
#ifndef TESTS_TOOLS_COMMON_TEST_UTIL_H_
#define TESTS_TOOLS_COMMON_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "bqengine/status.h"

namespace bqengine::tools {

// A folder of the test's own.
class FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "bqe_tools_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const {
    return (folder_ / name).string();
  }
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  size_t FilesInFolder() const {
    using Iterator = std::filesystem::directory_iterator;
    return static_cast<size_t>(std::distance(Iterator(folder_), Iterator()));
  }

  std::filesystem::path folder_;
};

// A failure with this code whose message starts with the file and contains
// `what`.
inline void ExpectFileError(const Status& status, StatusCode code,
                            const std::string& path, const std::string& what) {
  EXPECT_EQ(StatusCodeName(status.code()), std::string(StatusCodeName(code)))
      << status.message();
  EXPECT_TRUE(status.message().starts_with(path + ": ")) << status.message();
  EXPECT_NE(status.message().find(what), std::string::npos)
      << status.message() << "\n  should contain: " << what;
}

}  // namespace bqengine::tools

#endif  // TESTS_TOOLS_COMMON_TEST_UTIL_H_
