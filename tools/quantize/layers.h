// Which products of a network are quantized, and why the others are not.
#ifndef BQENGINE_TOOLS_QUANTIZE_LAYERS_H_
#define BQENGINE_TOOLS_QUANTIZE_LAYERS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/status.h"

namespace bqengine::ptq {

struct Selection {
  // These only, whatever they are; if empty, those that ChooseLayers thinks of.
  std::vector<std::string> layers = {};
  std::vector<std::string> skip = {};  // not these
  bool first_and_last = false;         // also these
};

// A Conv or Gemm of the graph.
struct Layer {
  size_t node = 0;           // its place in graph.nodes
  std::string float_reason;  // why it stays float; empty if it does not
};

// Indexed as graph.nodes: whether the node needs, directly or not, one of the
// nodes for which `marked` is true.
std::vector<bool> NeedsAny(const Graph& graph, const std::vector<size_t>& order,
                           const std::vector<bool>& marked);

// All Conv and Gemm in order of execution. Unless the selection says otherwise,
// a layer stays float that is first (needs no other product), last (no other
// product needs it), or would be no smaller with `bases` bits for each weight.
// kInvalidArgument if the selection names what is no such layer, or nothing is
// left to quantize.
Result<std::vector<Layer>> ChooseLayers(const Graph& graph,
                                        const Selection& selection,
                                        int64_t bases);

// Bytes of what the node multiplies and adds: weight, bias, alpha, add.
int64_t ParameterBytes(const Graph& graph, const Node& node);

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_LAYERS_H_
