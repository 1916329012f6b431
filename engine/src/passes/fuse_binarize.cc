#include <cmath>
#include <limits>
#include <utility>

#include "passes/graph_editor.h"
#include "passes/monotone_chain.h"
#include "passes/op_kinds.h"
#include "passes/passes.h"

namespace bqengine {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// bit = (mul * accumulator >= threshold), mul being 1 or -1.
struct Switch {
  float mul;
  float threshold;
};

// Where the sign behind `chain` switches while the accumulator goes from `low`
// to `high`.
Switch FindSwitch(const MonotoneChain& chain, int64_t channel, int32_t low,
                  int32_t high) {
  const auto bit = [&](int32_t acc) {
    return chain.Bit(channel, static_cast<float>(acc));
  };
  const bool at_low = bit(low);
  if (at_low == bit(high)) return {1.0f, at_low ? -kInf : kInf};
  while (high - low > 1) {
    const int32_t middle = low + (high - low) / 2;
    (bit(middle) == at_low ? low : high) = middle;
  }
  // The last value of one kind is `low`, the first of the other is `high`.
  if (at_low) return {-1.0f, -static_cast<float>(low)};
  return {1.0f, static_cast<float>(high)};
}

std::vector<float> Values(const Constant& constant) {
  return {constant.floats().begin(), constant.floats().end()};
}

// Puts what the product itself does with its accumulator before the chain.
// False if that is not one function of one accumulator.
bool PrependEpilogue(const GraphEditor& editor, const Node& product,
                     MonotoneChain* chain) {
  if (product.inputs.size() != 1 ||
      editor.FindConstant(product, "weight")->shape()[0] != 1) {
    return false;
  }
  // In the order of evaluation: alpha, beta, mul, add.
  if (const Constant* add = editor.FindConstant(product, "add")) {
    chain->PrependAdd(Values(*add));
  }
  for (const char* role : {"mul", "beta", "alpha"}) {
    if (const Constant* factor = editor.FindConstant(product, role)) {
      chain->PrependMul(Values(*factor));
    }
  }
  return true;
}

// The thresholds of all channels; empty if some channel's chain can overflow.
std::vector<Switch> FindSwitches(const GraphEditor& editor, const Node& product,
                                 const MonotoneChain& chain) {
  const Constant& weight = *editor.FindConstant(product, "weight");
  const int64_t channels = weight.shape()[1];
  // Weights that meet one output bound the accumulator on both sides.
  const auto count = ElementCount(weight.shape());
  const int32_t most = static_cast<int32_t>(*count / channels);
  std::vector<Switch> switches;
  for (int64_t c = 0; c < channels; ++c) {
    if (!chain.IsFiniteBetween(c, static_cast<float>(-most),
                               static_cast<float>(most))) {
      return {};
    }
    switches.push_back(FindSwitch(chain, c, -most, most));
  }
  return switches;
}

// Replaces the product's epilogue by the switches.
void SetSwitches(GraphEditor& editor, Node& product,
                 const std::vector<Switch>& switches) {
  std::vector<float> mul, threshold;
  bool flips = false;
  for (const Switch& s : switches) {
    mul.push_back(s.mul);
    threshold.push_back(s.threshold);
    flips = flips || s.mul < 0;
  }
  for (const char* role : {"alpha", "beta", "mul", "add"}) {
    product.constants.erase(role);
  }
  const int64_t channels = static_cast<int64_t>(switches.size());
  if (flips) {
    editor.SetConstant(product, "mul",
                       Constant::Floats({channels}, std::move(mul)));
  }
  editor.SetConstant(product, "threshold",
                     Constant::Floats({channels}, std::move(threshold)));
}

// Fuses `binarize` into the product behind its chain, if it can.
void TryFuse(GraphEditor& editor, Node& binarize) {
  MonotoneChain chain = MonotoneChain::Before(editor, binarize);
  Node* product = editor.Producer(chain.root());
  if (product == nullptr || !IsAffineProductToFloat(*product) ||
      editor.OnlyConsumer(*product) == nullptr || !editor.HasData(*product) ||
      !editor.HasData(binarize)) {
    return;
  }
  std::vector<Switch> switches;
  if (PrependEpilogue(editor, *product, &chain)) {
    switches = FindSwitches(editor, *product, chain);
  }
  if (!switches.empty()) {
    SetSwitches(editor, *product, switches);
  } else if (chain.nodes().empty()) {
    // Compares what the product computes anyway: exact by definition.
    const auto threshold = binarize.constants.find("threshold");
    if (threshold != binarize.constants.end()) {
      product->constants["threshold"] = threshold->second;
    }
  } else {
    return;
  }
  product->attributes["output_type"] = AttributeOf(binarize, "encoding");
  for (Node* node : chain.nodes()) editor.Absorb(*product, *node);
  editor.Absorb(*product, binarize);
}

}  // namespace

void FuseBinarize(GraphEditor& editor) {
  for (size_t i = 0; i < editor.node_count(); ++i) {
    if (editor.node(i).op == "Binarize" && !editor.removed(i)) {
      TryFuse(editor, editor.node(i));
    }
  }
}

}  // namespace bqengine
