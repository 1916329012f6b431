#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "graph/make_constant.h"
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

// Beyond these, floats may overflow or lose digits on another way to a result.
constexpr double kSmall = 0x1p-60, kLarge = 0x1p60;

bool IsFinite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double value) {
    return std::isfinite(static_cast<float>(value));
  });
}

bool IsFinite(const WideAffine& affine) {
  return IsFinite(affine.mul) && IsFinite(affine.add);
}

// So small that what is finite in one order of operations is so in another:
// infinity times zero, later, would be NaN.
bool IsSmall(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](double value) { return std::abs(value) <= kLarge; });
}

bool IsSmall(const WideAffine& affine) {
  return IsSmall(affine.mul) && IsSmall(affine.add);
}

// Whether an integer times `first` times `second` is the same rounded once and
// twice: `first` is a power of two, and all is far from the smallest and the
// largest floats.
bool RoundsOnce(const std::vector<double>& first,
                const std::vector<double>& second) {
  const auto moderate = [](double value) {
    return value == 0 ||
           (std::abs(value) >= kSmall && std::abs(value) <= kLarge);
  };
  return std::all_of(first.begin(), first.end(),
                     [&](double value) {
                       int exponent = 0;
                       return std::abs(std::frexp(value, &exponent)) == 0.5 &&
                              moderate(value);
                     }) &&
         std::all_of(second.begin(), second.end(), moderate);
}

// Tensors of whose values a comparison makes what is no small change any more:
// a sign, Floor, and all that leads there.
std::set<std::string> TensorsBeforeComparisons(GraphEditor& editor) {
  std::set<std::string> found;
  std::vector<const Node*> leading;
  for (size_t i = 0; i < editor.node_count(); ++i) {
    if (editor.removed(i)) continue;
    const Node& node = editor.node(i);
    // A product that makes bits of its floats, and of a residual.
    const bool makes_bits =
        IsBinaryProduct(node) && !IsBinaryProductToFloat(node);
    if (node.op == "Binarize" || node.op == "Floor" || makes_bits) {
      leading.push_back(&node);
    }
  }
  while (!leading.empty()) {
    const Node& node = *leading.back();
    leading.pop_back();
    for (const std::string& input : node.inputs) {
      if (!found.insert(input).second) continue;
      if (const Node* producer = editor.Producer(input)) {
        leading.push_back(producer);
      }
    }
  }
  return found;
}

// Into the mul and add of a binary product. False if that is not allowed.
bool FoldIntoBinary(GraphEditor& editor, Node& product,
                    const WideAffine& affine, int64_t channels,
                    bool is_compared) {
  WideAffine own;
  const Constant* mul = editor.FindConstant(product, "mul");
  const Constant* add = editor.FindConstant(product, "add");
  if (mul != nullptr) own.mul = Widen(mul->floats(), channels);
  if (add != nullptr) own.add = Widen(add->floats(), channels);
  // "times mul, plus add" is what the product does anyway, in the same order
  // and with the same roundings; anything else rounds differently, which must
  // not reach a comparison.
  const bool exact =
      own.add.empty() && (own.mul.empty() || affine.mul.empty() ||
                          RoundsOnce(own.mul, affine.mul));
  if (!exact && (is_compared || !IsSmall(own))) return false;
  const WideAffine folded = Compose(std::move(own), affine);
  if (exact ? !IsFinite(folded) : !IsSmall(folded)) return false;
  if (!folded.mul.empty()) {
    editor.SetConstant(product, "mul",
                       MakeFloats({channels}, Narrow(folded.mul)));
  }
  if (!folded.add.empty()) {
    editor.SetConstant(product, "add",
                       MakeFloats({channels}, Narrow(folded.add)));
  }
  return true;
}

// Into the weights and bias of a float product. False if that is not allowed.
bool FoldIntoFloat(GraphEditor& editor, Node& product, const WideAffine& affine,
                   int64_t channels) {
  const Constant& weight = *editor.FindConstant(product, "weight");
  const Constant* bias = editor.FindConstant(product, "bias");
  WideAffine own;
  if (bias != nullptr) own.add = Widen(bias->floats(), channels);
  const WideAffine folded = Compose(std::move(own), affine);
  if (!IsSmall(folded)) return false;
  if (!folded.mul.empty()) {
    std::vector<double> scaled(weight.floats().begin(), weight.floats().end());
    const size_t taps = scaled.size() / static_cast<size_t>(channels);
    for (size_t i = 0; i < scaled.size(); ++i)
      scaled[i] *= folded.mul[i / taps];
    if (!IsSmall(scaled)) return false;
    editor.SetConstant(product, "weight",
                       MakeFloats(weight.shape(), Narrow(scaled)));
  }
  if (!folded.add.empty()) {
    editor.SetConstant(product, "bias",
                       MakeFloats({channels}, Narrow(folded.add)));
  }
  return true;
}

void FoldFollowers(GraphEditor& editor, Node& product,
                   const std::set<std::string>& compared) {
  const bool binary =
      IsAffineProductToFloat(product) || IsBinaryWeightProduct(product);
  if ((!binary && !IsFloatProduct(product)) || !editor.HasData(product)) {
    return;
  }
  const int64_t channels = editor.tensor(product.outputs[0]).shape.back();
  while (Node* node = editor.OnlyConsumer(product)) {
    WideAffine affine;
    if (!ReadAffine(editor, *node, channels, &affine)) break;
    const bool folded =
        binary ? FoldIntoBinary(editor, product, affine, channels,
                                compared.contains(node->outputs[0]))
               : FoldIntoFloat(editor, product, affine, channels);
    if (!folded) break;
    editor.Absorb(product, *node);
  }
}

}  // namespace

void FoldAffine(GraphEditor& editor) {
  const std::set<std::string> compared = TensorsBeforeComparisons(editor);
  for (size_t i = 0; i < editor.node_count(); ++i) {
    if (!editor.removed(i)) FoldFollowers(editor, editor.node(i), compared);
  }
}

}  // namespace bqengine
