#include "passes/graph_editor.h"

#include <algorithm>
#include <utility>

#include "graph/graph_analysis.h"

namespace bqengine {

Result<GraphEditor> GraphEditor::Make(Graph& graph) {
  GraphEditor editor(graph);
  auto checked = CheckGraph(graph);
  if (!checked.ok()) return checked.status();
  editor.tensors_ = std::move(checked->tensors);
  editor.removed_.assign(graph.nodes.size(), false);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const std::string& name : graph.nodes[i].inputs) {
      editor.consumers_[name].push_back(i);
    }
    for (const std::string& name : graph.nodes[i].outputs) {
      editor.producer_[name] = i;
    }
  }
  for (const GraphOutput& output : graph.outputs) {
    editor.is_output_[output.name] = true;
  }
  return editor;
}

Node* GraphEditor::Producer(const std::string& tensor) {
  const auto found = producer_.find(tensor);
  return found == producer_.end() ? nullptr : &node(found->second);
}

Node* GraphEditor::OnlyConsumer(const Node& node) {
  const std::string& tensor = node.outputs[0];
  const auto found = consumers_.find(tensor);
  if (found == consumers_.end() || found->second.size() != 1 ||
      is_output_.contains(tensor) || node.outputs.size() > 1) {
    return nullptr;
  }
  return &this->node(found->second[0]);
}

Node* GraphEditor::FindConsumer(const Node& node, std::string_view op) {
  const auto found = consumers_.find(node.outputs[0]);
  if (found == consumers_.end()) return nullptr;
  for (size_t i : found->second) {
    if (this->node(i).op == op) return &this->node(i);
  }
  return nullptr;
}

void GraphEditor::Absorb(Node& before, Node& node) {
  for (const std::string& other : node.inputs) {
    if (other == before.outputs[0]) continue;
    std::vector<size_t>& consumers = consumers_[other];
    std::replace(consumers.begin(), consumers.end(), IndexOf(node),
                 IndexOf(before));
    before.inputs.push_back(other);
  }
  consumers_.erase(before.outputs[0]);
  producer_.erase(before.outputs[0]);
  before.outputs = node.outputs;
  producer_[before.outputs[0]] = IndexOf(before);
  removed_[IndexOf(node)] = true;
}

void GraphEditor::AbsorbAsSecond(Node& before, Node& node) {
  std::erase(consumers_[before.outputs[0]], IndexOf(node));
  before.outputs.push_back(node.outputs[0]);
  producer_[node.outputs[0]] = IndexOf(before);
  removed_[IndexOf(node)] = true;
}

void GraphEditor::Swap(Node& first, Node& second) {
  const std::string x = first.inputs[0];
  const std::string y = first.outputs[0];
  const std::string z = second.outputs[0];
  for (size_t& consumer : consumers_[x]) {
    if (consumer == IndexOf(first)) consumer = IndexOf(second);
  }
  consumers_[y] = {IndexOf(first)};
  tensors_.at(y) = tensors_.at(x);
  producer_[y] = IndexOf(second);
  producer_[z] = IndexOf(first);
  second.inputs = {x};
  second.outputs = {y};
  first.inputs = {y};
  first.outputs = {z};
}

void GraphEditor::SetConstant(Node& node, const char* role, Constant constant) {
  const std::string base = node.name + "." + role;
  std::string name = base;
  for (int i = 1; graph_->constants.contains(name); ++i) {
    name = base + "." + std::to_string(i);
  }
  graph_->constants[name] = std::move(constant);
  node.constants[role] = name;
}

const Constant* GraphEditor::FindConstant(const Node& node,
                                          const char* role) const {
  const auto found = node.constants.find(role);
  return found == node.constants.end() ? nullptr
                                       : &graph_->constants.at(found->second);
}

bool GraphEditor::HasData(const Node& node) const {
  return std::all_of(
      node.constants.begin(), node.constants.end(), [&](const auto& entry) {
        return graph_->constants.at(entry.second).data() != nullptr;
      });
}

void GraphEditor::Finish() {
  std::vector<Node> kept;
  for (size_t i = 0; i < graph_->nodes.size(); ++i) {
    if (!removed_[i]) kept.push_back(std::move(graph_->nodes[i]));
  }
  graph_->nodes = std::move(kept);
}

}  // namespace bqengine
