#include "passes/passes.h"

namespace bqengine {
namespace {

constexpr Pass kMeaning[] = {SettleSigns};

constexpr Pass kPasses[] = {
    // First, so that what lies between a pool and
    // a sign is gone when ...
    FoldIntoThreshold,
    // ... the sign moves before the pool, next to the product ...
    HoistBinarize,
    // ... that it can join. Exact, so before anything that rounds.
    FuseBinarize,
    // What is left of batch norms belongs to float outputs, or to products of
    // several bases, ...
    FoldAffine,
    // ... which a sign can join only once their batch norm has.
    FuseBinarize,
    // Last: a product that has steps gives up what the passes above need, that
    // its floats come from one multiplication and addition. Signs that could
    // become a comparison of integers have become one by now.
    FuseEpilogue,
};

}  // namespace

Status RunPasses(Graph& graph) {
  if (Status s = SettleMeaning(graph); !s.ok()) return s;
  return RunPasses(graph, kPasses);
}

Status SettleMeaning(Graph& graph) { return RunPasses(graph, kMeaning); }

Status RunPasses(Graph& graph, std::span<const Pass> passes) {
  auto editor = GraphEditor::Make(graph);
  if (!editor.ok()) return editor.status();
  for (Pass pass : passes) pass(*editor);
  editor->Finish();
  DropDeadNodes(graph);
  return Status();
}

}  // namespace bqengine
