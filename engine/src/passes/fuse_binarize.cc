#include <cmath>
#include <limits>
#include <utility>

#include "graph/make_constant.h"
#include "passes/accumulator.h"
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

// The switches of all channels while the accumulator goes from -bound to bound;
// empty if some channel's chain can overflow.
std::vector<Switch> FindSwitches(const MonotoneChain& chain, int64_t channels,
                                 int32_t bound) {
  const float most = static_cast<float>(bound);
  std::vector<Switch> switches;
  for (int64_t c = 0; c < channels; ++c) {
    if (!chain.IsFiniteBetween(c, -most, most)) return {};
    const BitSwitch at = FindSwitch(-bound, bound, [&](int32_t acc) {
      return chain.Bit(c, static_cast<float>(acc));
    });
    if (!at.changes) {
      switches.push_back({1.0f, at.at_low ? -kInf : kInf});
    } else if (at.at_low) {
      switches.push_back({-1.0f, -static_cast<float>(at.last)});
    } else {
      switches.push_back({1.0f, static_cast<float>(at.next)});
    }
  }
  return switches;
}

// Replaces the product's epilogue by the switches. Several activation bases
// are added as they are, without beta.
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
    editor.SetConstant(product, "mul", MakeFloats({channels}, std::move(mul)));
  }
  editor.SetConstant(product, "threshold",
                     MakeFloats({channels}, std::move(threshold)));
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
  if (const auto bound = PrependAccumulator(editor, &chain)) {
    const int64_t channels =
        editor.FindConstant(*product, "weight")->shape()[1];
    switches = FindSwitches(chain, channels, *bound);
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
