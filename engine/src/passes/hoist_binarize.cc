#include <cmath>

#include "passes/graph_editor.h"
#include "passes/monotone_chain.h"
#include "passes/passes.h"

namespace bqengine {
namespace {

bool IsBinaryProduct(const Node& node) {
  return node.op == "BinaryConv" || node.op == "BinaryGemm";
}

bool IsReshape(const Node& node) {
  return node.op == "Flatten" || node.op == "Reshape";
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

// True if the values come from a binary product, through pools, reshapes and
// monotone ops only: then the sign can join it in the end.
bool ComesFromProduct(GraphEditor& editor, const Node& node) {
  const Node* at = &node;
  while (Node* before =
             editor.Producer(MonotoneChain::Before(editor, *at).root())) {
    if (IsBinaryProduct(*before)) return true;
    if (before->op != "MaxPool" && !IsReshape(*before)) return false;
    at = before;
  }
  return false;
}

bool CanSwap(GraphEditor& editor, const Node& before, const Node& binarize) {
  if (before.op == "MaxPool") return NeverNan(editor, before);
  if (!IsReshape(before)) return false;
  // A threshold per channel belongs to the channels after the reshape.
  const Constant* threshold = editor.FindConstant(binarize, "threshold");
  if (threshold != nullptr && threshold->shape() != Shape{1}) return false;
  // Packed rows that are no whole words would be packed twice for nothing: an
  // image of one channel takes a word a pixel.
  return editor.tensor(before.inputs[0]).shape.back() % 64 == 0 ||
         ComesFromProduct(editor, before);
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
