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
#include "bqengine/graph.h"
#include "passes/graph_editor.h"

namespace bqengine {

class MonotoneChain {
 public:
  // The chain of ops that ends in `binarize`, walked towards the inputs as far
  // as each op is known, has one input, and feeds nothing else. `root` is the
  // tensor it starts from. Constants without data end the chain.
  static MonotoneChain Before(GraphEditor& editor, const Node& binarize);

  const std::string& root() const { return root_; }
  // In order of evaluation; the Binarize is not among them.
  const std::vector<Node*>& nodes() const { return nodes_; }

  // Puts a multiplication or addition by a constant at the front.
  void PrependMul(std::vector<float> value);
  void PrependAdd(std::vector<float> value);

  // Whether the sign behind the chain gives bit 1 for x.
  bool Bit(int64_t channel, float x) const;

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
  enum class Kind { kMul, kAdd, kRelu, kPRelu, kClip, kFloor };
  struct Op {
    Kind kind;
    std::vector<float> value;  // one, or one per channel; kClip: min, max
    float At(int64_t channel) const {
      return value[value.size() == 1 ? 0 : channel];
    }
  };

  // False if the node is not such an op.
  static bool OpsOf(GraphEditor& editor, const Node& node,
                    std::vector<Op>* ops);
  static float Apply(const Op& op, int64_t channel, float x);

  std::string root_;
  std::vector<Node*> nodes_;
  std::vector<Op> ops_;
  Op threshold_;
};

// Of a BatchNormalization node whose constants have data.
backends::Affine AffineOf(const GraphEditor& editor, const Node& node);

}  // namespace bqengine

#endif  // ENGINE_SRC_PASSES_MONOTONE_CHAIN_H_
