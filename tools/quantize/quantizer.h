// From a float graph to a binary one, with or without images.
#ifndef BQENGINE_TOOLS_QUANTIZE_QUANTIZER_H_
#define BQENGINE_TOOLS_QUANTIZE_QUANTIZER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/quantize.h"
#include "bqengine/status.h"
#include "common/limits.h"
#include "quantize/activations.h"
#include "quantize/decompose.h"
#include "quantize/images.h"
#include "quantize/layers.h"

namespace bqengine::ptq {

struct QuantizeOptions {
  Method method = {};
  Selection selection = {};
  int64_t activation_bases = 0;  // needs images
  int threads = 1;
  tools::Limits limits = {};
};

// What became of a Conv or Gemm.
struct LayerResult {
  std::string name, op;  // of the new graph
  Shape shape;           // of the float weights
  std::string float_reason;
  int64_t bytes_before = 0, bytes_after = 0;  // of its constants
  // The rest: if it was quantized.
  std::optional<quantize::Error> weight_error;
  std::optional<quantize::Error> output_error;  // on the images
  std::map<std::string, int64_t> starts = {};   // see CalibratedLayer
  std::optional<ActivationBases> activations;
};

struct Quantization {
  Graph graph;                        // the engine's passes have yet to run
  std::vector<LayerResult> layers;    // in order of execution
  quantize::Error weight_error = {};  // of all quantized layers
  std::optional<quantize::Error> output_error;  // of the network's outputs
  int64_t batch_norms = 0;                      // that were estimated anew
};

// `images` may be null. Errors name the node.
Result<Quantization> QuantizeGraph(const Graph& graph,
                                   const QuantizeOptions& options,
                                   const Images* images);

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_QUANTIZER_H_
