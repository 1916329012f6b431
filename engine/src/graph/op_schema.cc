#include "graph/op_schema.h"

#include <cmath>
#include <limits>
#include <utility>

#include "graph/shape_rules.h"
#include "post_steps.h"

namespace bqengine {
namespace {

using Ints = std::vector<int64_t>;

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<AttributeSpec> Join(std::vector<AttributeSpec> a,
                                const std::vector<AttributeSpec>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<OpSchema> MakeSchemas() {
  const std::vector<AttributeSpec> window = {{"kernel_shape", Ints{}, true},
                                             {"strides", Ints{1, 1}},
                                             {"pads", Ints{0, 0, 0, 0}}};
  const std::vector<AttributeSpec> dilations = {{"dilations", Ints{1, 1}}};
  const std::vector<AttributeSpec> conv =
      Join(Join(window, dilations), {{"group", int64_t{1}}});
  const std::vector<AttributeSpec> ceil_mode = {{"ceil_mode", int64_t{0}}};
  const std::vector<AttributeSpec> max_pool =
      Join(Join(window, dilations), ceil_mode);
  const std::vector<AttributeSpec> binary_output = {
      {"output_type", std::string("float32")},
      {"post", std::string(), /*required=*/false, /*later=*/true}};
  std::vector<ConstantSpec> binary_product = {
      {"weight", true}, {"alpha", false}, {"beta", false},
      {"mul", false},   {"add", false},   {"threshold", false}};
  for (const char* role : backends::kPostRoles) {
    binary_product.push_back({role, false});
  }
  const std::vector<ConstantSpec> binary_weight = {
      {"weight", true}, {"alpha", false}, {"mul", false}, {"add", false}};
  const std::vector<ConstantSpec> float_product = {{"weight", true},
                                                   {"bias", false}};
  const std::vector<ConstantSpec> value = {{"value", false}};

  return {
      {"Add", 1, 2, {}, value, InferElementwise},
      {"AveragePool",
       1,
       1,
       Join(Join(window, ceil_mode), {{"count_include_pad", int64_t{0}}}),
       {},
       InferPool},
      {"BatchNormalization",
       1,
       1,
       {{"epsilon", 1e-5f}},
       {{"scale", true}, {"bias", true}, {"mean", true}, {"var", true}},
       InferBatchNormalization},
      {"Binarize",
       1,
       1,
       {{"encoding", std::string("bipolar")}},
       {{"threshold", false}},
       InferBinarize},
      {"BinaryConv", 1, -1,
       Join(Join(conv, {{"pad_value", int64_t{0}}}), binary_output),
       binary_product, InferBinaryConv, InferSecondOfBinaryProduct},
      {"BinaryGemm", 1, -1, binary_output, binary_product, InferBinaryGemm,
       InferSecondOfBinaryProduct},
      {"BinaryMaxPool", 1, 1, max_pool, {}, InferPool},
      {"BinaryWeightConv", 1, 1, conv, binary_weight, InferBinaryWeightConv},
      {"BinaryWeightGemm", 1, 1, {}, binary_weight, InferBinaryWeightGemm},
      {"Clip", 1, 1, {{"min", -kInf}, {"max", kInf}}, {}, InferUnary},
      {"Concat", 2, -1, {{"axis", int64_t{0}, true}}, {}, InferConcat},
      {"Conv", 1, 1, conv, float_product, InferConv},
      {"Flatten", 1, 1, {{"axis", int64_t{1}}}, {}, InferFlatten},
      {"Floor", 1, 1, {}, {}, InferUnary},
      {"Gemm", 1, 1, {}, float_product, InferGemm},
      {"GlobalAveragePool", 1, 1, {}, {}, InferGlobalAveragePool},
      {"MaxPool", 1, 1, max_pool, {}, InferPool},
      {"Mul", 1, 2, {}, value, InferElementwise},
      {"PRelu", 1, 1, {}, {{"slope", true}}, InferPRelu},
      {"Pad", 1, 1, {{"pads", Ints{}, true}, {"value", 0.0f}}, {}, InferPad},
      {"Relu", 1, 1, {}, {}, InferUnary},
      {"Reshape", 1, 1, {{"shape", Ints{}, true}}, {}, InferReshape},
      {"Softmax", 1, 1, {{"axis", int64_t{-1}}}, {}, InferSoftmax},
      {"Transpose", 1, 1, {{"perm", Ints{}, true}}, {}, InferTranspose},
  };
}

const char* AttributeTypeName(const Attribute& attribute) {
  constexpr const char* kNames[] = {"an integer", "a number", "a string",
                                    "a list of integers", "a list of numbers"};
  return kNames[attribute.index()];
}

// Integers may stand for floats, as in JSON, if they keep their value.
std::optional<Attribute> Convert(const Attribute& given,
                                 const Attribute& wanted) {
  if (given.index() == wanted.index()) return given;
  if (std::holds_alternative<float>(wanted) &&
      std::holds_alternative<int64_t>(given)) {
    return static_cast<float>(std::get<int64_t>(given));
  }
  if (std::holds_alternative<std::vector<float>>(wanted) &&
      std::holds_alternative<Ints>(given)) {
    const Ints& ints = std::get<Ints>(given);
    return std::vector<float>(ints.begin(), ints.end());
  }
  return std::nullopt;
}

}  // namespace

std::span<const OpSchema> OpSchemas() {
  static const std::vector<OpSchema>* const schemas =
      new std::vector<OpSchema>(MakeSchemas());
  return *schemas;
}

const OpSchema* FindOpSchema(std::string_view op) {
  for (const OpSchema& schema : OpSchemas()) {
    if (op == schema.name) return &schema;
  }
  return nullptr;
}

Result<NodeContext> NodeContext::Make(const Graph& graph, size_t index,
                                      std::vector<TensorInfo> inputs) {
  NodeContext context;
  context.graph_ = &graph;
  context.node_ = &graph.nodes[index];
  context.index_ = index;
  context.inputs_ = std::move(inputs);
  const Node& node = context.node();
  context.schema_ = FindOpSchema(node.op);
  if (context.schema_ == nullptr) {
    return context.Error("/op", "unknown op '" + node.op + "'");
  }
  const OpSchema& schema = context.schema();
  const int count = static_cast<int>(context.inputs_.size());
  if (count < schema.min_inputs ||
      (schema.max_inputs >= 0 && count > schema.max_inputs)) {
    return context.Error("/inputs", node.op + " does not take " +
                                        std::to_string(count) + " inputs");
  }
  const size_t most_outputs = schema.infer_second == nullptr ? 1 : 2;
  if (node.outputs.empty() || node.outputs.size() > most_outputs) {
    return context.Error("/outputs", node.op + " has one output" +
                                         (most_outputs == 1 ? "" : " or two") +
                                         ", not " +
                                         std::to_string(node.outputs.size()));
  }
  if (Status status = context.CompleteAttributes(); !status.ok()) return status;
  if (Status status = context.CheckConstants(); !status.ok()) return status;
  return context;
}

Status NodeContext::CompleteAttributes() {
  for (const AttributeSpec& spec : schema_->attributes) {
    const auto given = node_->attributes.find(spec.name);
    if (given == node_->attributes.end()) {
      if (spec.required) {
        return Error("/attributes", "the attribute '" + std::string(spec.name) +
                                        "' is missing");
      }
      attributes_[spec.name] = spec.default_value;
      continue;
    }
    std::optional<Attribute> value = Convert(given->second, spec.default_value);
    if (!value.has_value()) {
      return Error("/attributes/" + std::string(spec.name),
                   std::string("must be ") +
                       AttributeTypeName(spec.default_value) + ", not " +
                       AttributeTypeName(given->second));
    }
    if (const float* number = std::get_if<float>(&*value);
        number != nullptr && std::isnan(*number)) {
      return Error("/attributes/" + std::string(spec.name), "is NaN");
    }
    attributes_[spec.name] = *std::move(value);
  }
  for (const auto& [name, value] : node_->attributes) {
    if (!attributes_.contains(name)) {
      return Error("/attributes/" + name, node_->op + " has no such attribute");
    }
  }
  return Status();
}

Status NodeContext::CheckConstants() {
  for (const auto& [role, name] : node_->constants) {
    bool known = false;
    for (const ConstantSpec& spec : schema_->constants) {
      known = known || role == spec.role;
    }
    if (!known) {
      return Error("/constants/" + role, node_->op + " has no such constant");
    }
    if (!graph_->constants.contains(name)) {
      return Error("/constants/" + role, "there is no constant '" + name + "'");
    }
  }
  for (const ConstantSpec& spec : schema_->constants) {
    if (spec.required && !node_->constants.contains(spec.role)) {
      return Error("/constants",
                   "the constant '" + std::string(spec.role) + "' is missing");
    }
  }
  return Status();
}

const Constant* NodeContext::constant(const char* role) const {
  const auto name = node_->constants.find(role);
  if (name == node_->constants.end()) return nullptr;
  return &graph_->constants.at(name->second);
}

Status NodeContext::Error(const std::string& sub_path,
                          const std::string& message) const {
  return Status(StatusCode::kInvalidModel,
                "node '" + node_->name + "' (/nodes/" + std::to_string(index_) +
                    sub_path + "): " + message);
}

}  // namespace bqengine
