// Facts about a graph that several parts need.
#ifndef ENGINE_SRC_GRAPH_GRAPH_ANALYSIS_H_
#define ENGINE_SRC_GRAPH_GRAPH_ANALYSIS_H_

#include <map>
#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "graph/op_schema.h"

namespace bqengine {

// Of a tensor; BQE_MAX_RANK of the backend interface.
inline constexpr size_t kMostDims = 8;

// A graph after all checks.
struct CheckedGraph {
  std::vector<size_t> order;  // positions in Graph::nodes, producers first
  std::map<std::string, TensorInfo> tensors;  // inputs and all activations
  std::vector<NodeContext> nodes;             // in `order`
};

// Checks everything but the values of constants; see InferShapes. What has data
// has as much as its shape says. The result refers to `graph`.
Result<CheckedGraph> CheckGraph(const Graph& graph);

// What is wrong with a constant's data: there is none, or it has another size
// than its shape says, a NaN, or bits beyond a row's end. Empty if nothing is.
std::string DataProblem(const Constant& constant);

// Whether constants must have data, or may be those of an architecture.
enum class Data { kRequired, kOptional };

// The problems above, of all constants.
Status CheckConstantData(const Graph& graph, Data data);

}  // namespace bqengine

#endif  // ENGINE_SRC_GRAPH_GRAPH_ANALYSIS_H_
