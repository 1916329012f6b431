#include "train/architecture/width.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/graph_order.h"

namespace bqengine::train {
namespace {

// Beyond what a dimension may be, so that InferShapes refuses it.
constexpr double kMostChannels = 4e9;

int64_t Group(const Node& node) {
  const auto group = node.attributes.find("group");
  return group == node.attributes.end() ? 1 : std::get<int64_t>(group->second);
}

bool IsProduct(const Node& node) {
  return node.op == "Conv" || node.op == "Gemm";
}

// A product whose output channels depend on one input channel each.
bool IsDepthwise(const Graph& graph, const Node& node) {
  return IsProduct(node) && Group(node) > 1 &&
         graph.constants.at(node.constants.at("weight")).shape().back() == 1;
}

// Tensors that become an output of the graph channel by channel: with no
// product on the way but depthwise ones.
std::set<std::string> TensorsOfOutputs(const Graph& graph,
                                       const std::vector<size_t>& order) {
  std::set<std::string> tensors;
  for (const GraphOutput& output : graph.outputs) tensors.insert(output.name);
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    const Node& node = graph.nodes[*i];
    if (IsProduct(node) && !IsDepthwise(graph, node)) continue;
    if (std::any_of(node.outputs.begin(), node.outputs.end(),
                    [&](const auto& name) { return tensors.contains(name); })) {
      tensors.insert(node.inputs.begin(), node.inputs.end());
    }
  }
  return tensors;
}

// What InferShapes says of a single node behind inputs of these types.
Result<std::map<std::string, TensorInfo>> InferNode(
    const Graph& graph, const Node& node,
    const std::map<std::string, TensorInfo>& tensors) {
  Graph single;
  for (const std::string& name :
       std::set<std::string>(node.inputs.begin(), node.inputs.end())) {
    single.inputs.push_back({.name = name, .info = tensors.at(name)});
  }
  for (const std::string& name : node.outputs) {
    single.outputs.push_back({.name = name});
  }
  for (const auto& [role, name] : node.constants) {
    single.constants[name] = graph.constants.at(name);
  }
  single.nodes.push_back(node);
  single.nodes[0].training.clear();
  return InferShapes(single);
}

// An architecture while its channels change, node by node.
class Scaler {
 public:
  Scaler(const Graph& architecture,
         const std::map<std::string, TensorInfo>& tensors, double factor)
      : old_(architecture),
        old_tensors_(tensors),
        factor_(factor),
        graph_(architecture) {}

  Result<Graph> Run() {
    for (const GraphInput& input : graph_.inputs) {
      tensors_[input.name] = input.info;
    }
    const std::vector<size_t> order = tools::ExecutionOrder(old_);
    const std::set<std::string> fixed = TensorsOfOutputs(old_, order);
    for (size_t i : order) {
      const Node& node = old_.nodes[i];
      const Status scaled =
          IsDepthwise(old_, node) ? ScaleDepthwise(i)
          : IsProduct(node) ? ScaleProduct(i, fixed.contains(node.outputs[0]))
                            : ScalePerChannel(i);
      if (!scaled.ok()) return scaled;
      auto inferred = InferNode(graph_, graph_.nodes[i], tensors_);
      if (!inferred.ok()) break;  // said below with the place in the graph
      tensors_.merge(*inferred);
    }
    if (auto all = InferShapes(graph_); !all.ok()) return all.status();
    return std::move(graph_);
  }

 private:
  int64_t OldChannels(const Node& node) const {
    return old_tensors_.at(node.inputs[0]).shape.back();
  }
  int64_t Channels(const Node& node) const {
    return tensors_.at(node.inputs[0]).shape.back();
  }

  Status ScaleProduct(size_t index, bool keep_outputs) {
    const Node& node = old_.nodes[index];
    Shape weight = old_.constants.at(node.constants.at("weight")).shape();
    if (!keep_outputs) {
      const double scaled =
          std::round(static_cast<double>(weight.front()) * factor_);
      weight.front() =
          static_cast<int64_t>(std::clamp(scaled, 1.0, kMostChannels));
    }
    // At least 1: a group that does not fit is for InferShapes to explain.
    weight.back() = std::max<int64_t>(1, Channels(node) / Group(node));
    return SetProduct(index, weight);
  }

  Status ScaleDepthwise(size_t index) {
    const Node& node = old_.nodes[index];
    Shape weight = old_.constants.at(node.constants.at("weight")).shape();
    weight.front() = weight.front() / OldChannels(node) * Channels(node);
    graph_.nodes[index].attributes["group"] = Channels(node);
    return SetProduct(index, weight);
  }

  Status SetProduct(size_t index, const Shape& weight) {
    if (old_.nodes[index].constants.contains("bias")) {
      if (Status s = SetShape(index, "bias", {weight.front()}); !s.ok()) {
        return s;
      }
    }
    return SetShape(index, "weight", weight);
  }

  Status ScalePerChannel(size_t index) {
    const Node& node = old_.nodes[index];
    for (const auto& [role, name] : node.constants) {
      if (old_.constants.at(name).shape() != Shape{OldChannels(node)}) continue;
      if (Status s = SetShape(index, role, {Channels(node)}); !s.ok()) {
        return s;
      }
    }
    return Status();
  }

  Status SetShape(size_t index, const std::string& role, const Shape& shape) {
    const Node& node = old_.nodes[index];
    const std::string& name = node.constants.at(role);
    const Constant& old = old_.constants.at(name);
    if (old.data() == nullptr) {
      graph_.constants[name] = Constant::Declare({old.type(), shape});
    } else if (old.shape() != shape) {
      return Status(StatusCode::kInvalidModel,
                    "node '" + node.name + "' (/nodes/" +
                        std::to_string(index) + "/constants/" + role +
                        "): has values, which fit no other width");
    }
    return Status();
  }

  const Graph& old_;
  const std::map<std::string, TensorInfo>& old_tensors_;
  double factor_;
  Graph graph_;                                // as it becomes
  std::map<std::string, TensorInfo> tensors_;  // of graph_, as far as it is
};

}  // namespace

Result<Graph> ScaleWidth(const Graph& architecture, double factor) {
  if (!std::isfinite(factor) || factor <= 0) {
    return Status(StatusCode::kInvalidArgument,
                  "a width must be a number above 0");
  }
  auto tensors = InferShapes(architecture);
  if (!tensors.ok()) return tensors.status();
  return Scaler(architecture, *tensors, factor).Run();
}

}  // namespace bqengine::train
