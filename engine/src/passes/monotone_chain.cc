#include "passes/monotone_chain.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "passes/op_kinds.h"

namespace bqengine {
namespace {

// Nodes of a chain. Networks have two or three between a product and a sign;
// without a limit a hostile model could make evaluation take forever.
constexpr size_t kLongest = 32;

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> Values(const Constant& constant) {
  return {constant.floats().begin(), constant.floats().end()};
}

// Floats in their order as integers; -0 comes just before +0.
int64_t ToOrdered(float x) {
  const int32_t bits = std::bit_cast<int32_t>(x);
  return bits >= 0 ? bits
                   : int64_t{std::numeric_limits<int32_t>::min()} - bits - 1;
}
float FromOrdered(int64_t i) {
  return std::bit_cast<float>(static_cast<int32_t>(
      i >= 0 ? i : int64_t{std::numeric_limits<int32_t>::min()} - i - 1));
}

}  // namespace

backends::Affine AffineOf(const GraphEditor& editor, const Node& node) {
  const auto values = [&](const char* role) {
    return editor.FindConstant(node, role)->floats();
  };
  return backends::AffineOfBatchNorm(
      values("scale"), values("bias"), values("mean"), values("var"),
      std::get<float>(AttributeOf(node, "epsilon")));
}

bool MonotoneChain::OpsOf(GraphEditor& editor, const Node& node,
                          std::vector<Op>* ops) {
  if (!editor.HasData(node) || node.inputs.size() != 1) return false;
  if (node.op == "BatchNormalization") {
    backends::Affine affine = AffineOf(editor, node);
    *ops = {{Kind::kMul, std::move(affine.mul)},
            {Kind::kAdd, std::move(affine.add)}};
  } else if (node.op == "Mul") {
    *ops = {{Kind::kMul, Values(*editor.FindConstant(node, "value"))}};
  } else if (node.op == "Add") {
    *ops = {{Kind::kAdd, Values(*editor.FindConstant(node, "value"))}};
  } else if (node.op == "Relu") {
    *ops = {{Kind::kRelu, {}}};
  } else if (node.op == "PRelu") {
    *ops = {{Kind::kPRelu, Values(*editor.FindConstant(node, "slope"))}};
    for (float slope : (*ops)[0].value) {
      if (!(slope >= 0)) return false;  // falls, then rises
    }
  } else if (node.op == "Clip") {
    const float min = std::get<float>(AttributeOf(node, "min"));
    const float max = std::get<float>(AttributeOf(node, "max"));
    if (min > max) return false;
    *ops = {{Kind::kClip, {min, max}}};
  } else if (node.op == "Floor") {
    *ops = {{Kind::kFloor, {}}};
  } else {
    return false;
  }
  return true;
}

MonotoneChain MonotoneChain::Before(GraphEditor& editor, const Node& binarize) {
  MonotoneChain chain;
  chain.threshold_ = {Kind::kAdd, {0.0f}};
  if (const Constant* threshold = editor.FindConstant(binarize, "threshold")) {
    chain.threshold_.value = Values(*threshold);
  }
  chain.root_ = binarize.inputs[0];
  if (!editor.HasData(binarize)) return chain;
  while (chain.nodes_.size() < kLongest) {
    Node* node = editor.Producer(chain.root_);
    std::vector<Op> ops;
    if (node == nullptr || editor.OnlyConsumer(*node) == nullptr ||
        !OpsOf(editor, *node, &ops)) {
      break;
    }
    chain.ops_.insert(chain.ops_.begin(), ops.begin(), ops.end());
    chain.nodes_.insert(chain.nodes_.begin(), node);
    chain.root_ = node->inputs[0];
  }
  return chain;
}

void MonotoneChain::PrependMul(std::vector<float> value) {
  ops_.insert(ops_.begin(), {Kind::kMul, std::move(value)});
}

void MonotoneChain::PrependAdd(std::vector<float> value) {
  ops_.insert(ops_.begin(), {Kind::kAdd, std::move(value)});
}

float MonotoneChain::Apply(const Op& op, int64_t channel, float x) {
  switch (op.kind) {
    case Kind::kMul:
      return x * op.At(channel);
    case Kind::kAdd:
      return x + op.At(channel);
    case Kind::kRelu:
      return x < 0 ? 0.0f : x;
    case Kind::kPRelu:
      return x < 0 ? op.At(channel) * x : x;
    case Kind::kClip:
      return x < op.value[0] ? op.value[0] : x > op.value[1] ? op.value[1] : x;
    case Kind::kFloor:
      return std::floor(x);
  }
  return x;
}

bool MonotoneChain::Bit(int64_t channel, float x) const {
  for (const Op& op : ops_) x = Apply(op, channel, x);
  return x >= threshold_.At(channel);
}

bool MonotoneChain::IsFiniteBetween(int64_t channel, float low,
                                    float high) const {
  for (const Op& op : ops_) {
    low = Apply(op, channel, low);
    high = Apply(op, channel, high);
    if (!std::isfinite(low) || !std::isfinite(high)) return false;
  }
  return true;
}

bool MonotoneChain::IsIncreasing() const {
  return std::all_of(ops_.begin(), ops_.end(), [](const Op& op) {
    // Infinity times zero, and infinity minus infinity, would be NaN.
    return std::all_of(op.value.begin(), op.value.end(), [&](float value) {
      switch (op.kind) {
        case Kind::kMul:
        case Kind::kPRelu:
          return value > 0 && std::isfinite(value);
        case Kind::kAdd:
          return std::isfinite(value);
        default:
          return true;
      }
    });
  });
}

bool MonotoneChain::KeepsIntegersFinite() const {
  float bound = 0x1p24f;
  for (const Op& op : ops_) {
    float largest = 0;
    for (float value : op.value) {
      if (std::isnan(value)) return false;
      largest = std::max(largest, std::abs(value));
    }
    if (op.kind == Kind::kMul || op.kind == Kind::kPRelu) {
      bound = std::max(bound, bound * largest);
    } else if (op.kind == Kind::kAdd) {
      bound += largest;
    }
    if (!std::isfinite(bound)) return false;
  }
  return true;
}

std::optional<float> MonotoneChain::SmallestTrue(int64_t channel) const {
  int64_t low = ToOrdered(-kInf);
  int64_t high = ToOrdered(kInf);
  if (!Bit(channel, kInf)) return std::nullopt;
  if (Bit(channel, -kInf)) return -kInf;
  // Bit(low) is false, Bit(high) is true.
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (Bit(channel, FromOrdered(middle)) ? high : low) = middle;
  }
  return FromOrdered(high);
}

}  // namespace bqengine
