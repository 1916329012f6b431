#include "passes/passes.h"

namespace bqengine {

Status RunPasses(Graph& graph) {
  using Pass = Status (*)(Graph&);
  constexpr Pass kPasses[] = {
      // First, so that what lies between a pool and a sign is gone when ...
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
      DropDeadNodes,
  };
  for (Pass pass : kPasses) {
    if (Status s = pass(graph); !s.ok()) return s;
  }
  return Status();
}

}  // namespace bqengine
