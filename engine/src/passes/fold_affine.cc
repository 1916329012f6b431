#include <utility>

#include "passes/graph_editor.h"
#include "passes/monotone_chain.h"
#include "passes/op_kinds.h"
#include "passes/passes.h"

namespace bqengine {
namespace {

// y = x * mul + add in double; an absent part is an empty vector.
struct WideAffine {
  std::vector<double> mul, add;
};

std::vector<double> Widen(std::span<const float> values, int64_t channels) {
  std::vector<double> wide(values.begin(), values.end());
  if (wide.size() == 1) wide.resize(static_cast<size_t>(channels), wide[0]);
  return wide;
}

// False if the node is not a multiplication or addition by constants with data.
bool ReadAffine(const GraphEditor& editor, const Node& node, int64_t channels,
                WideAffine* affine) {
  if (!editor.HasData(node)) return false;
  if (node.op == "BatchNormalization") {
    const backends::Affine narrow = AffineOf(editor, node);
    *affine = {Widen(narrow.mul, channels), Widen(narrow.add, channels)};
    return true;
  }
  const Constant* value = editor.FindConstant(node, "value");
  if (value == nullptr) return false;
  if (node.op == "Mul") {
    *affine = {Widen(value->floats(), channels), {}};
    return true;
  }
  if (node.op == "Add") {
    *affine = {{}, Widen(value->floats(), channels)};
    return true;
  }
  return false;
}

std::vector<float> Narrow(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

// first, then second.
WideAffine Compose(WideAffine first, const WideAffine& second) {
  if (!second.mul.empty()) {
    for (double& a : first.add) a *= second.mul[&a - first.add.data()];
    if (first.mul.empty()) {
      first.mul = second.mul;
    } else {
      for (size_t c = 0; c < first.mul.size(); ++c) {
        first.mul[c] *= second.mul[c];
      }
    }
  }
  if (!second.add.empty()) {
    if (first.add.empty()) {
      first.add = second.add;
    } else {
      for (size_t c = 0; c < first.add.size(); ++c) {
        first.add[c] += second.add[c];
      }
    }
  }
  return first;
}

// Into the mul and add of a binary product. False if that is not allowed.
bool FoldIntoBinary(GraphEditor& editor, Node& product, Node& node,
                    const WideAffine& affine, int64_t channels) {
  WideAffine own;
  const Constant* mul = editor.FindConstant(product, "mul");
  const Constant* add = editor.FindConstant(product, "add");
  if (mul != nullptr) own.mul = Widen(mul->floats(), channels);
  if (add != nullptr) own.add = Widen(add->floats(), channels);
  // "times mul, plus add" is what the product does anyway, in the same order
  // and with the same roundings; anything else rounds differently, which must
  // not reach a sign.
  const bool exact = add == nullptr && (mul == nullptr || affine.mul.empty());
  const Node* next = editor.OnlyConsumer(node);
  if (!exact && next != nullptr && next->op == "Binarize") return false;
  const WideAffine folded = Compose(std::move(own), affine);
  if (!folded.mul.empty()) {
    editor.SetConstant(product, "mul",
                       Constant::Floats({channels}, Narrow(folded.mul)));
  }
  if (!folded.add.empty()) {
    editor.SetConstant(product, "add",
                       Constant::Floats({channels}, Narrow(folded.add)));
  }
  return true;
}

// Into the weights and bias of a float product.
void FoldIntoFloat(GraphEditor& editor, Node& product, const WideAffine& affine,
                   int64_t channels) {
  const Constant& weight = *editor.FindConstant(product, "weight");
  const Constant* bias = editor.FindConstant(product, "bias");
  WideAffine own;
  if (bias != nullptr) own.add = Widen(bias->floats(), channels);
  const WideAffine folded = Compose(std::move(own), affine);
  if (!folded.mul.empty()) {
    std::vector<float> scaled(weight.floats().begin(), weight.floats().end());
    const size_t taps = scaled.size() / static_cast<size_t>(channels);
    for (size_t i = 0; i < scaled.size(); ++i) {
      scaled[i] = static_cast<float>(scaled[i] * folded.mul[i / taps]);
    }
    editor.SetConstant(product, "weight",
                       Constant::Floats(weight.shape(), std::move(scaled)));
  }
  if (!folded.add.empty()) {
    editor.SetConstant(product, "bias",
                       Constant::Floats({channels}, Narrow(folded.add)));
  }
}

void FoldFollowers(GraphEditor& editor, Node& product) {
  const bool binary =
      IsAffineProductToFloat(product) || IsBinaryWeightProduct(product);
  if ((!binary && !IsFloatProduct(product)) || !editor.HasData(product)) {
    return;
  }
  const int64_t channels = editor.tensor(product.outputs[0]).shape.back();
  while (Node* node = editor.OnlyConsumer(product)) {
    WideAffine affine;
    if (!ReadAffine(editor, *node, channels, &affine)) break;
    if (!binary) {
      FoldIntoFloat(editor, product, affine, channels);
    } else if (!FoldIntoBinary(editor, product, *node, affine, channels)) {
      break;
    }
    editor.Absorb(product, *node);
  }
}

}  // namespace

void FoldAffine(GraphEditor& editor) {
  for (size_t i = 0; i < editor.node_count(); ++i) {
    if (!editor.removed(i)) FoldFollowers(editor, editor.node(i));
  }
}

}  // namespace bqengine
