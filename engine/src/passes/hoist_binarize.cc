#include <cmath>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "graph/make_constant.h"
#include "graph/packed.h"
#include "passes/graph_editor.h"
#include "passes/monotone_chain.h"
#include "passes/op_kinds.h"
#include "passes/passes.h"

namespace bqengine {
namespace {

// True if no input of the graph can make the tensor NaN: it comes from integer
// accumulators. max and sign may be exchanged only then, for the maximum of a
// window with a NaN is NaN, which binarizes to 0 whatever else is in the
// window.
bool NeverNan(GraphEditor& editor, const Node& pool) {
  const MonotoneChain chain = MonotoneChain::Before(editor, pool);
  Node* producer = editor.Producer(chain.root());
  if (producer == nullptr || !IsAffineProductToFloat(*producer)) return false;
  for (const auto& [role, name] : producer->constants) {
    for (float value : editor.FindConstant(*producer, role.c_str())->floats()) {
      // Far from where products and sums overflow.
      if (!(std::abs(value) < 1e6f)) return false;
    }
  }
  return chain.KeepsIntegersFinite();
}

// True if the values come from a binary product, through pools, reshapes and
// monotone ops only: then the sign can join it in the end.
bool ComesFromProduct(GraphEditor& editor, const Node& node) {
  const Node* at = &node;
  while (Node* before =
             editor.Producer(MonotoneChain::Before(editor, *at).root())) {
    if (IsBinaryProduct(*before)) return true;
    if (before->op != "MaxPool" && !IsReshape(*before)) return false;
    at = before;
  }
  return false;
}

// Moves one Binarize as far towards the inputs as it can go.
class Hoist {
 public:
  Hoist(GraphEditor& editor, Node& binarize)
      : editor_(editor), binarize_(binarize) {}

  void Run() {
    while (Node* before = editor_.Producer(binarize_.inputs[0])) {
      if (editor_.OnlyConsumer(*before) != &binarize_ || !CanPass(*before)) {
        return;
      }
      if (before->op == "MaxPool") {
        before->op = "BinaryMaxPool";
      } else if (auto threshold = ThresholdBefore(*before)) {
        editor_.SetConstant(binarize_, "threshold", *std::move(threshold));
      }
      editor_.Swap(*before, binarize_);
    }
  }

 private:
  bool CanPass(const Node& before) {
    if (before.op == "MaxPool") return NeverNan(editor_, before);
    if (!IsReshape(before)) return false;
    const Constant* threshold = editor_.FindConstant(binarize_, "threshold");
    if (threshold != nullptr && !ThresholdBefore(before).has_value()) {
      return false;
    }
    // Packed rows that are no whole words would be packed twice for nothing: an
    // image of one channel takes a word a pixel.
    if (editor_.tensor(before.inputs[0]).shape.back() % kWordBits == 0) {
      return true;
    }
    // All nodes that the sign will pass have one origin: ask once.
    if (!from_product_.has_value()) {
      from_product_ = ComesFromProduct(editor_, before);
    }
    return *from_product_;
  }

  // The threshold by the channels before a reshape; nothing if there is none,
  // or elements of one channel have different ones.
  std::optional<Constant> ThresholdBefore(const Node& reshape) const {
    const Constant* after = editor_.FindConstant(binarize_, "threshold");
    if (after == nullptr || after->shape() == Shape{1}) {
      return after == nullptr ? std::nullopt : std::optional(*after);
    }
    // Both count elements in the order of memory, each from where it began.
    const auto channels =
        static_cast<size_t>(editor_.tensor(reshape.inputs[0]).shape.back());
    const std::span<const float> values = after->floats();
    if (channels % values.size() != 0 && values.size() % channels != 0) {
      return std::nullopt;
    }
    for (size_t i = channels; i < values.size(); ++i) {
      if (values[i] != values[i % channels]) return std::nullopt;
    }
    std::vector<float> before(channels);
    for (size_t i = 0; i < channels; ++i) before[i] = values[i % values.size()];
    return MakeFloats({static_cast<int64_t>(channels)}, std::move(before));
  }

  GraphEditor& editor_;
  Node& binarize_;
  std::optional<bool> from_product_;
};

}  // namespace

void HoistBinarize(GraphEditor& editor) {
  for (size_t i = 0; i < editor.node_count(); ++i) {
    if (editor.node(i).op == "Binarize" && !editor.removed(i)) {
      Hoist(editor, editor.node(i)).Run();
    }
  }
}

}  // namespace bqengine
