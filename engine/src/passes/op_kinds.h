// Kinds of nodes that several passes tell apart.
#ifndef ENGINE_SRC_PASSES_OP_KINDS_H_
#define ENGINE_SRC_PASSES_OP_KINDS_H_

#include <string>

#include "bqengine/graph.h"
#include "graph/op_schema.h"

namespace bqengine {

// An attribute of a checked node: its own, or the default of its op.
inline Attribute AttributeOf(const Node& node, const std::string& name) {
  const auto own = node.attributes.find(name);
  for (const AttributeSpec& spec : FindOpSchema(node.op)->attributes) {
    if (name != spec.name) continue;
    if (own == node.attributes.end()) return spec.default_value;
    // An integer may stand where the op wants a float.
    if (std::holds_alternative<float>(spec.default_value) &&
        std::holds_alternative<int64_t>(own->second)) {
      return static_cast<float>(std::get<int64_t>(own->second));
    }
  }
  return own->second;
}

// Bits by bits, with integer accumulators.
inline bool IsBinaryProduct(const Node& node) {
  return node.op == "BinaryConv" || node.op == "BinaryGemm";
}

// The same, giving floats and nothing else.
inline bool IsBinaryProductToFloat(const Node& node) {
  return IsBinaryProduct(node) && node.outputs.size() == 1 &&
         AttributeOf(node, "output_type") == Attribute(std::string("float32"));
}

// Of a binary product: the names of the steps behind its affine.
inline std::string PostOf(const Node& node) {
  return std::get<std::string>(AttributeOf(node, "post"));
}

// A binary product whose floats are those of its affine: what follows can
// become a part of that, or be put into words as a function of accumulators.
inline bool IsAffineProductToFloat(const Node& node) {
  return IsBinaryProductToFloat(node) && PostOf(node).empty();
}

// Floats by bits.
inline bool IsBinaryWeightProduct(const Node& node) {
  return node.op == "BinaryWeightConv" || node.op == "BinaryWeightGemm";
}

// Floats by floats.
inline bool IsFloatProduct(const Node& node) {
  return node.op == "Conv" || node.op == "Gemm";
}

// Moves no value within a row of the tensor's memory.
inline bool IsReshape(const Node& node) {
  return node.op == "Flatten" || node.op == "Reshape";
}

}  // namespace bqengine

#endif  // ENGINE_SRC_PASSES_OP_KINDS_H_
