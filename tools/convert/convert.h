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

// What ONNX's Sign gives for an exact 0.
enum class SignZero {
  kExact,  // 0, as ONNX says
  kPlus,   // +1, as bqengine's own sign
};

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
  SignZero sign_zero = SignZero::kExact;
};

// What became of a sign, or of several in one expression. ONNX's has three
// values, and each but one takes a base: a tensor of bits.
struct SignReport {
  std::vector<std::string> nodes;  // the Sign nodes
  std::vector<float> values;       // that it takes
  // Left out since no input gives them,
  std::vector<float> impossible;
  // and since they were assumed not to come: an exact 0 of a float sum.
  std::vector<float> assumed;
  // The same in some channels, while they come in others.
  std::vector<float> assumed_somewhere;
};
// "sign s1: -1 and 1; assumed that 0 does not come"
std::string SignText(const SignReport& sign);

struct Conversion {
  Graph graph;  // as converted: the engine's passes have yet to run
  // Why a product (Conv, Gemm) is not binary in weights and activations, by
  // node of the graph.
  std::map<std::string, std::string> float_reasons;
  std::vector<SignReport> signs;
  // What differs, in cases that should not matter, from what ONNX defines.
  std::vector<std::string> notes;
};

// kInvalidModel names all nodes that cannot be converted, one a line.
Result<Conversion> ConvertModel(const SourceModel& model,
                                const ConvertOptions& options);

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_CONVERT_H_
