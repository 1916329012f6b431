#include "bqtrain/quantization.h"

#include <cmath>

#include "bqengine/quantize.h"

namespace bqtrain {
namespace {

using bqengine::Result;
using bqengine::Status;
using bqengine::StatusCode;

struct Method {
  const char* name;
  WeightMethod weights;
  ActivationMethod activations;
};

constexpr Method kMethods[] = {
    {"float", WeightMethod::kFloat, ActivationMethod::kFloat},
    {"binaryconnect", WeightMethod::kBinaryConnect, ActivationMethod::kFloat},
    {"binaryconnect-stochastic", WeightMethod::kStochastic,
     ActivationMethod::kFloat},
    {"bwn", WeightMethod::kBwn, ActivationMethod::kFloat},
    {"bnn", WeightMethod::kBinaryConnect, ActivationMethod::kSign},
    {"xnor", WeightMethod::kBwn, ActivationMethod::kSign},
    {"abcnet", WeightMethod::kAbcNet, ActivationMethod::kAbcNet},
    {"unipolar", WeightMethod::kUnipolar, ActivationMethod::kUnipolar},
};

template <typename E>
struct Named {
  const char* name;
  E value;
};

constexpr Named<WeightMethod> kWeights[] = {
    {"float", WeightMethod::kFloat},
    {"binaryconnect", WeightMethod::kBinaryConnect},
    {"binaryconnect-stochastic", WeightMethod::kStochastic},
    {"bwn", WeightMethod::kBwn},
    {"abcnet", WeightMethod::kAbcNet},
    {"unipolar", WeightMethod::kUnipolar},
};

constexpr Named<ActivationMethod> kActivations[] = {
    {"float", ActivationMethod::kFloat},
    {"sign", ActivationMethod::kSign},
    {"abcnet", ActivationMethod::kAbcNet},
    {"unipolar", ActivationMethod::kUnipolar},
};

template <typename Table>
auto Find(const Table& table, std::string_view name, const char* what)
    -> Result<std::decay_t<decltype(table[0])>> {
  std::string names;
  for (const auto& entry : table) {
    if (entry.name == name) return entry;
    names += (names.empty() ? "" : ", ") + std::string(entry.name);
  }
  return Status(StatusCode::kInvalidArgument, "unknown " + std::string(what) +
                                                  " '" + std::string(name) +
                                                  "': there are " + names);
}

Status CheckBases(int64_t bases, bool several, const char* what) {
  if (bases < 1 || bases > bqengine::quantize::kMaxBases) {
    return Status(StatusCode::kInvalidArgument,
                  std::string(what) + " must be 1 to " +
                      std::to_string(bqengine::quantize::kMaxBases) + ", not " +
                      std::to_string(bases));
  }
  if (bases > 1 && !several) {
    return Status(StatusCode::kInvalidArgument,
                  std::string(what) + " above 1 are for abcnet only");
  }
  return Status();
}

}  // namespace

Result<Quantization> QuantizationOf(std::string_view method) {
  const auto found = Find(kMethods, method, "method");
  if (!found.ok()) return found.status();
  return Quantization{.weights = found->weights,
                      .activations = found->activations};
}

const std::vector<std::string>& MethodNames() {
  static const auto* const names = [] {
    auto* list = new std::vector<std::string>;
    for (const Method& method : kMethods) list->push_back(method.name);
    return list;
  }();
  return *names;
}

Result<WeightMethod> WeightMethodOf(std::string_view name) {
  const auto found = Find(kWeights, name, "method for weights");
  if (!found.ok()) return found.status();
  return found->value;
}

Result<ActivationMethod> ActivationMethodOf(std::string_view name) {
  const auto found = Find(kActivations, name, "method for activations");
  if (!found.ok()) return found.status();
  return found->value;
}

const char* Name(WeightMethod method) {
  return kWeights[static_cast<size_t>(method)].name;
}

const char* Name(ActivationMethod method) {
  return kActivations[static_cast<size_t>(method)].name;
}

Status Check(const Quantization& q) {
  if (const Status s = CheckBases(
          q.weight_bases, q.weights == WeightMethod::kAbcNet, "weight bases");
      !s.ok()) {
    return s;
  }
  if (const Status s = CheckBases(q.activation_bases,
                                  q.activations == ActivationMethod::kAbcNet,
                                  "activation bases");
      !s.ok()) {
    return s;
  }
  if (!std::isfinite(q.threshold)) {
    return Status(StatusCode::kInvalidArgument, "the threshold is not finite");
  }
  if (q.weights == WeightMethod::kFloat &&
      q.activations != ActivationMethod::kFloat) {
    return Status(StatusCode::kInvalidArgument,
                  "binary activations need binary weights");
  }
  if (q.weights == WeightMethod::kUnipolar &&
      q.activations == ActivationMethod::kAbcNet) {
    return Status(StatusCode::kInvalidArgument,
                  "abcnet activations do not go with unipolar weights");
  }
  return Status();
}

}  // namespace bqtrain
