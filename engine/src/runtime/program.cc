#include "runtime/program.h"

#include <new>
#include <utility>

#include "graph/packed.h"
#include "graph/shape_rules.h"
#include "passes/op_kinds.h"
#include "passes/passes.h"
#include "runtime/backend_node.h"

namespace bqengine {
namespace {

double MacsPerItem(const NodeContext& node, const TensorInfo& output) {
  const Constant* weight = node.constant("weight");
  if (weight == nullptr) return 0;
  // Weights that meet one output, in all bases.
  double macs = static_cast<double>(*ElementCount(weight->shape())) /
                static_cast<double>(output.shape.back());
  return macs * static_cast<double>(*ElementCount(output.shape)) *
         static_cast<double>(IsBinaryProduct(node.node())
                                 ? ActivationBases(node)
                                 : node.inputs().size());
}

// Null if the backend says that it does not support the node.
Result<KernelPtr> CompileNode(const bqe_backend& backend,
                              const bqe_node& node) {
  std::string who = BackendCaller(node.name, backend);
  int32_t supported = 0;
  Status status = CallBackend(who, [&](bqe_error* /*error*/) {
    supported = backend.supports(&backend, &node);
    return BQE_OK;
  });
  if (!status.ok()) return status;
  if (supported == BQE_SUPPORTS_OUT_OF_MEMORY) throw std::bad_alloc();
  if (supported == 0) return KernelPtr();

  bqe_kernel* kernel = nullptr;
  status = CallBackend(who, [&](bqe_error* error) {
    return backend.compile(&backend, &node, &kernel, error);
  });
  if (!status.ok()) return status;
  if (kernel == nullptr || !BQE_HAS_FIELD(kernel, bqe_kernel, destroy) ||
      kernel->run == nullptr || kernel->destroy == nullptr) {
    return Status(StatusCode::kInternal, who + ": gave an incomplete kernel");
  }
  return KernelPtr(kernel, {std::move(who)});
}

}  // namespace

Result<std::shared_ptr<const Program>> Program::Compile(
    const Graph& graph, const std::vector<const bqe_backend*>& backends,
    bool optimize) {
  std::shared_ptr<Program> program(new Program(graph));
  const Status passed = optimize ? RunPasses(program->graph_)
                                 : SettleMeaning(program->graph_);
  if (!passed.ok()) return passed;
  auto checked = CheckGraph(program->graph_);
  if (!checked.ok()) return checked.status();
  program->checked_ = *std::move(checked);
  if (Status s = program->AddSteps(backends); !s.ok()) return s;
  return std::shared_ptr<const Program>(std::move(program));
}

size_t Program::AddBuffer(const std::string& tensor, Storage storage,
                          size_t position) {
  const int64_t step = storage == Storage::kGraphInput
                           ? -1
                           : static_cast<int64_t>(steps_.size());
  buffers_.push_back(
      {checked_.tensors.at(tensor), storage, position, step, step});
  buffer_of_[tensor] = buffers_.size() - 1;
  return buffers_.size() - 1;
}

size_t Program::AddOutputBuffer(const std::string& tensor) {
  for (size_t i = 0; i < graph_.outputs.size(); ++i) {
    if (graph_.outputs[i].name == tensor) {
      return AddBuffer(tensor, Storage::kGraphOutput, i);
    }
  }
  return AddBuffer(tensor, Storage::kArena, 0);
}

// Flatten and Reshape change no byte, unless packed rows would end elsewhere in
// a word. A graph output needs memory of its own.
bool Program::IsView(const NodeContext& node) const {
  const std::string& op = node.node().op;
  if (op != "Flatten" && op != "Reshape") return false;
  const std::string& output = node.node().outputs[0];
  for (const GraphOutput& graph_output : graph_.outputs) {
    if (graph_output.name == output) return false;
  }
  if (!IsBits(node.input(0).type)) return true;
  const int64_t from = node.input(0).shape.back();
  const int64_t to = checked_.tensors.at(output).shape.back();
  return from == to || (from % kWordBits == 0 && to % kWordBits == 0);
}

Status Program::AddSteps(const std::vector<const bqe_backend*>& backends) {
  for (size_t i = 0; i < graph_.inputs.size(); ++i) {
    AddBuffer(graph_.inputs[i].name, Storage::kGraphInput, i);
  }
  for (const NodeContext& node : checked_.nodes) {
    if (IsView(node)) {
      buffer_of_[node.node().outputs[0]] = buffer_of_.at(node.node().inputs[0]);
      continue;
    }
    if (Status s = AddStep(node, backends); !s.ok()) return s;
  }
  return Status();
}

Status Program::AddStep(const NodeContext& node,
                        const std::vector<const bqe_backend*>& backends) {
  const TensorInfo& output_info = checked_.tensors.at(node.node().outputs[0]);
  const BackendNode backend_node(node, checked_.tensors);
  const bqe_backend* backend = nullptr;
  Status refused(StatusCode::kUnsupported, "node '" + node.node().name +
                                               "': no backend can run this " +
                                               node.node().op);
  KernelPtr kernel;
  for (size_t i = 0; i < backends.size() && kernel == nullptr; ++i) {
    backend = backends[i];
    auto compiled = CompileNode(*backend, backend_node.get());
    if (compiled.ok()) {
      kernel = *std::move(compiled);
    } else if (compiled.status().code() == StatusCode::kUnsupported) {
      refused = compiled.status();  // the next backend may take it
    } else {
      return compiled.status();
    }
  }
  if (kernel == nullptr) return refused;

  Step step = {.node = &node,
               .backend = backend->name,
               .kernel = std::move(kernel),
               .inputs = {},
               .outputs = {},
               .output_shape = ShapeText(Shape(output_info.shape.begin() + 1,
                                               output_info.shape.end())),
               .macs_per_item = MacsPerItem(node, output_info)};
  for (const std::string& name : node.node().inputs) {
    const size_t buffer = buffer_of_.at(name);
    buffers_[buffer].last_step = static_cast<int64_t>(steps_.size());
    step.inputs.push_back(buffer);
  }
  for (const std::string& name : node.node().outputs) {
    step.outputs.push_back(AddOutputBuffer(name));
  }
  steps_.push_back(std::move(step));
  return Status();
}

}  // namespace bqengine
