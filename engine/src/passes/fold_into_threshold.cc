#include <utility>

#include "graph/make_constant.h"
#include "passes/graph_editor.h"
#include "passes/monotone_chain.h"
#include "passes/passes.h"

namespace bqengine {
namespace {

void TryFold(GraphEditor& editor, Node& binarize) {
  const MonotoneChain chain = MonotoneChain::Before(editor, binarize);
  if (chain.nodes().empty() || !chain.IsIncreasing()) return;
  const int64_t channels = editor.tensor(binarize.inputs[0]).shape.back();
  std::vector<float> threshold;
  for (int64_t c = 0; c < channels; ++c) {
    const auto smallest = chain.SmallestTrue(c);
    if (!smallest.has_value()) return;  // no float is too small for it
    threshold.push_back(*smallest);
  }
  // One value for all channels stays one, so that the sign can still move.
  bool same = true;
  for (float value : threshold) same = same && value == threshold[0];
  if (same) threshold.resize(1);
  const int64_t count = static_cast<int64_t>(threshold.size());
  editor.SetConstant(binarize, "threshold",
                     MakeFloats({count}, std::move(threshold)));
  // The first node of the chain becomes the Binarize; the others vanish.
  Node& first = *chain.nodes().front();
  first.op = "Binarize";
  first.name = binarize.name;
  first.attributes = binarize.attributes;
  first.constants = binarize.constants;
  for (size_t i = 1; i < chain.nodes().size(); ++i) {
    editor.Absorb(first, *chain.nodes()[i]);
  }
  editor.Absorb(first, binarize);
}

}  // namespace

void FoldIntoThreshold(GraphEditor& editor) {
  for (size_t i = 0; i < editor.node_count(); ++i) {
    if (editor.node(i).op == "Binarize" && !editor.removed(i)) {
      TryFold(editor, editor.node(i));
    }
  }
}

}  // namespace bqengine
