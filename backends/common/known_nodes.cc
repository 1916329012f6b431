#include "known_nodes.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "post_ops.h"
#include "post_steps.h"

namespace bqengine::backends {
namespace {

using backend::NodeView;
using backend::TensorView;
using Names = std::vector<std::string_view>;

struct KnownOp {
  std::string_view name;
  Names attributes;
  Names roles;
  size_t max_inputs = 1;
  bool integers = false;  // as inputs
  size_t max_outputs = 1;
};

constexpr size_t kAnyNumber = SIZE_MAX;
constexpr bool kIntegers = true;

Names operator+(Names a, const Names& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<KnownOp> MakeKnownOps() {
  const Names window = {"kernel_shape", "strides", "pads"};
  const Names conv = window + Names{"dilations", "group"};
  const Names max_pool = window + Names{"dilations", "ceil_mode"};
  const Names binary_weight = {"weight", "alpha", "mul", "add"};
  const Names binary = binary_weight + Names{"beta", "threshold"} +
                       Names(std::begin(kPostRoles), std::end(kPostRoles));
  return {
      {"Add", {}, {"value"}, 2},
      {"AveragePool", window + Names{"ceil_mode", "count_include_pad"}, {}},
      {"BatchNormalization", {"epsilon"}, {"scale", "bias", "mean", "var"}},
      {"Binarize", {"encoding"}, {"threshold"}, 1, kIntegers},
      {"BinaryConv", conv + Names{"pad_value", "output_type", "post"}, binary,
       kAnyNumber, false, 2},
      {"BinaryGemm", {"output_type", "post"}, binary, kAnyNumber, false, 2},
      {"BinaryMaxPool", max_pool, {}},
      {"BinaryWeightConv", conv, binary_weight, 1, kIntegers},
      {"BinaryWeightGemm", {}, binary_weight, 1, kIntegers},
      {"Clip", {"min", "max"}, {}},
      {"Concat", {"axis"}, {}, kAnyNumber, kIntegers},
      {"Conv", conv, {"weight", "bias"}},
      {"Flatten", {"axis"}, {}, 1, kIntegers},
      {"Floor", {}, {}},
      {"Gemm", {}, {"weight", "bias"}},
      {"GlobalAveragePool", {}, {}},
      {"MaxPool", max_pool, {}},
      {"Mul", {}, {"value"}, 2},
      {"PRelu", {}, {"slope"}},
      {"Pad", {"pads", "value"}, {}},
      {"Relu", {}, {}},
      {"Reshape", {"shape"}, {}, 1, kIntegers},
      {"Softmax", {"axis"}, {}},
      {"Transpose", {"perm"}, {}, 1, kIntegers},
  };
}

// Every op here counts on an innermost dimension that is not the batch.
bool IsKnownTensor(const TensorView& tensor, bool integers) {
  return (tensor.type() == BQE_FLOAT32 || tensor.is_bits() ||
          (integers && tensor.is_integer())) &&
         tensor.rank() >= 2 && tensor.rank() <= BQE_MAX_RANK;
}

}  // namespace

bool IsKnownNode(const NodeView& node) {
  // Never destroyed: nodes may be compiled while statics are torn down.
  static const auto* const known_ops = new std::vector<KnownOp>(MakeKnownOps());
  const KnownOp* op = nullptr;
  for (const KnownOp& known : *known_ops) {
    if (node.op() == known.name) op = &known;
  }
  if (op == nullptr || node.num_inputs() > op->max_inputs ||
      node.num_outputs() < 1 || node.num_outputs() > op->max_outputs ||
      !node.HasOnly(op->attributes, op->roles)) {
    return false;
  }
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    if (!IsKnownTensor(node.input(i), op->integers)) return false;
  }
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    if (!IsKnownTensor(node.output(i), op->integers)) return false;
  }
  // The name of a step is as good as the name of an attribute.
  if (op->max_outputs == 1) return true;
  const auto steps = SplitPost(node.String("post", ""));
  return steps.size() <= kMostPostSteps &&
         std::all_of(steps.begin(), steps.end(),
                     [](std::string_view step) { return FindPostOp(step); });
}

}  // namespace bqengine::backends
