#include "common/model_files.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

namespace bqengine::tools {
namespace {

namespace fs = std::filesystem;

FileSize Measure(const fs::path& path) {
  std::error_code error;
  const uintmax_t bytes = fs::file_size(path, error);
  return {path.string(), error ? 0 : static_cast<int64_t>(bytes)};
}

}  // namespace

std::vector<FileSize> ModelFiles(const std::string& path) {
  std::vector<FileSize> files = {Measure(path)};
  std::ifstream in(path);
  const auto json = nlohmann::json::parse(in, nullptr, false);
  if (json.is_object() && json.contains("weights") &&
      json["weights"].is_string()) {
    files.push_back(Measure(fs::path(path).parent_path() /
                            json["weights"].get<std::string>()));
  }
  return files;
}

int64_t TotalBytes(const std::vector<FileSize>& files) {
  int64_t bytes = 0;
  for (const FileSize& file : files) bytes += file.bytes;
  return bytes;
}

}  // namespace bqengine::tools
