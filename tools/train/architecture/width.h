// Narrower and wider networks from one architecture: bq-train's --width.
#ifndef BQENGINE_TOOLS_TRAIN_ARCHITECTURE_WIDTH_H_
#define BQENGINE_TOOLS_TRAIN_ARCHITECTURE_WIDTH_H_

#include "bqengine/graph.h"
#include "bqengine/status.h"

namespace bqengine::train {

// The architecture with `factor` times the output channels of each Conv and
// Gemm, rounded, at least 1; and with the shapes of all constants that follow
// from that. Products that reach an output of the graph through no other keep
// their channels: they are the classes. Depthwise convolutions keep their
// number of channels per input channel.
//
// kInvalidArgument if factor is not finite and above 0; kInvalidModel, naming
// the node, if the architecture is broken or cannot have that width (groups
// that do not divide the channels, a Reshape to fixed channels), or if a
// constant whose shape would change has data.
Result<Graph> ScaleWidth(const Graph& architecture, double factor);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_ARCHITECTURE_WIDTH_H_
