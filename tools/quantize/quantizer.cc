#include "quantize/quantizer.h"

#include <cmath>
#include <utility>

#include "common/progress.h"
#include "quantize/calibrate.h"
#include "quantize/edit.h"

namespace bqengine::ptq {
namespace {

std::vector<float> BiasOf(const Graph& graph, const Node& product) {
  const auto bias = product.constants.find("bias");
  if (bias == product.constants.end()) return {};
  const auto values = graph.constants.at(bias->second).floats();
  return {values.begin(), values.end()};
}

// What is known of each layer without images.
Result<Calibration> QuantizeWeights(const Graph& graph,
                                    const std::vector<Layer>& layers,
                                    const Method& method) {
  Calibration result;
  result.graph = graph;
  tools::Progress progress("layers", static_cast<int64_t>(layers.size()));
  int64_t done = 0;
  for (const Layer& layer : layers) {
    progress.Update(done++);
    if (!layer.float_reason.empty()) continue;
    const Node& product = graph.nodes[layer.node];
    const Constant& weight = graph.constants.at(product.constants.at("weight"));
    const auto weights = Decompose(weight, method);
    if (!weights.ok()) {
      return Status(weights.status().code(), "node '" + product.name + "': " +
                                                 weights.status().message());
    }
    const auto error = WeightError(weight, *weights);
    if (!error.ok()) return error.status();
    result.layers[layer.node].weight_error = *error;
    MakeBinary(&result.graph, layer.node, {}, *weights, BiasOf(graph, product));
  }
  return result;
}

LayerResult Describe(const Graph& graph, const Layer& layer,
                     const Calibration& calibration, bool with_images) {
  const Node& before = graph.nodes[layer.node];
  const Node& after = calibration.graph.nodes[layer.node];
  LayerResult result;
  result.name = after.name;
  result.op = after.op;
  result.shape = graph.constants.at(before.constants.at("weight")).shape();
  result.float_reason = layer.float_reason;
  result.bytes_before = ParameterBytes(graph, before);
  result.bytes_after = ParameterBytes(calibration.graph, after);
  const auto found = calibration.layers.find(layer.node);
  if (found == calibration.layers.end()) return result;
  result.weight_error = found->second.weight_error;
  if (!with_images) return result;
  result.output_error = found->second.output_error;
  result.starts = found->second.starts;
  result.activations = found->second.activations;
  return result;
}

// Of all quantized weights together.
quantize::Error SumOf(const Graph& graph, const Calibration& calibration) {
  double sum = 0, magnitude = 0, count = 0;
  for (const auto& [node, layer] : calibration.layers) {
    const std::string& name = graph.nodes[node].constants.at("weight");
    for (const float w : graph.constants.at(name).floats()) {
      magnitude += std::abs(static_cast<double>(w));
      ++count;
    }
    sum += layer.weight_error.sum;
  }
  return {sum, sum / count, magnitude > 0 ? sum / magnitude : 0};
}

}  // namespace

Result<Quantization> QuantizeGraph(const Graph& graph,
                                   const QuantizeOptions& options,
                                   const Images* images) {
  const auto layers =
      ChooseLayers(graph, options.selection, options.method.bases);
  if (!layers.ok()) return layers.status();
  auto calibration = images == nullptr
                         ? QuantizeWeights(graph, *layers, options.method)
                         : Calibrate(graph, *layers,
                                     {options.method, options.activation_bases,
                                      options.threads, options.limits},
                                     *images);
  if (!calibration.ok()) return calibration.status();
  Quantization result;
  for (const Layer& layer : *layers) {
    result.layers.push_back(
        Describe(graph, layer, *calibration, images != nullptr));
  }
  result.weight_error = SumOf(graph, *calibration);
  if (images != nullptr) result.output_error = calibration->output_error;
  result.batch_norms = calibration->batch_norms;
  result.graph = std::move(calibration->graph);
  return result;
}

}  // namespace bqengine::ptq
