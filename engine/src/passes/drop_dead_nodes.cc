#include <map>
#include <set>
#include <utility>

#include "passes/passes.h"

namespace bqengine {

void DropDeadNodes(Graph& graph) {
  std::map<std::string, size_t> producer;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const std::string& name : graph.nodes[i].outputs) producer[name] = i;
  }
  std::vector<bool> alive(graph.nodes.size(), false);
  std::vector<std::string> wanted;
  for (const GraphOutput& output : graph.outputs) wanted.push_back(output.name);
  std::set<std::string> constants;
  while (!wanted.empty()) {
    const auto found = producer.find(wanted.back());
    wanted.pop_back();
    if (found == producer.end() || alive[found->second]) continue;
    alive[found->second] = true;
    const Node& node = graph.nodes[found->second];
    wanted.insert(wanted.end(), node.inputs.begin(), node.inputs.end());
    for (const auto& [role, name] : node.constants) constants.insert(name);
  }
  std::vector<Node> kept;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (alive[i]) kept.push_back(std::move(graph.nodes[i]));
  }
  graph.nodes = std::move(kept);
  std::erase_if(graph.constants, [&](const auto& entry) {
    return !constants.contains(entry.first);
  });
}

}  // namespace bqengine
