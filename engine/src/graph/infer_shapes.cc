#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "border.h"
#include "graph/graph_analysis.h"
#include "graph/packed.h"

namespace bqengine {
namespace {

constexpr int64_t kLargestDim = std::numeric_limits<int32_t>::max();

Status Error(const std::string& path, const std::string& message) {
  return Status(StatusCode::kInvalidModel, path + ": " + message);
}

std::string NodePath(const Graph& graph, size_t index, const std::string& sub) {
  return "node '" + graph.nodes[index].name + "' (/nodes/" +
         std::to_string(index) + sub + ")";
}

// A '/' in a name is '~1' in a JSON pointer, a '~' is '~0'.
std::string ConstantPath(const std::string& name) {
  std::string escaped;
  for (char c : name) {
    escaped += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  }
  return "/constants/" + escaped;
}

Status CheckShape(const std::string& path, const TensorInfo& info,
                  bool is_activation) {
  const Shape& shape = info.shape;
  if (!IsDataType(info.type)) {
    return Error(path, "type " + std::to_string(static_cast<int>(info.type)) +
                           " is none");
  }
  if (shape.empty() || shape.size() > kMostDims) {
    return Error(path, "a tensor has 1 to 8 dimensions, not " +
                           std::to_string(shape.size()));
  }
  if (is_activation && (shape.size() < 2 || shape[0] != kBatch)) {
    return Error(path, "must have the batch first and one more dimension");
  }
  for (size_t i = is_activation ? 1 : 0; i < shape.size(); ++i) {
    if (shape[i] < 1 || shape[i] > kLargestDim) {
      return Error(path, "dimension " + std::to_string(shape[i]) +
                             " is not in [1, " + std::to_string(kLargestDim) +
                             "]");
    }
  }
  // A packed tensor may have more elements than bytes can count.
  if (auto count = ElementCount(shape); !count.ok()) {
    return Status(count.status().code(),
                  path + ": " + count.status().message());
  }
  if (auto bytes = ByteCount(info); !bytes.ok()) {
    return Status(bytes.status().code(),
                  path + ": " + bytes.status().message());
  }
  return Status();
}

// Else reading the data by its shape would leave it.
std::string SizeProblem(const Constant& constant) {
  for (int64_t dim : constant.shape()) {  // a batch would count as 1
    if (dim < 1) return "has a dimension of " + std::to_string(dim);
  }
  auto bytes = ByteCount(constant.info());
  if (!bytes.ok()) return bytes.status().message();
  if (static_cast<uint64_t>(*bytes) != constant.bytes()) {
    return "has " + std::to_string(constant.bytes()) +
           " bytes, but its shape needs " + std::to_string(*bytes);
  }
  if (reinterpret_cast<uintptr_t>(constant.data()) % sizeof(uint64_t) != 0) {
    return "is not aligned to 8 bytes";
  }
  return "";
}

class Checker {
 public:
  explicit Checker(const Graph& graph) : graph_(graph) {}

  Result<CheckedGraph> Run() {
    if (Status s = CheckInputs(); !s.ok()) return s;
    if (Status s = CheckConstants(); !s.ok()) return s;
    if (Status s = CheckTraining(); !s.ok()) return s;
    if (Status s = IndexNodes(); !s.ok()) return s;
    if (Status s = InferInOrder(); !s.ok()) return s;
    if (Status s = CheckOutputs(); !s.ok()) return s;
    return std::move(result_);
  }

 private:
  Status CheckInputs() {
    if (graph_.inputs.empty()) return Error("/inputs", "there is no input");
    for (size_t i = 0; i < graph_.inputs.size(); ++i) {
      const GraphInput& input = graph_.inputs[i];
      const std::string path = "/inputs/" + std::to_string(i);
      if (Status s = CheckName(path + "/name", input.name); !s.ok()) return s;
      if (Status s = CheckShape(path + "/shape", input.info, true); !s.ok()) {
        return s;
      }
      if (Status s = CheckPreprocess(path + "/preprocess", input); !s.ok()) {
        return s;
      }
      result_.tensors[input.name] = input.info;
    }
    return Status();
  }

