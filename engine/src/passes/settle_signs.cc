#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "graph/make_constant.h"
#include "passes/accumulator.h"
#include "passes/graph_editor.h"
#include "passes/monotone_chain.h"
#include "passes/passes.h"

namespace bqengine {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// Thresholds that put the switch where it should be: above `below`, and at most
// `most`.
struct Interval {
  float below = -kInf;
  float most = kInf;

  bool Contains(float threshold) const {
    return (below < threshold || threshold == -kInf) && threshold <= most;
  }
  // Well inside, so that neither form is near its edge.
  float Middle() const {
    if (below == -kInf) return -kInf;
    if (most == kInf) return kInf;
    const float middle =
        static_cast<float>(below + (double{most} - double{below}) / 2);
    return below < middle && middle <= most ? middle : most;
  }
};

// Of a channel, by the exact value of its chain; nothing if that cannot be had,
// or no threshold would do.
std::optional<Interval> IntervalOf(const MonotoneChain& chain, int64_t channel,
                                   int32_t bound) {
  const auto value = [&](int32_t acc) {
    return chain.Value(channel, static_cast<float>(acc));
  };
  const float most = static_cast<float>(bound);
  ExactChain exact;
  if (!chain.IsFiniteBetween(channel, -most, most) ||
      !chain.Exact(channel, &exact)) {
    return std::nullopt;
  }
  const float threshold = chain.threshold(channel);
  const BitSwitch at = FindSwitch(-bound, bound, [&](int32_t acc) {
    const Result<int> sign = exact.Compare(acc, threshold);
    if (!sign.ok()) throw std::bad_alloc();
    return *sign >= 0;
  });
  Interval interval;
  if (at.changes) {
    interval = {value(at.at_low ? at.next : at.last),
                value(at.at_low ? at.last : at.next)};
  } else if (at.at_low) {
    interval.most = std::min(value(-bound), value(bound));
  } else {
    interval.below = std::max(value(-bound), value(bound));
  }
  if (!(interval.below < interval.most)) return std::nullopt;
  return interval;
}

void Settle(GraphEditor& editor, Node& binarize) {
  MonotoneChain chain = MonotoneChain::Through(editor, binarize);
  const auto bound = PrependAccumulator(editor, &chain);
  if (!bound.has_value() || chain.empty()) return;
  const int64_t channels = editor.tensor(binarize.inputs[0]).shape.back();
  const int64_t period = std::lcm(chain.period(), channels);
  if (chain.period() == 0) return;

  // Where a reshape splits channels, several of them share a threshold.
  std::vector<float> thresholds(static_cast<size_t>(channels));
  bool moves = false;
  for (int64_t c = 0; c < channels; ++c) {
    Interval common;
    bool known = true;
    for (int64_t at = c; at < period && known; at += channels) {
      const auto interval = IntervalOf(chain, at, *bound);
      known = interval.has_value();
      if (!known) break;
      common.below = std::max(common.below, interval->below);
      common.most = std::min(common.most, interval->most);
    }
    float& threshold = thresholds[static_cast<size_t>(c)];
    threshold = chain.threshold(c);
    if (!known || common.Contains(threshold)) continue;
    if (!(common.below < common.most)) continue;
    threshold = common.Middle();
    moves = true;
  }
  if (!moves) return;
  if (std::all_of(thresholds.begin(), thresholds.end(),
                  [&](float t) { return t == thresholds[0]; })) {
    thresholds.resize(1);
  }
  const int64_t count = static_cast<int64_t>(thresholds.size());
  editor.SetConstant(binarize, "threshold",
                     MakeFloats({count}, std::move(thresholds)));
}

}  // namespace

void SettleSigns(GraphEditor& editor) {
  for (size_t i = 0; i < editor.node_count(); ++i) {
    Node& node = editor.node(i);
    if (node.op == "Binarize" && editor.HasData(node)) Settle(editor, node);
  }
}

}  // namespace bqengine
