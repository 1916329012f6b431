#include "passes/accumulator.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "passes/op_kinds.h"

namespace bqengine {
namespace {

// Floats hold all integers up to here.
constexpr int64_t kMostInteger = int64_t{1} << 24;

// Sums of sums, no deeper.
constexpr int kDeepestSum = 8;

std::vector<float> Values(const Constant& constant) {
  return {constant.floats().begin(), constant.floats().end()};
}

// The largest accumulator of one base; that of the sum of all is `bases` times
// as large.
int64_t LargestAccumulator(const GraphEditor& editor, const Node& product) {
  const Shape& weight = editor.FindConstant(product, "weight")->shape();
  const int64_t taps = *ElementCount(weight) / (weight[0] * weight[1]);
  const DataType input = editor.tensor(product.inputs[0]).type;
  if (input == DataType::kUint8) return 255 * taps;
  if (input == DataType::kInt8) return 128 * taps;
  return taps;
}

bool IsPowerOfTwo(float x) {
  int exponent = 0;
  return std::frexp(std::abs(x), &exponent) == 0.5f && exponent > -64 &&
         exponent < 64;
}

bool ArePowersOfTwo(const Constant* constant) {
  return constant == nullptr ||
         std::all_of(constant->floats().begin(), constant->floats().end(),
                     IsPowerOfTwo);
}

bool AreEqual(const Constant* constant) {
  if (constant == nullptr) return true;
  const auto values = constant->floats();
  return std::all_of(values.begin(), values.end(),
                     [&](float value) { return value == values[0]; });
}

// A product whose accumulators are exact integers.
bool HasAccumulators(const GraphEditor& editor, const Node& node) {
  if (!editor.HasData(node)) return false;
  return IsAffineProductToFloat(node) ||
         (IsBinaryWeightProduct(node) &&
          IsInteger(editor.tensor(node.inputs[0]).type));
}

std::optional<int64_t> PrependProduct(const GraphEditor& editor,
                                      const Node& product,
                                      MonotoneChain* chain) {
  const int64_t weight_bases =
      editor.FindConstant(product, "weight")->shape()[0];
  const int64_t activation_bases = static_cast<int64_t>(product.inputs.size());
  const Constant* alpha = editor.FindConstant(product, "alpha");
  const Constant* beta = editor.FindConstant(product, "beta");
  if (weight_bases != 1) return std::nullopt;
  if (activation_bases != 1 &&
      !(AreEqual(beta) && ArePowersOfTwo(beta) && ArePowersOfTwo(alpha))) {
    return std::nullopt;
  }
  // In the order of evaluation: alpha, beta, mul, add.
  if (const Constant* add = editor.FindConstant(product, "add")) {
    chain->PrependAdd(Values(*add));
  }
  if (const Constant* mul = editor.FindConstant(product, "mul")) {
    chain->PrependMul(Values(*mul));
  }
  if (beta != nullptr) chain->PrependMul({beta->floats()[0]});
  if (alpha != nullptr) chain->PrependMul(Values(*alpha));
  return activation_bases * LargestAccumulator(editor, product);
}

// Of a tensor of integers; nothing if it may hold others.
std::optional<int64_t> LargestInteger(GraphEditor& editor,
                                      const std::string& tensor, int depth) {
  const Node* node = editor.Producer(tensor);
  if (node == nullptr || depth == kDeepestSum) return std::nullopt;
  if (HasAccumulators(editor, *node)) {
    for (const char* role : {"alpha", "beta", "mul", "add"}) {
      if (node->constants.contains(role)) return std::nullopt;
    }
    const int64_t bases = editor.FindConstant(*node, "weight")->shape()[0] *
                          static_cast<int64_t>(node->inputs.size());
    return bases * LargestAccumulator(editor, *node);
  }
  if (node->op == "Add" && node->inputs.size() == 2) {
    const auto a = LargestInteger(editor, node->inputs[0], depth + 1);
    const auto b = LargestInteger(editor, node->inputs[1], depth + 1);
    if (a.has_value() && b.has_value() && *a + *b <= kMostInteger) {
      return *a + *b;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<int32_t> PrependAccumulator(GraphEditor& editor,
                                          MonotoneChain* chain) {
  const Node* producer = editor.Producer(chain->root());
  if (producer == nullptr) return std::nullopt;
  const std::optional<int64_t> largest =
      HasAccumulators(editor, *producer)
          ? PrependProduct(editor, *producer, chain)
          : LargestInteger(editor, chain->root(), 0);
  if (!largest.has_value() || *largest > kMostInteger) return std::nullopt;
  return static_cast<int32_t>(*largest);
}

}  // namespace bqengine
