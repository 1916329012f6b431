// From an ONNX model to a bqengine graph that means the same.
#ifndef BQENGINE_TOOLS_CONVERT_CONVERT_H_
#define BQENGINE_TOOLS_CONVERT_CONVERT_H_

#include <map>
#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/status.h"
#include "source_model.h"

namespace bqengine::convert {

struct ConvertOptions {
  std::string name;  // of the network; empty: as the file says
  // How pixels become the first input; see Preprocess.
  float scale = 1.0f;
  std::vector<float> mean = {0.0f};
  std::vector<float> std = {1.0f};
  std::vector<std::string> labels;
  // The order of dimensions in the ONNX graph's 4-dimensional inputs: kNHWC
  // for the rare exporter that declares [batch, height, width, channels].
  Layout input_layout = Layout::kNCHW;
};

struct Conversion {
  Graph graph;  // as converted: the engine's passes have yet to run
  // Why a product (Conv, Gemm) is not binary in weights and activations, by
  // node of the graph.
  std::map<std::string, std::string> float_reasons;
  // What differs, in cases that should not matter, from what ONNX defines.
  std::vector<std::string> notes;
};

// kInvalidModel names all nodes that cannot be converted, one a line.
Result<Conversion> ConvertModel(const SourceModel& model,
                                const ConvertOptions& options);

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_CONVERT_H_
