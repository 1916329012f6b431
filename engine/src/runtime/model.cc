#include "bqengine/model.h"

#include <utility>

#include "border.h"
#include "format/reader.h"
#include "graph/graph_analysis.h"
#include "graph/limits.h"
#include "passes/passes.h"
#include "runtime/model_impl.h"

namespace bqengine {

Result<std::shared_ptr<const Program>> Model::Impl::ProgramFor(
    const std::vector<const bqe_backend*>& backends, bool optimize) {
  // One compilation at a time: a second session of the same kind waits for the
  // first and shares its weights.
  std::lock_guard lock(mutex_);
  std::weak_ptr<const Program>& cached = programs_[{backends, optimize}];
  if (auto program = cached.lock()) return program;
  auto program = Program::Compile(graph, backends, optimize);
  if (program.ok()) cached = *program;
  return program;
}

std::shared_ptr<Model::Impl> Model::Impl::Make(
    Graph graph, const std::map<std::string, TensorInfo>& tensors) {
  auto impl = std::make_shared<Impl>();
  for (const GraphOutput& output : graph.outputs) {
    impl->outputs.push_back(tensors.at(output.name));
  }
  impl->graph = std::move(graph);
  return impl;
}

Result<Model> Model::Load(const std::string& path,
                          const ModelOptions& options) {
  return AtBorder(path, [&]() -> Result<Model> {
    auto model = ReadModelFile(path, Weights::kRequired, options);
    if (!model.ok()) return model.status();
    return Model(Impl::Make(std::move(model->graph), model->tensors));
  });
}

Result<Model> Model::LoadFromMemory(std::string_view json,
                                    std::span<const std::byte> weights,
                                    const ModelOptions& options) {
  return AtBorder("model in memory", [&]() -> Result<Model> {
    auto model = ReadModelMemory(json, weights, options);
    if (!model.ok()) return model.status();
    return Model(Impl::Make(std::move(model->graph), model->tensors));
  });
}

Result<Model> Model::FromGraph(Graph graph, const ModelOptions& options) {
  return AtBorder([&]() -> Result<Model> {
    auto checked = CheckGraph(graph);
    if (!checked.ok()) return checked.status();
    if (Status s = CheckConstantData(graph, Data::kRequired); !s.ok()) return s;
    const auto tensors = std::move(checked->tensors);
    if (Status s = CheckLimits(graph, tensors, options); !s.ok()) return s;
    return Model(Impl::Make(std::move(graph), tensors));
  });
}

const Graph& Model::graph() const { return impl_->graph; }
size_t Model::num_inputs() const { return impl_->graph.inputs.size(); }
size_t Model::num_outputs() const { return impl_->outputs.size(); }
const std::string& Model::input_name(size_t i) const {
  return impl_->graph.inputs[i].name;
}
const std::string& Model::output_name(size_t i) const {
  return impl_->graph.outputs[i].name;
}
const TensorInfo& Model::input(size_t i) const {
  return impl_->graph.inputs[i].info;
}
const TensorInfo& Model::output(size_t i) const { return impl_->outputs[i]; }

Result<Graph> OptimizeGraph(const Graph& graph) {
  return AtBorder([&]() -> Result<Graph> {
    if (Status s = CheckConstantData(graph, Data::kOptional); !s.ok()) return s;
    Graph optimized = graph;
    if (Status s = RunPasses(optimized); !s.ok()) return s;
    return optimized;
  });
}

Result<Graph> SettleGraph(const Graph& graph) {
  return AtBorder([&]() -> Result<Graph> {
    if (Status s = CheckConstantData(graph, Data::kOptional); !s.ok()) return s;
    Graph settled = graph;
    if (Status s = SettleMeaning(settled); !s.ok()) return s;
    return settled;
  });
}

}  // namespace bqengine
