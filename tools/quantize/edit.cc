#include "quantize/edit.h"

#include <utility>

namespace bqengine::ptq {
namespace {

constexpr size_t kLongName = 1000;  // a name has at most 1024 bytes

void DropUnusedConstants(Graph* graph) {
  std::set<std::string> used;
  for (const Node& node : graph->nodes) {
    for (const auto& [role, name] : node.constants) used.insert(name);
  }
  std::erase_if(graph->constants, [&used](const auto& entry) {
    return !used.contains(entry.first);
  });
}

}  // namespace

std::string NewName(const std::string& wanted, std::set<std::string>* taken) {
  const std::string stem = wanted.size() < kLongName ? wanted : "long";
  std::string name = stem;
  for (int i = 2; !taken->insert(name).second; ++i) {
    name = stem + "." + std::to_string(i);
  }
  return name;
}

std::set<std::string> NodeNames(const Graph& graph) {
  std::set<std::string> names;
  for (const Node& node : graph.nodes) names.insert(node.name);
  return names;
}

std::set<std::string> TensorNames(const Graph& graph) {
  std::set<std::string> names;
  for (const GraphInput& input : graph.inputs) names.insert(input.name);
  for (const Node& node : graph.nodes) {
    names.insert(node.outputs.begin(), node.outputs.end());
  }
  return names;
}

void SetConstant(Graph* graph, Node* node, const std::string& role,
                 Constant value) {
  std::set<std::string> taken;
  for (const auto& [name, constant] : graph->constants) taken.insert(name);
  const std::string name = NewName(node->name + "." + role, &taken);
  graph->constants[name] = std::move(value);
  node->constants[role] = name;
}

std::vector<std::string> AddBinarize(Graph* graph, const std::string& tensor,
                                     DataType encoding,
                                     const std::vector<float>& thresholds) {
  std::set<std::string> nodes = NodeNames(*graph);
  std::set<std::string> tensors = TensorNames(*graph);
  std::vector<std::string> bits;
  for (const float threshold : thresholds) {
    Node node;
    node.name = NewName(tensor + ".binarize", &nodes);
    node.op = "Binarize";
    node.inputs = {tensor};
    node.outputs = {NewName(tensor + ".bits", &tensors)};
    node.attributes["encoding"] = std::string(DataTypeName(encoding));
    SetConstant(graph, &node, "threshold", Constant::Floats({1}, {threshold}));
    bits.push_back(node.outputs[0]);
    graph->nodes.push_back(std::move(node));
  }
  return bits;
}

Node BinaryProduct(const Node& product, const BinaryInputs& inputs) {
  Node node = product;
  node.constants.clear();
  node.op = (inputs.bits.empty() ? "BinaryWeight" : "Binary") + product.op;
  if (!inputs.bits.empty()) node.inputs = inputs.bits;
  return node;
}

void MakeBinary(Graph* graph, size_t node, const BinaryInputs& inputs,
                const quantize::Weights& weights, std::vector<float> add) {
  Node binary = BinaryProduct(graph->nodes[node], inputs);
  graph->nodes[node].constants.clear();
  DropUnusedConstants(graph);  // so that the new ones may have their names
  SetConstant(graph, &binary, "weight", weights.weight);
  SetConstant(graph, &binary, "alpha", weights.alpha);
  if (!inputs.bits.empty()) {
    const int64_t bases = static_cast<int64_t>(inputs.beta.size());
    SetConstant(graph, &binary, "beta", Constant::Floats({bases}, inputs.beta));
  }
  if (!add.empty()) {
    const int64_t channels = static_cast<int64_t>(add.size());
    SetConstant(graph, &binary, "add",
                Constant::Floats({channels}, std::move(add)));
  }
  graph->nodes[node] = std::move(binary);
}

}  // namespace bqengine::ptq
