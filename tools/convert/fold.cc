#include "fold.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace bqengine::convert {
namespace {

const std::set<std::string>& ElementwiseOps() {
  static const std::set<std::string> ops = {"Abs",        "Add",
                                            "And",        "BipolarQuant",
                                            "Cast",       "Ceil",
                                            "Clip",       "Div",
                                            "Dropout",    "Equal",
                                            "Exp",        "Floor",
                                            "Greater",    "GreaterOrEqual",
                                            "Identity",   "LeakyRelu",
                                            "Less",       "LessOrEqual",
                                            "Log",        "Max",
                                            "Min",        "Mul",
                                            "Neg",        "Not",
                                            "Or",         "Pow",
                                            "Reciprocal", "Relu",
                                            "Sigmoid",    "Sign",
                                            "Sqrt",       "Sub",
                                            "Tanh",       "Where",
                                            "Xor"};
  return ops;
}

const std::set<std::string>& OtherOps() {
  static const std::set<std::string> ops = {
      "Concat",    "Constant", "ConstantOfShape", "Expand",     "Flatten",
      "Gather",    "ReduceL1", "ReduceMax",       "ReduceMean", "ReduceMin",
      "ReduceSum", "Reshape",  "Shape",           "Slice",      "Squeeze",
      "Transpose", "Unsqueeze"};
  return ops;
}

bool KnownDomain(const SourceNode& node) {
  return node.domain.empty() || IsBipolarQuant(node);
}

}  // namespace

bool IsBipolarQuant(const SourceNode& node) {
  return node.op == "BipolarQuant" &&
         (node.domain == "onnx.brevitas" ||
          node.domain == "qonnx.custom_op.general");
}

bool IsElementwise(const SourceNode& node) {
  return KnownDomain(node) && ElementwiseOps().count(node.op) > 0;
}

bool CanFold(const SourceNode& node) {
  return IsElementwise(node) ||
         (KnownDomain(node) && OtherOps().count(node.op) > 0);
}

std::vector<int64_t> IntsOf(const SourceNode& node, const FoldInputs& inputs,
                            size_t i, const std::string& attribute) {
  if (i < inputs.size() && inputs[i] != nullptr) return inputs[i]->KnownInts();
  return node.Ints(attribute, {});
}

void CheckFolded(const Shape& shape, int64_t from) {
  if (Elements(shape) > std::max(kMaxFolded, from)) {
    throw ConvertError(fmt::format(
        "it would compute a constant of shape {}; {} elements are the most",
        ShapeText(shape), kMaxFolded));
  }
}

Array Fold(const SourceNode& node, const FoldInputs& inputs) {
  Array out;
  if (!FoldElementwise(node, inputs, &out) && !FoldShape(node, inputs, &out)) {
    throw ConvertError(
        fmt::format("{} cannot be computed beforehand", node.op));
  }
  return out;
}

}  // namespace bqengine::convert
