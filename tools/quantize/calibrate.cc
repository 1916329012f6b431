#include "quantize/calibrate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "common/graph_order.h"
#include "common/progress.h"
#include "quantize/edit.h"
#include "quantize/probe.h"
#include "quantize/scales.h"
#include "quantize/statistics.h"

namespace bqengine::ptq {
namespace {

// Factors of the paper's shifts to choose from; 1 first, which wins where all
// are equal.
constexpr std::array kShiftScales = {1.0f, 0.5f, 0.75f, 1.25f, 1.5f, 2.0f};

bool IsPadded(const Node& node) {
  const auto pads = node.attributes.find("pads");
  if (pads == node.attributes.end()) return false;
  const auto& values = std::get<std::vector<int64_t>>(pads->second);
  return std::any_of(values.begin(), values.end(),
                     [](int64_t pad) { return pad != 0; });
}

// Of a batch norm. Integers may stand for floats in a model file.
double Epsilon(const Node& norm) {
  const auto found = norm.attributes.find("epsilon");
  if (found == norm.attributes.end()) return 1e-5;
  if (const auto* i = std::get_if<int64_t>(&found->second)) {
    return static_cast<double>(*i);
  }
  return std::get<float>(found->second);
}

// Base m of [M, O, ...] as [1, O, ...].
Constant OneBase(const Constant& weight, int64_t m) {
  Shape shape = weight.shape();
  const size_t words = weight.words().size() / static_cast<size_t>(shape[0]);
  const auto part =
      weight.words().subspan(static_cast<size_t>(m) * words, words);
  shape[0] = 1;
  return Constant::Bits(weight.type(), std::move(shape),
                        {part.begin(), part.end()});
}

class Calibrator {
 public:
  Calibrator(const Graph& graph, const std::vector<Layer>& layers,
             const CalibrateOptions& options, const Images& images);
  Result<Calibration> Run();

 private:
  Status CalibrateLayer(size_t node);
  Status FitScales(size_t node, const BinaryInputs& inputs,
                   CalibratedLayer* layer);
  Result<std::vector<Scales>> FitEach(
      const Node& product, const BinaryInputs& inputs,
      const std::vector<Decomposition>& decompositions);
  Result<BinaryInputs> BinarizeInput(const Node& node, CalibratedLayer* layer);
  Status EstimateBatchNorm(size_t node);
  Status MeasureOutputs();

  // Indexed as the graph's nodes: a batch norm behind what is quantized.
  std::vector<bool> BatchNorms() const;
  bool FeedsBatchNorm(const std::string& tensor) const;
  Status Look(Graph graph, const std::vector<std::string>& tensors,
              const std::function<Status(const Batch&)>& visit);

