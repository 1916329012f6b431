// The float network that is to be quantized, from ONNX or from a model file.
#ifndef BQENGINE_TOOLS_QUANTIZE_SOURCE_H_
#define BQENGINE_TOOLS_QUANTIZE_SOURCE_H_

#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/status.h"
#include "common/model_files.h"
#include "quantize/options.h"

namespace bqengine::ptq {

struct Source {
  Graph graph;  // checked; all constants have values
  std::vector<tools::FileSize> files;
  std::vector<std::string> notes;  // of the conversion from ONNX
};

// Errors name the file.
Result<Source> ReadSource(const Options& options);

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_SOURCE_H_
