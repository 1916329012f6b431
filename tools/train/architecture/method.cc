#include "train/architecture/method.h"

#include <algorithm>
#include <set>
#include <variant>
#include <vector>

#include "common/graph_order.h"

namespace bqengine::train {
namespace {

using bqtrain::ActivationMethod;
using bqtrain::Quantization;
using bqtrain::WeightMethod;

bool IsLayer(const Node& node) {
  return node.op == "Conv" || node.op == "Gemm";
}

Status NodeError(const Graph& graph, const Node& node, const std::string& path,
                 const std::string& what) {
  return Status(StatusCode::kInvalidModel,
                "node '" + node.name + "' (/nodes/" +
                    std::to_string(&node - graph.nodes.data()) + path +
                    "): " + what);
}

// The keys of one node's `training`, each taken once.
class TrainingKeys {
 public:
  TrainingKeys(const Graph& graph, const Node& node)
      : graph_(graph), node_(node) {}

  template <typename T>
  const T* Find(const char* key) {
    const auto found = node_.training.find(key);
    if (found == node_.training.end()) return nullptr;
    known_.insert(key);
    const T* value = std::get_if<T>(&found->second);
    if (value == nullptr) Fail(key, "has the wrong type");
    return value;
  }

  // An empty key: it is the keys together that are wrong.
  void Fail(const std::string& key, const std::string& what) {
    if (!status_.ok()) return;
    status_ = NodeError(graph_, node_,
                        key.empty() ? "/training" : "/training/" + key, what);
  }

  // Integers may stand for floats in a model file.
  void FindFloat(const char* key, float* value) {
    const auto found = node_.training.find(key);
    if (found == node_.training.end()) return;
    known_.insert(key);
    if (const auto* f = std::get_if<float>(&found->second)) {
      *value = *f;
    } else if (const auto* i = std::get_if<int64_t>(&found->second)) {
      *value = static_cast<float>(*i);
    } else {
      Fail(key, "has the wrong type");
    }
  }

  // One of two words: whether it is the second.
  void FindWord(const char* key, const char* no, const char* yes, bool* value) {
    const auto* word = Find<std::string>(key);
    if (word == nullptr) return;
    if (*word != no && *word != yes) {
      Fail(key, std::string("must be \"") + no + "\" or \"" + yes + "\"");
    }
    *value = *word == yes;
  }

  Status Finish() {
    for (const auto& [key, value] : node_.training) {
      if (!known_.contains(key)) Fail(key, "bq-train knows no such key");
    }
    return status_;
  }

 private:
  const Graph& graph_;
  const Node& node_;
  std::set<std::string> known_;
  Status status_;
};

Result<Quantization> QuantizationOf(const Graph& graph, const Node& node,
                                    const Quantization& method, bool is_first,
                                    bool is_last) {
  TrainingKeys keys(graph, node);
  Quantization q = method;
  if (is_first) q.activations = ActivationMethod::kFloat;
  bool quantize = !is_first && !is_last;
  if (const auto* value = keys.Find<int64_t>("quantize")) {
    if (*value != 0 && *value != 1) keys.Fail("quantize", "must be 0 or 1");
    quantize = *value == 1;
  }
  if (!quantize) q = Quantization{};
  if (const auto* name = keys.Find<std::string>("weights")) {
    const auto weights = bqtrain::WeightMethodOf(*name);
    if (weights.ok())
      q.weights = *weights;
    else
      keys.Fail("weights", weights.status().message());
  }
  if (const auto* name = keys.Find<std::string>("activations")) {
    const auto activations = bqtrain::ActivationMethodOf(*name);
    if (activations.ok())
      q.activations = *activations;
    else
      keys.Fail("activations", activations.status().message());
  }
  // Bases of the method count only where its other half still does.
  if (q.weights != WeightMethod::kAbcNet) q.weight_bases = 1;
  if (q.activations != ActivationMethod::kAbcNet) q.activation_bases = 1;
  if (const auto* m = keys.Find<int64_t>("weight_bases")) q.weight_bases = *m;
  if (const auto* n = keys.Find<int64_t>("activation_bases")) {
    q.activation_bases = *n;
  }
  keys.FindFloat("threshold", &q.threshold);
  keys.FindWord("alpha", "mean", "trained", &q.trained_alpha);
  keys.FindWord("shifts", "fixed", "trained", &q.trained_shifts);
  if (const Status s = Check(q); !s.ok()) keys.Fail("", s.message());
  if (const Status s = keys.Finish(); !s.ok()) return s;
  return q;
}

std::vector<Node> InOrder(const Graph& graph) {
  std::vector<Node> order;
  for (const size_t i : tools::ExecutionOrder(graph)) {
    order.push_back(graph.nodes[i]);
  }
  return order;
}

// Who makes and who takes each tensor of a graph.
class Wiring {
 public:
  explicit Wiring(const Graph& graph) : maker_(tools::Producers(graph)) {
    for (const Node& node : graph.nodes) {
      for (const std::string& name : node.inputs) ++uses_[name];
    }
    for (const GraphOutput& output : graph.outputs) ++uses_[output.name];
  }
  // Index of the node that makes a tensor; -1 for an input of the graph.
  int64_t maker(const std::string& tensor) const {
    const auto found = maker_.find(tensor);
    return found == maker_.end() ? -1 : static_cast<int64_t>(found->second);
  }
  int uses(const std::string& tensor) const { return uses_.at(tensor); }

