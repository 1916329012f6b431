#include "runtime/backend_node.h"

#include <type_traits>

#include "graph/graph_analysis.h"

namespace bqengine {

static_assert(static_cast<bqe_type>(DataType::kFloat32) == BQE_FLOAT32);
static_assert(static_cast<bqe_type>(DataType::kBipolar) == BQE_BIPOLAR);
static_assert(static_cast<bqe_type>(DataType::kUnipolar) == BQE_UNIPOLAR);
static_assert(static_cast<bqe_type>(DataType::kInt8) == BQE_INT8);
static_assert(static_cast<bqe_type>(DataType::kUint8) == BQE_UINT8);
static_assert(kBatch == BQE_BATCH);
static_assert(kMostDims == BQE_MAX_RANK);

BackendNode::BackendNode(const NodeContext& context,
                         const std::map<std::string, TensorInfo>& tensors) {
  const Node& node = context.node();
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    inputs_.push_back(AddTensor(node.inputs[i], context.input(i)));
  }
  for (const std::string& name : node.outputs) {
    outputs_.push_back(AddTensor(name, tensors.at(name)));
  }
  for (const AttributeSpec& spec : context.schema().attributes) {
    if (spec.later && !context.IsSet(spec)) continue;
    const auto& [name, value] = *context.attributes().find(spec.name);
    AddAttribute(name, value);
  }
  for (const auto& [role, name] : node.constants) {
    AddConstant(role, name, *context.constant(role.c_str()));
  }
  node_ = {.struct_size = sizeof(bqe_node),
           .num_inputs = static_cast<uint32_t>(inputs_.size()),
           .num_outputs = static_cast<uint32_t>(outputs_.size()),
           .num_attributes = static_cast<uint32_t>(attribute_list_.size()),
           .num_constants = static_cast<uint32_t>(constant_list_.size()),
           .reserved = 0,
           .name = node.name.c_str(),
           .op = node.op.c_str(),
           .inputs = inputs_.data(),
           .outputs = outputs_.data(),
           .attributes = attribute_list_.data(),
           .constants = constant_list_.data()};
}

const bqe_tensor* BackendNode::AddTensor(const std::string& name,
                                         const TensorInfo& info) {
  tensors_.push_back({.struct_size = sizeof(bqe_tensor),
                      .type = static_cast<bqe_type>(info.type),
                      .rank = static_cast<uint32_t>(info.shape.size()),
                      .reserved = 0,
                      .dims = info.shape.data(),
                      .name = name.c_str()});
  return &tensors_.back();
}

void BackendNode::AddAttribute(const std::string& name,
                               const Attribute& value) {
  bqe_attribute attribute = {.struct_size = sizeof(bqe_attribute),
                             .kind = 0,
                             .name = name.c_str(),
                             .count = 1,
                             .ints = nullptr,
                             .floats = nullptr,
                             .string = nullptr};
  std::visit(
      [&](const auto& held) {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, int64_t>) {
          attribute.kind = BQE_ATTRIBUTE_INT;
          attribute.ints = &held;
        } else if constexpr (std::is_same_v<T, float>) {
          attribute.kind = BQE_ATTRIBUTE_FLOAT;
          attribute.floats = &held;
        } else if constexpr (std::is_same_v<T, std::string>) {
          attribute.kind = BQE_ATTRIBUTE_STRING;
          attribute.string = held.c_str();
        } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
          attribute.kind = BQE_ATTRIBUTE_INTS;
          attribute.ints = held.data();
          attribute.count = held.size();
        } else {
          attribute.kind = BQE_ATTRIBUTE_FLOATS;
          attribute.floats = held.data();
          attribute.count = held.size();
        }
      },
      value);
  attributes_.push_back(attribute);
  attribute_list_.push_back(&attributes_.back());
}

void BackendNode::AddConstant(const std::string& role, const std::string& name,
                              const Constant& constant) {
  constants_.push_back({.struct_size = sizeof(bqe_constant),
                        .reserved = 0,
                        .role = role.c_str(),
                        .tensor = AddTensor(name, constant.info()),
                        .data = constant.data(),
                        .bytes = constant.bytes()});
  constant_list_.push_back(&constants_.back());
}

}  // namespace bqengine