  static Status CheckPreprocess(const std::string& path,
                                const GraphInput& input) {
    const Preprocess& preprocess = input.preprocess;
    const size_t channels = static_cast<size_t>(input.info.shape.back());
    for (const auto& [name, values] : {std::pair("/mean", &preprocess.mean),
                                       std::pair("/std", &preprocess.std)}) {
      if (values->size() != 1 && values->size() != channels) {
        return Error(path + name, "must have 1 entry, or one per channel");
      }
      for (float value : *values) {
        if (!std::isfinite(value)) return Error(path + name, "is not finite");
      }
    }
    for (float value : preprocess.std) {
      if (value == 0.0f) return Error(path + "/std", "is zero");
    }
    if (!std::isfinite(preprocess.scale)) {
      return Error(path + "/scale", "is not finite");
    }
    if (input.info.type != DataType::kFloat32 && preprocess != Preprocess()) {
      return Error(path, std::string("only a float32 input has one, not ") +
                             DataTypeName(input.info.type));
    }
    return Status();
  }

  Status CheckConstants() {
    for (const auto& [name, constant] : graph_.constants) {
      if (constant.lost()) {
        return Status(StatusCode::kOutOfMemory,
                      ConstantPath(name) + ": there was no memory for it");
      }
      if (IsInteger(constant.type())) {
        return Error(ConstantPath(name) + "/type",
                     std::string(DataTypeName(constant.type())) +
                         " is a type of inputs, not of constants");
      }
      if (Status s = CheckShape(ConstantPath(name), constant.info(), false);
          !s.ok()) {
        return s;
      }
      if (constant.data() == nullptr) continue;
      if (const std::string problem = SizeProblem(constant); !problem.empty()) {
        return Error(ConstantPath(name), problem);
      }
    }
    return Status();
  }

  // What is to be trained lacks values: nothing else says how.
  Status CheckTraining() {
    for (const auto& [name, constant] : graph_.constants) {
      if (constant.data() == nullptr) return Status();
    }
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (!graph_.nodes[i].training.empty()) {
        return Error(NodePath(graph_, i, "/training"),
                     "only an architecture has this, where constants have "
                     "yet to get their data");
      }
    }
    return Status();
  }

  // Tensor names are unique among inputs and outputs of nodes.
  Status CheckName(const std::string& path, const std::string& name) {
    if (name.empty()) return Error(path, "a name is empty");
    if (!names_.insert(name).second) {
      return Error(path, "the tensor '" + name + "' is made twice");
    }
    return Status();
  }

  Status IndexNodes() {
    std::set<std::string> node_names;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      if (node.name.empty()) {
        return Error(NodePath(graph_, i, "/name"), "a name is empty");
      }
      if (!node_names.insert(node.name).second) {
        return Error(NodePath(graph_, i, "/name"),
                     "another node has this name");
      }
      for (size_t k = 0; k < node.outputs.size(); ++k) {
        if (Status s =
                CheckName(NodePath(graph_, i, "/outputs/" + std::to_string(k)),
                          node.outputs[k]);
            !s.ok()) {
          return s;
        }
        producer_[node.outputs[k]] = i;
      }
    }
    return Status();
  }

