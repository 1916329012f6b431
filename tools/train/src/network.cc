#include "bqtrain/network.h"

#include <algorithm>

#include "bqengine/model.h"
#include "operations.h"

namespace bqtrain {
namespace {

using bqengine::Graph;
using bqengine::Node;
using bqengine::Result;
using bqengine::Shape;
using bqengine::Status;
using bqengine::StatusCode;
using torch::Tensor;

// Names of torch's modules have no dots.
std::string ModuleName(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

Status CheckEnds(const Graph& graph) {
  if (graph.inputs.size() != 1 || graph.outputs.size() != 1 ||
      graph.inputs[0].info.type != bqengine::DataType::kFloat32) {
    return Status(StatusCode::kInvalidModel,
                  "an architecture has one float32 input and one output");
  }
  const size_t rank = graph.inputs[0].info.shape.size();
  if (rank != 2 && rank != 4) {
    return Status(StatusCode::kInvalidModel,
                  "/inputs/0/shape: must be [batch, height, width, channels] "
                  "or [batch, features]");
  }
  return Status();
}

}  // namespace

// One node: tensors are numbered, 0 is the input.
struct NetworkImpl::Step {
  std::shared_ptr<Operation> operation;
  std::vector<size_t> inputs;
  size_t output;
  std::vector<size_t> last_used;  // tensors that no later step needs
};

NetworkImpl::NetworkImpl(Graph architecture)
    : architecture_(std::move(architecture)) {}
NetworkImpl::~NetworkImpl() = default;

Result<std::shared_ptr<NetworkImpl>> NetworkImpl::Make(
    const Graph& architecture,
    const std::map<std::string, Quantization>& layers) {
  const auto shapes = bqengine::InferShapes(architecture);
  if (!shapes.ok()) return shapes.status();
  if (const Status s = CheckEnds(architecture); !s.ok()) return s;

  std::shared_ptr<NetworkImpl> network(new NetworkImpl(architecture));
  std::map<std::string, size_t> numbers = {{architecture.inputs[0].name, 0}};
  std::map<size_t, size_t> last_step;  // that needs a tensor
  for (size_t i = 0; i < architecture.nodes.size(); ++i) {
    const Node& node = architecture.nodes[i];
    const auto q = layers.find(node.name);
    const auto quantization = q == layers.end() ? Quantization{} : q->second;
    const auto named = [&node](const Status& s) {
      return Status(s.code(), "node '" + node.name + "': " + s.message());
    };
    if (const Status s = Check(quantization); !s.ok()) return named(s);
    auto operation = MakeOperation(
        architecture, node, shapes->at(node.inputs[0]).shape, quantization);
    if (!operation.ok()) return named(operation.status());
    Step step{.operation = *operation,
              .inputs = {},
              .output = numbers.size(),
              .last_used = {}};
    for (const std::string& input : node.inputs) {
      const auto number = numbers.find(input);
      if (number == numbers.end()) {
        return Status(StatusCode::kInvalidModel,
                      "node '" + node.name + "' comes before its input");
      }
      step.inputs.push_back(number->second);
      last_step[number->second] = i;
    }
    numbers[node.outputs[0]] = step.output;
    const std::string name = ModuleName(node.name);
    if (network->named_children().contains(name)) {
      return Status(
          StatusCode::kInvalidModel,
          "node '" + node.name + "': another's name differs in dots only");
    }
    network->register_module(name, step.operation);
    if (const auto layer =
            std::dynamic_pointer_cast<LayerOperation>(step.operation)) {
      network->layers_.push_back({node.name, layer->layer});
    }
    network->steps_.push_back(std::move(step));
  }
  for (const auto& [tensor, step] : last_step) {
    network->steps_[step].last_used.push_back(tensor);
  }
  network->output_ = numbers.at(architecture.outputs[0].name);
  return network;
}

Tensor NetworkImpl::forward(const Tensor& x) {
  std::vector<Tensor> tensors(steps_.size() + 1);
  tensors[0] = x.dim() == 4 ? x.permute({0, 3, 1, 2}) : x;
  Tensor result;
  for (const Step& step : steps_) {
    std::vector<Tensor> inputs;
    for (const size_t i : step.inputs) inputs.push_back(tensors[i]);
    tensors[step.output] = step.operation->Forward(inputs);
    if (step.output == output_) result = tensors[step.output];
    for (const size_t i : step.last_used) tensors[i].reset();
  }
  return result.dim() == 4 ? result.permute({0, 2, 3, 1}) : result;
}

void NetworkImpl::train(bool on) {
  torch::nn::Module::train(on);
  for (const Layer& layer : layers_) layer.module->set_settled_thresholds({});
  if (on) return;
  // Not of parameters that have become NaN, say: then the thresholds stay.
  const Result<Graph> settled = bqengine::SettleGraph(Export());
  if (!settled.ok()) return;
  std::map<std::string, const Node*> nodes;  // by name, and by what they make
  for (const Node& node : settled->nodes) nodes[node.name] = &node;
  for (const Node& node : settled->nodes) nodes[node.outputs[0]] = &node;
  for (const Layer& layer : layers_) {
    std::vector<Tensor> thresholds;
    for (const std::string& input : nodes.at(layer.name)->inputs) {
      const auto binarize = nodes.find(input);
      if (binarize == nodes.end() || binarize->second->op != "Binarize") break;
      const auto role = binarize->second->constants.find("threshold");
      std::vector<float> values = {0.0f};
      if (role != binarize->second->constants.end()) {
        const auto floats = settled->constants.at(role->second).floats();
        values.assign(floats.begin(), floats.end());
      }
      thresholds.push_back(torch::tensor(values));
    }
    layer.module->set_settled_thresholds(std::move(thresholds));
  }
}

Graph NetworkImpl::Export() const {
  Graph graph = architecture_;
  graph.nodes.clear();
  graph.constants.clear();
  GraphWriter writer(&graph);
  for (size_t i = 0; i < steps_.size(); ++i) {
    steps_[i].operation->Export(architecture_.nodes[i], &writer);
  }
  return graph;
}

void NetworkImpl::ClipWeights() {
  for (const Layer& layer : layers_) layer.module->ClipWeights();
}

}  // namespace bqtrain
