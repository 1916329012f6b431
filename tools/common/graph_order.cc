#include "common/graph_order.h"

namespace bqengine::tools {

std::map<std::string, size_t> Producers(const Graph& graph) {
  std::map<std::string, size_t> producers;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const std::string& tensor : graph.nodes[i].outputs) {
      producers[tensor] = i;
    }
  }
  return producers;
}

std::vector<size_t> ExecutionOrder(const Graph& graph) {
  const std::map<std::string, size_t> producers = Producers(graph);
  std::vector<size_t> order, open(graph.nodes.size());
  std::vector<std::vector<size_t>> consumers(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const std::string& input : graph.nodes[i].inputs) {
      const auto producer = producers.find(input);
      if (producer == producers.end()) continue;
      consumers[producer->second].push_back(i);
      ++open[i];
    }
  }
  for (size_t i = 0; i < open.size(); ++i) {
    if (open[i] == 0) order.push_back(i);
  }
  for (size_t done = 0; done < order.size(); ++done) {
    for (const size_t consumer : consumers[order[done]]) {
      if (--open[consumer] == 0) order.push_back(consumer);
    }
  }
  return order;
}

}  // namespace bqengine::tools
