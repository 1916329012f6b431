#include "quantize/layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "common/graph_order.h"
#include "common/terminal.h"

namespace bqengine::ptq {
namespace {

constexpr int64_t kMaxTaps = int64_t{1} << 24;  // engine/README.md, BinaryConv

bool IsFloatProduct(const Node& node) {
  return node.op == "Conv" || node.op == "Gemm";
}

bool IsProduct(const Node& node) {
  static const std::set<std::string> kBinary = {
      "BinaryConv", "BinaryGemm", "BinaryWeightConv", "BinaryWeightGemm"};
  return IsFloatProduct(node) || kBinary.contains(node.op);
}

// Nodes that need no other product, and those that no other product needs.
struct Ends {
  std::vector<bool> first, last;
};

Ends FindEnds(const Graph& graph) {
  const size_t count = graph.nodes.size();
  const std::vector<size_t> order = tools::ExecutionOrder(graph);
  const std::map<std::string, size_t> producers = tools::Producers(graph);
  std::vector<bool> products(count);
  for (size_t i = 0; i < count; ++i) products[i] = IsProduct(graph.nodes[i]);
  Ends ends = {NeedsAny(graph, order, products), std::vector<bool>(count)};
  ends.first.flip();
  std::vector<bool> feeds_product(count);
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    ends.last[*i] = !feeds_product[*i];
    if (!products[*i] && !feeds_product[*i]) continue;
    for (const std::string& input : graph.nodes[*i].inputs) {
      const auto producer = producers.find(input);
      if (producer != producers.end()) feeds_product[producer->second] = true;
    }
  }
  return ends;
}

bool Names(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Why the layer would be no smaller, or could not be binary; or empty.
std::string ShapeReason(const Constant& weight, int64_t bases) {
  const Shape& shape = weight.shape();
  const int64_t rows = *ElementCount(shape) / shape.back();
  const int64_t bits = bases * rows * ((shape.back() + 63) / 64) * 8;
  if (bits < static_cast<int64_t>(weight.bytes())) return "";
  return fmt::format("its bits take {}, its floats {}",
                     tools::FormatBytes(bits),
                     tools::FormatBytes(static_cast<int64_t>(weight.bytes())));
}

std::string FloatReason(const Graph& graph, size_t i, const Ends& ends,
                        const Selection& selection, int64_t bases) {
  const Node& node = graph.nodes[i];
  const Constant& weight = graph.constants.at(node.constants.at("weight"));
  const int64_t taps = *ElementCount(weight.shape()) / weight.shape()[0];
  if (taps > kMaxTaps) return "more than 2^24 weights meet one output";
  if (!selection.layers.empty()) {
    return Names(selection.layers, node.name) ? "" : "not in --layers";
  }
  if (Names(selection.skip, node.name)) return "named by --skip";
  if (!selection.first_and_last) {
    if (ends.first[i]) return "first layer";
    if (ends.last[i]) return "last layer";
  }
  return ShapeReason(weight, bases);
}

Status CheckNames(const Graph& graph, const std::vector<std::string>& names,
                  const std::string& option) {
  std::vector<std::string> known;
  for (const Node& node : graph.nodes) {
    if (IsFloatProduct(node)) known.push_back(node.name);
  }
  for (const std::string& name : names) {
    if (Names(known, name)) continue;
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("{} {}: no Conv or Gemm has this name; there is "
                              "{}",
                              option, name, fmt::join(known, ", ")));
  }
  return Status();
}

}  // namespace

std::vector<bool> NeedsAny(const Graph& graph, const std::vector<size_t>& order,
                           const std::vector<bool>& marked) {
  const std::map<std::string, size_t> producers = tools::Producers(graph);
  std::vector<bool> needs(graph.nodes.size());
  for (const size_t i : order) {
    for (const std::string& input : graph.nodes[i].inputs) {
      const auto producer = producers.find(input);
      if (producer == producers.end()) continue;
      if (marked[producer->second] || needs[producer->second]) needs[i] = true;
    }
  }
  return needs;
}

Result<std::vector<Layer>> ChooseLayers(const Graph& graph,
                                        const Selection& selection,
                                        int64_t bases) {
  if (Status s = CheckNames(graph, selection.layers, "--layers"); !s.ok()) {
    return s;
  }
  if (Status s = CheckNames(graph, selection.skip, "--skip"); !s.ok()) return s;
  const Ends ends = FindEnds(graph);
  std::vector<Layer> layers;
  std::vector<std::string> reasons;
  for (const size_t i : tools::ExecutionOrder(graph)) {
    if (!IsFloatProduct(graph.nodes[i])) continue;
    layers.push_back({i, FloatReason(graph, i, ends, selection, bases)});
    reasons.push_back(graph.nodes[i].name + ": " + layers.back().float_reason);
  }
  const bool any = std::any_of(
      layers.begin(), layers.end(),
      [](const Layer& layer) { return layer.float_reason.empty(); });
  if (any) return layers;
  return Status(StatusCode::kInvalidArgument,
                layers.empty() ? "has no Conv or Gemm with float weights"
                               : fmt::format("no layer would be quantized ({})",
                                             fmt::join(reasons, "; ")));
}

int64_t ParameterBytes(const Graph& graph, const Node& node) {
  int64_t bytes = 0;
  for (const auto& [role, name] : node.constants) {
    bytes += static_cast<int64_t>(graph.constants.at(name).bytes());
  }
  return bytes;
}

}  // namespace bqengine::ptq
