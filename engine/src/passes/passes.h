// Passes: the first settles what a graph means, the others make it faster
// without changing that. They take a graph that has been checked and leave one
// that would pass the checks again.
#ifndef ENGINE_SRC_PASSES_PASSES_H_
#define ENGINE_SRC_PASSES_PASSES_H_

#include <span>

#include "bqengine/graph.h"
#include "bqengine/status.h"
#include "passes/graph_editor.h"

namespace bqengine {

using Pass = void (*)(GraphEditor& editor);

// All passes: SettleSigns, then the list in passes.cc in its order.
Status RunPasses(Graph& graph);

// Only SettleSigns, which decides what the graph means and which every run
// takes.
Status SettleMeaning(Graph& graph);

// Some passes; what no output needs goes in the end.
Status RunPasses(Graph& graph, std::span<const Pass> passes);

// The sign of a function of one accumulator is that of its exact value: where
// the float arithmetic of batch norms, scales and biases would switch at
// another integer, the Binarize gets a threshold at which it switches there.
void SettleSigns(GraphEditor& editor);

// Binarize behind MaxPool, Flatten or Reshape moves before it, so that packed
// tensors are pooled and reshaped.
void HoistBinarize(GraphEditor& editor);

// Binarize joins the binary product that feeds it, through any chain of
// monotone ops between them (BatchNormalization, Mul, Add, Relu, Clip, PRelu,
// Floor): the product gives bits at once. Exact for every input.
void FuseBinarize(GraphEditor& editor);

// Chains of monotone ops before a Binarize that no product feeds become part of
// its threshold. Exact for every input.
void FoldIntoThreshold(GraphEditor& editor);

// BatchNormalization, Mul and Add by constants behind a product become part of
// its weights, bias, mul and add. Changes the rounding of float results, of
// accumulators only where no comparison (a sign, Floor) depends on them.
void FoldAffine(GraphEditor& editor);

// Elementwise ops behind a binary product without groups, a residual among
// them, become steps of it; a Binarize of what they end in makes its packed
// output, beside the floats if something else needs them. Exact for every
// input.
void FuseEpilogue(GraphEditor& editor);

// Nodes and constants that no output depends on go.
void DropDeadNodes(Graph& graph);

}  // namespace bqengine

#endif  // ENGINE_SRC_PASSES_PASSES_H_
