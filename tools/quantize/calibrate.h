// Quantization with images: scales, shifts, activation bases and batch norms by
// what goes through the network.
#ifndef BQENGINE_TOOLS_QUANTIZE_CALIBRATE_H_
#define BQENGINE_TOOLS_QUANTIZE_CALIBRATE_H_

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

struct CalibrateOptions {
  Method method;
  int64_t activation_bases = 0;  // 0: activations stay float
  int threads = 1;
  tools::Limits limits = {};
};

// What was chosen for one layer.
struct CalibratedLayer {
  // Output channels by where the search for their bits started.
  std::map<std::string, int64_t> starts = {};
  quantize::Error weight_error = {};
  quantize::Error output_error = {};  // of the quantized network's layer
  std::optional<ActivationBases> activations;
};

struct Calibration {
  Graph graph;
  std::map<size_t, CalibratedLayer> layers;  // by place in graph.nodes
  quantize::Error output_error = {};         // of the network's float outputs
  int64_t batch_norms = 0;                   // that were estimated anew
};

// Goes through the graph in order of execution, and runs the float network and
// what is quantized of it so far side by side: each layer is fitted to the
// float layer's outputs with the inputs that it will really have.
Result<Calibration> Calibrate(const Graph& graph,
                              const std::vector<Layer>& layers,
                              const CalibrateOptions& options,
                              const Images& images);

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_CALIBRATE_H_
