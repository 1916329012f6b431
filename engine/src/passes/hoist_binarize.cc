#include <cmath>

#include "passes/graph_editor.h"
#include "passes/monotone_chain.h"
#include "passes/passes.h"

namespace bqengine {
namespace {

bool IsBinaryProduct(const Node& node) {
  return node.op == "BinaryConv" || node.op == "BinaryGemm";
}

// True if no input of the graph can make the tensor NaN: it comes from integer
// accumulators. max and sign may be exchanged only then, for the maximum of a
// window with a NaN is NaN, which binarizes to 0 whatever else is in the
// window.
bool NeverNan(GraphEditor& editor, const Node& pool) {
  const MonotoneChain chain = MonotoneChain::Before(editor, pool);
  Node* producer = editor.Producer(chain.root());
  if (producer == nullptr || !IsBinaryProduct(*producer)) return false;
  for (const auto& [role, name] : producer->constants) {
    for (float value : editor.FindConstant(*producer, role.c_str())->floats()) {
      // Far from where products and sums overflow.
      if (!(std::abs(value) < 1e6f)) return false;
    }
  }
  return chain.KeepsIntegersFinite();
}

bool CanSwap(GraphEditor& editor, const Node& before, const Node& binarize) {
  const Constant* threshold = editor.FindConstant(binarize, "threshold");
  if (before.op == "MaxPool") return NeverNan(editor, before);
  // A threshold per channel belongs to the channels after the reshape.
  return (before.op == "Flatten" || before.op == "Reshape") &&
         (threshold == nullptr || threshold->shape() == Shape{1});
}

}  // namespace

Status HoistBinarize(Graph& graph) {
  auto editor = GraphEditor::Make(graph);
  if (!editor.ok()) return editor.status();
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& binarize = editor->node(i);
    if (binarize.op != "Binarize") continue;
    while (Node* before = editor->Producer(binarize.inputs[0])) {
      if (editor->OnlyConsumer(*before) != &binarize ||
          !CanSwap(*editor, *before, binarize)) {
        break;
      }
      if (before->op == "MaxPool") before->op = "BinaryMaxPool";
      editor->Swap(*before, binarize);
    }
  }
  return Status();
}

}  // namespace bqengine
