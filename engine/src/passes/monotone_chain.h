// Chains of elementwise ops that are monotone in each channel, evaluated in the
// same float arithmetic as the kernels use. Passes ask them where a following
// sign switches, instead of inverting formulas: so the answer is exact, at
// equality too.
#ifndef ENGINE_SRC_PASSES_MONOTONE_CHAIN_H_
#define ENGINE_SRC_PASSES_MONOTONE_CHAIN_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "batch_norm.h"
#include "bqengine/exact_chain.h"
#include "bqengine/graph.h"
#include "passes/graph_editor.h"

namespace bqengine {

class MonotoneChain {
 public:
  // The chain of ops that ends in `binarize`, walked towards the inputs as far
  // as each op is known, has one input, and feeds nothing else. `root` is the
  // tensor it starts from. Constants without data end the chain.
  static MonotoneChain Before(GraphEditor& editor, const Node& binarize);

  // The same for who only asks where the sign switches, and leaves the nodes as
  // they are: they may feed others, too, and between them may be what only
  // moves values (MaxPool, Flatten, Reshape).
  static MonotoneChain Through(GraphEditor& editor, const Node& binarize);

  const std::string& root() const { return root_; }
  // In order of evaluation; the Binarize is not among them.
  const std::vector<Node*>& nodes() const { return nodes_; }

  // Puts a multiplication or addition by a constant at the front.
  void PrependMul(std::vector<float> value);
  void PrependAdd(std::vector<float> value);

  bool empty() const { return ops_.empty(); }
  // Channels c and c + period() are treated alike; 0 if it is too large.
  int64_t period() const;

  // What the chain makes of x, in float arithmetic; the sign behind it compares
  // that with the threshold.
  float Value(int64_t channel, float x) const;
  float threshold(int64_t channel) const { return threshold_.At(channel); }
  bool Bit(int64_t channel, float x) const;

  // The chain in exact arithmetic; false if a number in it is not finite or it
  // is too long.
  bool Exact(int64_t channel, ExactChain* exact) const;

  // True if all values between f(low) and f(high) are finite, at each op: then
  // no NaN can arise and the bit switches at most once.
  bool IsFiniteBetween(int64_t channel, float low, float high) const;

  // True if the chain rises in every channel, also at infinity.
  bool IsIncreasing() const;

  // True if no constant is so large that a NaN could arise from integers
  // (|x| <= 2^24).
  bool KeepsIntegersFinite() const;

  // The smallest float, infinities included, for which Bit is true; nullopt if
  // there is none. Precondition: IsIncreasing.
  std::optional<float> SmallestTrue(int64_t channel) const;

 private:
  enum class Kind { kMul, kAdd, kBatchNorm, kRelu, kPRelu, kClip, kFloor };
  struct Op {
    Kind kind;
    std::vector<float> value;  // one, or one per channel; kClip: min, max
    // kBatchNorm: `value` is its factor, `add` its summand, and `node` has the
    // numbers that both were computed from.
    std::vector<float> add = {};
    const Node* node = nullptr;
    // Behind Flatten and Reshape the channels of an op before them repeat.
    float At(int64_t channel) const {
      return value[static_cast<size_t>(channel) % value.size()];
    }
    float AddAt(int64_t channel) const {
      return add[static_cast<size_t>(channel) % add.size()];
    }
  };

  static MonotoneChain Walk(GraphEditor& editor, const Node& binarize,
                            bool through);
  // Nothing if the node is not such an op.
  static std::optional<Op> OpOf(const GraphEditor& editor, const Node& node);
  static float Apply(const Op& op, int64_t channel, float x);

  const GraphEditor* editor_ = nullptr;
  std::string root_;
  std::vector<Node*> nodes_;
  std::vector<Op> ops_;
  Op threshold_;
};

// Of a BatchNormalization node whose constants have data.
backends::Affine AffineOf(const GraphEditor& editor, const Node& node);

}  // namespace bqengine

#endif  // ENGINE_SRC_PASSES_MONOTONE_CHAIN_H_
