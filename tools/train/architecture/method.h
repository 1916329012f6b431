// From an architecture and a method to the network that is trained: which
// layers are quantized how, and which Relu goes. No LibTorch.
#ifndef BQENGINE_TOOLS_TRAIN_ARCHITECTURE_METHOD_H_
#define BQENGINE_TOOLS_TRAIN_ARCHITECTURE_METHOD_H_

#include <map>
#include <string>

#include "bqengine/graph.h"
#include "bqtrain/quantization.h"

namespace bqengine::train {

struct Plan {
  Graph graph;  // nodes in order of execution
  // Of each Conv and Gemm, by the name of its node.
  std::map<std::string, bqtrain::Quantization> layers;
};

// Applies `method` to each Conv and Gemm of a float architecture: to its
// weights and, but for layers that take an input of the graph (pixels lose too
// much), to its activations. The first and the last layer stay float, unless
// their node's `training` says "quantize": 1. Others stay float if it says 0.
// The remaining keys of `training` replace parts of the method for their
// layer: "weights", "activations" (names: bqtrain/quantization.h),
// "weight_bases", "activation_bases", "alpha" ("mean" or "trained"), "shifts"
// ("fixed" or "trained"), "threshold".
//
// A Relu in front of a layer with binary activations would leave nothing of
// their signs: it is taken out, also from behind MaxPool and Flatten. One that
// feeds others, too, is an error.
//
// kInvalidModel names the node and its path.
Result<Plan> ApplyMethod(Graph architecture,
                         const bqtrain::Quantization& method);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_ARCHITECTURE_METHOD_H_
