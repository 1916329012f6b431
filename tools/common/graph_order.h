// The order in which a graph's nodes can run.
#ifndef BQENGINE_TOOLS_COMMON_GRAPH_ORDER_H_
#define BQENGINE_TOOLS_COMMON_GRAPH_ORDER_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "bqengine/graph.h"

namespace bqengine::tools {

// By tensor, the place of the node that makes it; inputs of the graph have
// none.
std::map<std::string, size_t> Producers(const Graph& graph);

// Places of the nodes, each after those that it needs. The graph has been
// checked (InferShapes): it has no cycle.
std::vector<size_t> ExecutionOrder(const Graph& graph);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_GRAPH_ORDER_H_
