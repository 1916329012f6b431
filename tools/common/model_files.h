// The files of a model, and how large they are.
#ifndef BQENGINE_TOOLS_COMMON_MODEL_FILES_H_
#define BQENGINE_TOOLS_COMMON_MODEL_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

namespace bqengine::tools {

struct FileSize {
  std::string path;
  int64_t bytes = 0;
};

// The model file, and the weights file if it names one. For models that were
// read or written before: what cannot be read has no size.
std::vector<FileSize> ModelFiles(const std::string& path);

int64_t TotalBytes(const std::vector<FileSize>& files);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_MODEL_FILES_H_
