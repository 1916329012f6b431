#include "graph/limits.h"

#include "graph/graph_analysis.h"
#include "graph/shape_rules.h"

namespace bqengine {
namespace {

Status CheckTensor(const std::string& place, const Shape& shape,
                   const ModelOptions& options) {
  const auto elements = ElementCount(shape);
  const auto limit = options.max_tensor_elements;
  if (elements.ok() && static_cast<uint64_t>(*elements) <= limit) {
    return Status();
  }
  return LimitExceeded(
      place + ": a tensor of " + ShapeText(shape) + " has " +
          (elements.ok() ? std::to_string(*elements) : "too many") +
          " elements",
      "max_tensor_elements", limit);
}

}  // namespace

Status LimitExceeded(const std::string& what, const char* option,
                     uint64_t limit) {
  return Status(StatusCode::kOutOfMemory,
                what + ", more than " + option + ", " + std::to_string(limit));
}

Status CheckLimits(const Graph& graph,
                   const std::map<std::string, TensorInfo>& tensors,
                   const ModelOptions& options) {
  for (const GraphInput& input : graph.inputs) {
    Status s =
        CheckTensor("input '" + input.name + "'", input.info.shape, options);
    if (!s.ok()) return s;
  }
  for (const Node& node : graph.nodes) {
    for (const std::string& name : node.outputs) {
      Status s = CheckTensor("node '" + node.name + "'", tensors.at(name).shape,
                             options);
      if (!s.ok()) return s;
    }
  }
  for (const auto& [name, constant] : graph.constants) {
    if (constant.data() != nullptr) continue;
    Status s =
        CheckTensor("constant '" + name + "'", constant.shape(), options);
    if (!s.ok()) return s;
  }
  return Status();
}

}  // namespace bqengine
