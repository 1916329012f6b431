#include "common/output_paths.h"

#include <filesystem>
#include <system_error>

#include "common/file.h"

namespace bqengine::tools {
namespace {

namespace fs = std::filesystem;

// Also of files that do not exist yet.
bool IsSameFile(const std::string& a, const std::string& b) {
  std::error_code error;
  const fs::file_status status = fs::status(a, error);
  if (fs::exists(status) && fs::exists(b, error)) {
    return fs::is_regular_file(status) && fs::equivalent(a, b, error);
  }
  const fs::path first = fs::weakly_canonical(fs::absolute(a, error), error);
  const fs::path second = fs::weakly_canonical(fs::absolute(b, error), error);
  return !first.empty() && first == second;
}

}  // namespace

void OutputPaths::AddInput(const std::string& path, const std::string& what) {
  if (!path.empty()) taken_.push_back({path, what});
}

Status OutputPaths::AddOutput(const std::string& path,
                              const std::string& what) {
  for (const auto& [other, role] : taken_) {
    if (IsSameFile(path, other)) {
      return FileError(StatusCode::kInvalidArgument, path,
                       what + " would overwrite " + role);
    }
  }
  taken_.push_back({path, what});
  return Status();
}

Status OutputPaths::AddModel(const std::string& path) {
  if (fs::path(path).extension() != ".json" || fs::path(path).stem().empty()) {
    return FileError(StatusCode::kInvalidArgument, path,
                     "the name of the output must end in .json");
  }
  if (Status s = AddOutput(path, "the model"); !s.ok()) return s;
  return AddOutput(WeightsPath(path), "the model's weights file");
}

std::string WeightsPath(const std::string& model_path) {
  return fs::path(model_path).replace_extension(".safetensors").string();
}

}  // namespace bqengine::tools