  const Graph& float_graph_;
  const std::vector<Layer>& layers_;
  const CalibrateOptions& options_;
  const Images& images_;
  std::map<std::string, TensorInfo> tensors_;  // of the float graph
  std::vector<bool> batch_norms_;
  Calibration result_;
  // Bits that were made of a tensor, for layers that share it and its padding.
  std::map<std::pair<std::string, bool>,
           std::pair<ActivationBases, BinaryInputs>>
      binarized_;
  std::optional<tools::Progress> progress_;
  int64_t done_ = 0;  // images, of all runs
};

Calibrator::Calibrator(const Graph& graph, const std::vector<Layer>& layers,
                       const CalibrateOptions& options, const Images& images)
    : float_graph_(graph),
      layers_(layers),
      options_(options),
      images_(images),
      batch_norms_(BatchNorms()) {
  result_.graph = graph;
  int64_t runs = 1 + std::count(batch_norms_.begin(), batch_norms_.end(), true);
  for (const Layer& layer : layers) {
    if (layer.float_reason.empty()) {
      runs += options.activation_bases > 0 ? 2 : 1;
    }
  }
  progress_.emplace("calibration", runs * images.count);
}

std::vector<bool> Calibrator::BatchNorms() const {
  std::vector<bool> chosen(float_graph_.nodes.size());
  for (const Layer& layer : layers_) {
    chosen[layer.node] = layer.float_reason.empty();
  }
  std::vector<bool> batch_norms =
      NeedsAny(float_graph_, tools::ExecutionOrder(float_graph_), chosen);
  for (size_t i = 0; i < batch_norms.size(); ++i) {
    if (float_graph_.nodes[i].op != "BatchNormalization") {
      batch_norms[i] = false;
    }
  }
  return batch_norms;
}

bool Calibrator::FeedsBatchNorm(const std::string& tensor) const {
  return std::any_of(float_graph_.nodes.begin(), float_graph_.nodes.end(),
                     [&tensor](const Node& node) {
                       return node.op == "BatchNormalization" &&
                              node.inputs[0] == tensor;
                     });
}

Status Calibrator::Look(Graph graph, const std::vector<std::string>& tensors,
                        const std::function<Status(const Batch&)>& visit) {
  const auto advance = [this](int64_t images) {
    done_ += images;
    progress_->Update(done_);
  };
  return Probe(std::move(graph), tensors, images_,
               {options_.threads, options_.limits}, advance, visit);
}

Result<Calibration> Calibrator::Run() {
  auto tensors = InferShapes(float_graph_);
  if (!tensors.ok()) return tensors.status();
  tensors_ = *std::move(tensors);
  for (const Layer& layer : layers_) {
    if (layer.float_reason.empty()) result_.layers[layer.node] = {};
  }
  for (const size_t node : tools::ExecutionOrder(float_graph_)) {
    Status status;
    if (result_.layers.contains(node)) {
      status = CalibrateLayer(node);
    } else if (batch_norms_[node]) {
      status = EstimateBatchNorm(node);
    }
    if (!status.ok()) {
      return Status(status.code(), "node '" + float_graph_.nodes[node].name +
                                       "': " + status.message());
    }
  }
  if (Status s = MeasureOutputs(); !s.ok()) return s;
  return std::move(result_);
}

// ------------------------------------------------------------------- layers

Status Calibrator::CalibrateLayer(size_t node) {
  const Node& product = float_graph_.nodes[node];
  CalibratedLayer& layer = result_.layers[node];
  BinaryInputs inputs;
  if (options_.activation_bases > 0) {
    auto binary = BinarizeInput(product, &layer);
    if (!binary.ok()) return binary.status();
    inputs = *std::move(binary);
  }
  return FitScales(node, inputs, &layer);
}

Result<BinaryInputs> Calibrator::BinarizeInput(const Node& node,
                                               CalibratedLayer* layer) {
  const std::string& tensor = node.inputs[0];
  const auto key = std::pair(tensor, IsPadded(node));
  if (const auto known = binarized_.find(key); known != binarized_.end()) {
    layer->activations = known->second.first;
    return known->second.second;
  }
  const TensorInfo& info = tensors_.at(tensor);
  const auto expected = ElementCount(info.shape, images_.count);
  if (!expected.ok()) return expected.status();
  Sample sample(*expected, info.shape.back());
  Status status = Look(result_.graph, {tensor}, [&](const Batch& batch) {
    sample.Add(batch[0]);
    return Status();
  });
  if (!status.ok()) return status;
  auto bases =
      FitActivations(sample.Take(), options_.activation_bases, IsPadded(node));
  if (!bases.ok()) return bases.status();
  const BinaryInputs inputs = {
      AddBinarize(&result_.graph, tensor, bases->encoding, bases->thresholds),
      bases->beta};
  layer->activations = *bases;
  binarized_[key] = {*std::move(bases), inputs};
  return inputs;
}

// Scales of each decomposition, by the sums that its bases give.
Result<std::vector<Scales>> Calibrator::FitEach(
    const Node& product, const BinaryInputs& inputs,
    const std::vector<Decomposition>& decompositions) {
  const std::string& output = product.outputs[0];
  Twins twins(result_.graph, float_graph_);
  Graph& graph = twins.graph();
  std::set<std::string> nodes = NodeNames(graph);
  std::set<std::string> tensors = TensorNames(graph);
  std::vector<std::string> looked_at = {twins.Second(output)};
  const size_t bases = static_cast<size_t>(options_.method.bases);
  for (const Decomposition& decomposition : decompositions) {
    for (int64_t m = 0; m < options_.method.bases; ++m) {
      Node sum = BinaryProduct(product, inputs);
      sum.name = NewName("sum", &nodes);
      sum.outputs = {NewName("sum", &tensors)};
      SetConstant(&graph, &sum, "weight",
                  OneBase(decomposition.weights.weight, m));
      if (!inputs.bits.empty()) {
        SetConstant(&graph, &sum, "beta",
                    Constant::Floats({static_cast<int64_t>(inputs.beta.size())},
                                     inputs.beta));
      }
      looked_at.push_back(sum.outputs[0]);
      graph.nodes.push_back(std::move(sum));
    }
  }
  const size_t channels = static_cast<size_t>(tensors_.at(output).shape.back());
  std::vector<ScaleFitter> fitters(decompositions.size(), {bases, channels});
  Status status = Look(std::move(graph), looked_at, [&](const Batch& batch) {
    for (size_t d = 0; d < fitters.size(); ++d) {
      fitters[d].Add(batch[0], std::span(batch).subspan(1 + d * bases, bases));
    }
    return Status();
  });
  if (!status.ok()) return status;
  std::vector<Scales> scales;
  for (size_t d = 0; d < fitters.size(); ++d) {
    auto fitted = fitters[d].Fit(!FeedsBatchNorm(output),
                                 decompositions[d].weights.alpha.floats());
    if (!fitted.ok()) return fitted.status();
    scales.push_back(*std::move(fitted));
  }
  return scales;
}

// Takes for each output channel the decomposition that serves it best.
Status Calibrator::FitScales(size_t node, const BinaryInputs& inputs,
                             CalibratedLayer* layer) {
  const Node& product = float_graph_.nodes[node];
  const Constant& weight =
      float_graph_.constants.at(product.constants.at("weight"));
  const auto decompositions = Decompositions(
      weight, options_.method, {kShiftScales.begin(), kShiftScales.end()});
  if (!decompositions.ok()) return decompositions.status();
  const auto scales = FitEach(product, inputs, *decompositions);
  if (!scales.ok()) return scales.status();

  const size_t channels = (*scales)[0].add.size();
  std::vector<size_t> choice(channels);
  std::vector<float> add, alpha((*scales)[0].alpha.size());
  for (size_t o = 0; o < channels; ++o) {
    const auto best = std::min_element(
        scales->begin(), scales->end(), [o](const Scales& a, const Scales& b) {
          return a.squared_error[o] < b.squared_error[o];
        });
    choice[o] = static_cast<size_t>(best - scales->begin());
    ++layer->starts[(*decompositions)[choice[o]].start];
    add.push_back(best->add[o]);
    for (size_t i = o; i < alpha.size(); i += channels) {
      alpha[i] = best->alpha[i];
    }
  }
  quantize::Weights weights = Combine(*decompositions, choice);
  weights.alpha = Constant::Floats(weights.alpha.shape(), std::move(alpha));
  const auto error = WeightError(weight, weights);
  if (!error.ok()) return error.status();
  layer->weight_error = *error;
  MakeBinary(&result_.graph, node, inputs, weights, std::move(add));
  return Status();
}

// -------------------------------------------------------------- batch norms

// The quantized network's batch norm shall give the mean and the deviation that
// the float network's gives.
Status Calibrator::EstimateBatchNorm(size_t node) {
  const Node& norm = float_graph_.nodes[node];
  const std::string& input = norm.inputs[0];
  const size_t channels = static_cast<size_t>(tensors_.at(input).shape.back());
  Moments quantized(channels), real(channels);
  Twins twins(result_.graph, float_graph_);
  const std::string twin = twins.Second(input);
  Status status =
      Look(std::move(twins.graph()), {input, twin}, [&](const Batch& batch) {
        quantized.Add(batch[0]);
        real.Add(batch[1]);
        return Status();
      });
  if (!status.ok()) return status;

  const auto floats = [&](const char* role) {
    return float_graph_.constants.at(norm.constants.at(role)).floats();
  };
  const double epsilon = Epsilon(norm);
  std::vector<float> mean, var;
  for (size_t c = 0; c < channels; ++c) {
    const double variance = floats("var")[c];
    const bool varies = real.variance(c) > 0 && quantized.variance(c) > 0;
    const double ratio =
        varies ? quantized.variance(c) / real.variance(c) : 1.0;
    var.push_back(static_cast<float>(
        std::max((variance + epsilon) * ratio - epsilon, 0.0)));
    mean.push_back(static_cast<float>(quantized.mean(c) -
                                      (real.mean(c) - floats("mean")[c]) *
                                          std::sqrt(ratio)));
  }
  const auto finite = [](float value) { return std::isfinite(value); };
  if (!std::all_of(mean.begin(), mean.end(), finite) ||
      !std::all_of(var.begin(), var.end(), finite)) {
    return Status(StatusCode::kInvalidArgument,
                  "activations are not finite numbers");
  }
  const Shape shape = {static_cast<int64_t>(channels)};
  Node& estimated = result_.graph.nodes[node];
  SetConstant(&result_.graph, &estimated, "mean",
              Constant::Floats(shape, std::move(mean)));
  SetConstant(&result_.graph, &estimated, "var",
              Constant::Floats(shape, std::move(var)));
  ++result_.batch_norms;
  return Status();
}

// ------------------------------------------------------------------- errors

Status Calibrator::MeasureOutputs() {
  std::vector<std::string> measured;  // each once
  for (const auto& [node, layer] : result_.layers) {
    measured.push_back(float_graph_.nodes[node].outputs[0]);
  }
  std::set<std::string> outputs;  // of the network
  for (const GraphOutput& output : float_graph_.outputs) {
    if (tensors_.at(output.name).type != DataType::kFloat32) continue;
    if (!outputs.insert(output.name).second) continue;
    if (std::find(measured.begin(), measured.end(), output.name) ==
        measured.end()) {
      measured.push_back(output.name);
    }
  }
  Twins twins(result_.graph, float_graph_);
  std::vector<std::string> tensors;
  for (const std::string& tensor : measured) {
    tensors.push_back(twins.Second(tensor));
    tensors.push_back(tensor);
  }
  std::vector<ErrorSum> errors(measured.size());
  ErrorSum network;
  Status status =
      Look(std::move(twins.graph()), tensors, [&](const Batch& batch) {
        for (size_t i = 0; i < measured.size(); ++i) {
          errors[i].Add(batch[2 * i], batch[2 * i + 1]);
          if (outputs.contains(measured[i])) {
            network.Add(batch[2 * i], batch[2 * i + 1]);
          }
        }
        return Status();
      });
  if (!status.ok()) return status;
  size_t i = 0;
  for (auto& [node, layer] : result_.layers) {
    layer.output_error = errors[i++].error();
  }
  if (!outputs.empty()) result_.output_error = network.error();
  return Status();
}

}  // namespace

Result<Calibration> Calibrate(const Graph& graph,
                              const std::vector<Layer>& layers,
                              const CalibrateOptions& options,
                              const Images& images) {
  return Calibrator(graph, layers, options, images).Run();
}

}  // namespace bqengine::ptq
