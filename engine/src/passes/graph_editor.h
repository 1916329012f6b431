// What passes need to find their patterns, kept up to date while they edit.
#ifndef ENGINE_SRC_PASSES_GRAPH_EDITOR_H_
#define ENGINE_SRC_PASSES_GRAPH_EDITOR_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bqengine/graph.h"
#include "graph/graph_analysis.h"

namespace bqengine {

class GraphEditor {
 public:
  // `graph` must outlive the editor; call Finish when done.
  static Result<GraphEditor> Make(Graph& graph);

  Graph& graph() { return *graph_; }
  size_t node_count() const { return graph_->nodes.size(); }
  Node& node(size_t i) { return graph_->nodes[i]; }
  bool removed(size_t i) const { return removed_[i]; }

  // The shape of a tensor. Its type is that at the start: passes turn floats
  // into bits.
  const TensorInfo& tensor(const std::string& name) const {
    return tensors_.at(name);
  }

  // The node that makes a tensor; null for a graph input.
  Node* Producer(const std::string& tensor);
  // The node that alone uses what `node` makes; null if several do, none does,
  // it is an output of the graph, or `node` makes two tensors.
  Node* OnlyConsumer(const Node& node);
  // A node of kind `op` that uses the first output of `node`; null: none does.
  Node* FindConsumer(const Node& node, std::string_view op);

  // Removes `node` and lets `before`, which makes an input of it, make its
  // output and take its other inputs, behind its own.
  // Precondition: node is before's only consumer.
  void Absorb(Node& before, Node& node);
  // Removes `node` and lets `before`, which makes its only input, make its
  // output beside its own.
  // Precondition: both have one output.
  void AbsorbAsSecond(Node& before, Node& node);

  // x -> first -> y -> second -> z becomes x -> second -> y -> first -> z.
  // Precondition: second is first's only consumer, and both have one input.
  void Swap(Node& first, Node& second);

  // Adds a constant whose name is derived from the node's and gives it the role
  // `role`, in place of what had that role.
  void SetConstant(Node& node, const char* role, Constant constant);

  // The constant in a role; null if the node has none.
  const Constant* FindConstant(const Node& node, const char* role) const;

  // True if all constants of the node have data.
  bool HasData(const Node& node) const;

  // Takes removed nodes out of the graph.
  void Finish();

 private:
  explicit GraphEditor(Graph& graph) : graph_(&graph) {}
  size_t IndexOf(const Node& node) const { return &node - &graph_->nodes[0]; }

  Graph* graph_;
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, size_t> producer_;
  std::map<std::string, std::vector<size_t>> consumers_;
  std::map<std::string, bool> is_output_;
  std::vector<bool> removed_;
};

}  // namespace bqengine

#endif  // ENGINE_SRC_PASSES_GRAPH_EDITOR_H_
