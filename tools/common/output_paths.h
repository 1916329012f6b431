// Files that a command is about to write, and those that it must not harm.
#ifndef BQENGINE_TOOLS_COMMON_OUTPUT_PATHS_H_
#define BQENGINE_TOOLS_COMMON_OUTPUT_PATHS_H_

#include <string>
#include <utility>
#include <vector>

#include "bqengine/status.h"

namespace bqengine::tools {

class OutputPaths {
 public:
  // A file that is read: `what` names it in errors ("the model"). Nothing if
  // the path is empty.
  void AddInput(const std::string& path, const std::string& what);

  // A file that will be written. kInvalidArgument if it is one that was added
  // before, however it is spelled and whether it exists or not. Devices and
  // pipes take what comes.
  Status AddOutput(const std::string& path, const std::string& what);

  // The two files of a model to write. kInvalidArgument also if the name does
  // not end in .json.
  Status AddModel(const std::string& path);

 private:
  std::vector<std::pair<std::string, std::string>> taken_;
};

// The file of weights that belongs to a model file.
std::string WeightsPath(const std::string& model_path);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_OUTPUT_PATHS_H_