  // Kahn's algorithm; nodes that are ready keep the order of the file.
  Status InferInOrder() {
    const size_t count = graph_.nodes.size();
    std::vector<int64_t> missing(count, 0);
    std::vector<std::vector<size_t>> users(count);
    std::set<size_t> ready;
    for (size_t i = 0; i < count; ++i) {
      const Node& node = graph_.nodes[i];
      for (size_t k = 0; k < node.inputs.size(); ++k) {
        const std::string& name = node.inputs[k];
        if (result_.tensors.contains(name)) continue;  // a graph input
        const auto producer = producer_.find(name);
        if (producer == producer_.end()) {
          return Error(NodePath(graph_, i, "/inputs/" + std::to_string(k)),
                       "nothing makes the tensor '" + name + "'");
        }
        users[producer->second].push_back(i);
        ++missing[i];
      }
      if (missing[i] == 0) ready.insert(i);
    }
    while (!ready.empty()) {
      const size_t i = *ready.begin();
      ready.erase(ready.begin());
      if (Status s = Infer(i); !s.ok()) return s;
      for (size_t user : users[i]) {
        if (--missing[user] == 0) ready.insert(user);
      }
    }
    for (size_t i = 0; i < count; ++i) {
      if (missing[i] > 0) {
        return Error(NodePath(graph_, i, "/inputs"),
                     "the node is on a cycle, or behind one");
      }
    }
    return Status();
  }

  Status Infer(size_t index) {
    const Node& node = graph_.nodes[index];
    std::vector<TensorInfo> inputs;
    for (const std::string& name : node.inputs) {
      inputs.push_back(result_.tensors.at(name));
    }
    auto context = NodeContext::Make(graph_, index, std::move(inputs));
    if (!context.ok()) return context.status();
    auto output = context->schema().infer(*context);
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      if (k == 1) output = context->schema().infer_second(*context, *output);
      if (!output.ok()) return output.status();
      const std::string sub = "/outputs/" + std::to_string(k);
      if (Status s = CheckShape(NodePath(graph_, index, sub), *output, true);
          !s.ok()) {
        return s;
      }
      result_.tensors[node.outputs[k]] = *output;
    }
    result_.order.push_back(index);
    result_.nodes.push_back(*std::move(context));
    return Status();
  }

  Status CheckOutputs() {
    if (graph_.outputs.empty()) return Error("/outputs", "there is no output");
    std::set<std::string> seen;
    for (size_t i = 0; i < graph_.outputs.size(); ++i) {
      const std::string& name = graph_.outputs[i].name;
      const std::string path = "/outputs/" + std::to_string(i) + "/name";
      if (!producer_.contains(name)) {
        return Error(path, "no node makes the tensor '" + name + "'");
      }
      if (!seen.insert(name).second) {
        return Error(path, "'" + name + "' is an output twice");
      }
    }
    return Status();
  }

  const Graph& graph_;
  CheckedGraph result_;
  std::set<std::string> names_;
  std::map<std::string, size_t> producer_;
};

std::string NanProblem(std::span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) return "value " + std::to_string(i) + " is NaN";
  }
  return "";
}

std::string StrayBitsProblem(const Constant& constant) {
  const auto row = RowWithStrayBits(constant.words(), constant.shape().back());
  return row ? "row " + std::to_string(*row) + " has bits beyond its end" : "";
}

}  // namespace

Result<CheckedGraph> CheckGraph(const Graph& graph) {
  return Checker(graph).Run();
}

Result<std::map<std::string, TensorInfo>> InferShapes(const Graph& graph) {
  return AtBorder([&]() -> Result<std::map<std::string, TensorInfo>> {
    auto checked = CheckGraph(graph);
    if (!checked.ok()) return checked.status();
    if (Status s = CheckConstantData(graph, Data::kOptional); !s.ok()) return s;
    return std::move(checked->tensors);
  });
}

std::string DataProblem(const Constant& constant) {
  if (constant.data() == nullptr) {
    return "has no data: this is an architecture, to be trained";
  }
  std::string problem = SizeProblem(constant);
  if (!problem.empty()) return problem;
  return constant.type() == DataType::kFloat32 ? NanProblem(constant.floats())
                                               : StrayBitsProblem(constant);
}

Status CheckConstantData(const Graph& graph, Data data) {
  for (const auto& [name, constant] : graph.constants) {
    if (data == Data::kOptional && constant.data() == nullptr) continue;
    if (const std::string problem = DataProblem(constant); !problem.empty()) {
      return Error(ConstantPath(name), problem);
    }
  }
  return Status();
}

}  // namespace bqengine
