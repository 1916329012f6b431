#include "quantize/probe.h"

#include <algorithm>
#include <set>
#include <utility>

#include "bqengine/model.h"
#include "quantize/edit.h"
#include "run/options.h"
#include "run/runner.h"

namespace bqengine::ptq {
namespace {

// A batch large enough to keep the machine busy and small enough that all that
// is between input and output fits into this many bytes.
constexpr int64_t kBatchBytes = int64_t{1} << 26;
constexpr int64_t kMaxBatch = 32;

Result<int64_t> ChooseBatch(const Graph& graph) {
  const auto tensors = InferShapes(graph);
  if (!tensors.ok()) return tensors.status();
  int64_t item = 1;
  for (const auto& [name, info] : *tensors) {
    const auto bytes = ByteCount(info);
    if (!bytes.ok()) return bytes.status();
    item += std::min(*bytes, kBatchBytes);
  }
  return std::clamp<int64_t>(kBatchBytes / item, 1, kMaxBatch);
}

// An output is made by a node; of a graph's input a Clip without bounds makes
// one that has the same values.
void SetOutputs(Graph* graph, const std::vector<std::string>& tensors) {
  std::set<std::string> node_names = NodeNames(*graph);
  std::set<std::string> tensor_names = TensorNames(*graph);
  graph->outputs.clear();
  for (const std::string& tensor : tensors) {
    const bool is_input = std::any_of(
        graph->inputs.begin(), graph->inputs.end(),
        [&tensor](const GraphInput& input) { return input.name == tensor; });
    if (!is_input) {
      graph->outputs.push_back({.name = tensor});
      continue;
    }
    Node copy;
    copy.name = NewName("copy", &node_names);
    copy.op = "Clip";
    copy.inputs = {tensor};
    copy.outputs = {NewName("copy", &tensor_names)};
    graph->outputs.push_back({.name = copy.outputs[0]});
    graph->nodes.push_back(std::move(copy));
  }
}

}  // namespace

Twins::Twins(const Graph& first, const Graph& second) : graph_(first) {
  std::set<std::string> node_names = NodeNames(first);
  std::set<std::string> tensor_names = TensorNames(first);
  for (const GraphInput& input : first.inputs) {
    second_[input.name] = input.name;
  }
  for (const Node& node : second.nodes) {
    for (const std::string& tensor : node.outputs) {
      second_[tensor] = NewName("twin", &tensor_names);
    }
  }
  std::map<std::string, std::string> constants;
  std::set<std::string> constant_names;
  for (const auto& [name, value] : first.constants) constant_names.insert(name);
  for (const auto& [name, value] : second.constants) {
    constants[name] = NewName("twin", &constant_names);
    graph_.constants[constants[name]] = value;
  }
  for (Node node : second.nodes) {
    node.name = NewName("twin", &node_names);
    for (std::string& tensor : node.inputs) tensor = Second(tensor);
    for (std::string& tensor : node.outputs) tensor = Second(tensor);
    for (auto& [role, name] : node.constants) name = constants.at(name);
    graph_.nodes.push_back(std::move(node));
  }
}

Status Probe(Graph graph, const std::vector<std::string>& tensors,
             const Images& images, const ProbeOptions& options,
             const Advance& advance,
             const std::function<Status(const Batch&)>& visit) {
  SetOutputs(&graph, tensors);
  // What no probed tensor needs costs neither memory nor time.
  auto needed = OptimizeGraph(graph);
  if (!needed.ok()) return needed.status();
  const auto max_batch = ChooseBatch(*needed);
  if (!max_batch.ok()) return max_batch.status();
  const auto model = Model::FromGraph(*std::move(needed), options.limits.model);
  if (!model.ok()) return model.status();
  run::Options run_options;
  run_options.threads = options.threads;
  run_options.limits = options.limits;
  auto runner = run::Runner::Create(*model, run_options, *max_batch);
  if (!runner.ok()) return runner.status();

  for (int64_t first = 0; first < images.count; first += *max_batch) {
    const int64_t batch = std::min(*max_batch, images.count - first);
    if (Status s = runner->Run(first, batch, images.values); !s.ok()) return s;
    Batch values;
    for (size_t i = 0; i < tensors.size(); ++i) {
      values.push_back(runner->output(i));
    }
    if (Status s = visit(values); !s.ok()) return s;
    advance(batch);
  }
  return Status();
}

}  // namespace bqengine::ptq