 private:
  std::map<std::string, size_t> maker_;
  std::map<std::string, int> uses_;
};

// Marks the Relu that the input `tensor` of a layer comes through, if any.
Status FindRelu(const Graph& graph, const Wiring& wiring, const Node& layer,
                std::set<std::string>* relus) {
  std::string tensor = layer.inputs[0];
  bool shared = false;
  for (int64_t i; (i = wiring.maker(tensor)) >= 0;) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    shared = shared || wiring.uses(tensor) > 1;
    if (node.op == "Relu") {
      if (shared) {
        return NodeError(graph, node, "",
                         "hides the signs of the activations of '" +
                             layer.name +
                             "', and cannot be left out, since its output "
                             "feeds other nodes too");
      }
      relus->insert(node.name);
      return Status();
    }
    if (node.op != "MaxPool" && node.op != "Flatten") return Status();
    tensor = node.inputs[0];
  }
  return Status();
}

// The nodes in order, without those in `gone`, which have one input each.
std::vector<Node> Without(const std::set<std::string>& gone,
                          std::vector<Node> order) {
  std::vector<Node> kept;
  std::map<std::string, std::string> renamed;
  for (Node& node : order) {
    for (std::string& input : node.inputs) {
      if (renamed.contains(input)) input = renamed[input];
    }
    if (gone.contains(node.name)) {
      renamed[node.outputs[0]] = node.inputs[0];
    } else {
      kept.push_back(std::move(node));
    }
  }
  return kept;
}

// Whether a layer takes an input of the graph, flattened perhaps.
bool TakesInput(const Graph& graph, const Wiring& wiring, const Node& layer) {
  std::string tensor = layer.inputs[0];
  for (int64_t i; (i = wiring.maker(tensor)) >= 0;) {
    const Node& before = graph.nodes[static_cast<size_t>(i)];
    if (before.op != "Flatten") return false;
    tensor = before.inputs[0];
  }
  return true;
}

}  // namespace

Result<Plan> ApplyMethod(Graph architecture, const Quantization& method) {
  if (const auto shapes = InferShapes(architecture); !shapes.ok()) {
    return shapes.status();
  }
  std::vector<Node> order = InOrder(architecture);
  const auto last = std::find_if(order.rbegin(), order.rend(), IsLayer);
  if (last == order.rend()) {
    return Status(StatusCode::kInvalidModel,
                  "there is no Conv and no Gemm to train");
  }
  // The nodes as the file has them, since errors tell their numbers.
  const Wiring wiring(architecture);
  std::set<std::string> relus;
  Plan plan;
  for (const Node& node : architecture.nodes) {
    if (!IsLayer(node)) {
      if (node.training.empty()) continue;
      return NodeError(architecture, node, "/training",
                       "is for Conv and Gemm, not for " + node.op);
    }
    const auto q = QuantizationOf(architecture, node, method,
                                  TakesInput(architecture, wiring, node),
                                  node.name == last->name);
    if (!q.ok()) return q.status();
    plan.layers[node.name] = *q;
    if (q->activations == ActivationMethod::kFloat) continue;
    if (const Status s = FindRelu(architecture, wiring, node, &relus);
        !s.ok()) {
      return s;
    }
  }
  plan.graph = std::move(architecture);
  plan.graph.nodes = Without(relus, std::move(order));
  for (Node& node : plan.graph.nodes) node.training.clear();
  return plan;
}

}  // namespace bqengine::train
