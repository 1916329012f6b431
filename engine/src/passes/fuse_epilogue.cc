#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "graph/make_constant.h"
#include "passes/graph_editor.h"
#include "passes/monotone_chain.h"
#include "passes/op_kinds.h"
#include "passes/passes.h"
#include "post_steps.h"

namespace bqengine {
namespace {

// A step of `post`: its name and its constant, if it has one; what stands in
// the graph already is named, and not copied.
struct Step {
  const char* name;
  std::string constant = {};
  std::optional<Constant> value = {};
};

std::optional<Constant> WithoutNan(std::vector<float> values) {
  for (float value : values) {
    if (std::isnan(value)) return std::nullopt;
  }
  const int64_t count = static_cast<int64_t>(values.size());
  return MakeFloats({count}, std::move(values));
}

// The steps that compute what `node` does; none if there are no such.
std::vector<Step> StepsOf(const GraphEditor& editor, const Node& node) {
  if (!editor.HasData(node)) return {};
  if (node.op == "Relu") return {{"Relu"}};
  if (node.op == "PRelu") return {{"PRelu", node.constants.at("slope")}};
  if (node.op == "Clip") {
    return {{"Clip",
             {},
             MakeFloats({2}, {std::get<float>(AttributeOf(node, "min")),
                              std::get<float>(AttributeOf(node, "max"))})}};
  }
  if (node.op == "BatchNormalization") {
    backends::Affine affine = AffineOf(editor, node);
    auto mul = WithoutNan(std::move(affine.mul));
    auto add = WithoutNan(std::move(affine.add));
    if (!mul.has_value() || !add.has_value()) return {};
    return {{"Mul", {}, std::move(mul)}, {"Add", {}, std::move(add)}};
  }
  if (node.op == "Add" && node.inputs.size() == 2) return {{"Residual"}};
  if (node.op == "Add") return {{"Add", node.constants.at("value")}};
  if (node.op == "Mul" && node.inputs.size() == 1) {
    return {{"Mul", node.constants.at("value")}};
  }
  return {};
}

// Makes `node`, the product's only consumer, its last steps. False if that is
// not possible. The other operand of an Add cannot depend on the product: all
// that does comes through the Add.
bool AbsorbSteps(GraphEditor& editor, Node& product, Node& node) {
  std::string post = PostOf(product);
  const auto present = backends::SplitPost(post);
  std::vector<Step> steps = StepsOf(editor, node);
  if (steps.empty() ||
      present.size() + steps.size() > backends::kMostPostSteps) {
    return false;
  }
  const bool is_residual = node.inputs.size() == 2;
  if (is_residual && backends::HasResidual(present)) return false;
  size_t position = present.size();
  for (Step& step : steps) {
    const char* role = backends::kPostRoles[position++];
    if (step.value.has_value()) {
      editor.SetConstant(product, role, *std::move(step.value));
    } else if (!step.constant.empty()) {
      product.constants[role] = step.constant;
    }
    post += (post.empty() ? "" : ",") + std::string(step.name);
  }
  product.attributes["post"] = post;
  editor.Absorb(product, node);
  return true;
}

// A Binarize of the product's floats becomes its packed output: the only one,
// or a second one if there are others who need the floats.
void AbsorbSign(GraphEditor& editor, Node& product) {
  Node* binarize = editor.FindConsumer(product, "Binarize");
  if (binarize == nullptr || !editor.HasData(*binarize)) return;
  const auto threshold = binarize->constants.find("threshold");
  if (threshold != binarize->constants.end()) {
    product.constants["threshold"] = threshold->second;
  }
  product.attributes["output_type"] = AttributeOf(*binarize, "encoding");
  if (editor.OnlyConsumer(product) == binarize) {
    editor.Absorb(product, *binarize);
  } else {
    editor.AbsorbAsSecond(product, *binarize);
  }
}

// Narrow groups, depthwise ones above all, have kernels that are many times
// faster than those that take steps (kernels/bgrouped.h). Which groups are
// narrow is the backends' affair: wide ones, which are rare, stay unfused, too.
bool HasGroups(const Node& product) {
  return product.op == "BinaryConv" &&
         AttributeOf(product, "group") != Attribute(int64_t{1});
}

}  // namespace

void FuseEpilogue(GraphEditor& editor) {
  for (size_t i = 0; i < editor.node_count(); ++i) {
    Node& product = editor.node(i);
    if (editor.removed(i) || !IsBinaryProductToFloat(product) ||
        HasGroups(product)) {
      continue;
    }
    while (Node* next = editor.OnlyConsumer(product)) {
      if (!AbsorbSteps(editor, product, *next)) break;
    }
    AbsorbSign(editor, product);
  }
}

}  // namespace bqengine
