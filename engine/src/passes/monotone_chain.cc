#include "passes/monotone_chain.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
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

std::optional<MonotoneChain::Op> MonotoneChain::OpOf(const GraphEditor& editor,
                                                     const Node& node) {
  if (!editor.HasData(node) || node.inputs.size() != 1) return std::nullopt;
  if (node.op == "BatchNormalization") {
    backends::Affine affine = AffineOf(editor, node);
    return Op{Kind::kBatchNorm, std::move(affine.mul), std::move(affine.add),
              &node};
  }
  if (node.op == "Mul") {
    return Op{Kind::kMul, Values(*editor.FindConstant(node, "value"))};
  }
  if (node.op == "Add") {
    return Op{Kind::kAdd, Values(*editor.FindConstant(node, "value"))};
  }
  if (node.op == "Relu") return Op{Kind::kRelu, {0.0f}};
  if (node.op == "PRelu") {
    Op op = {Kind::kPRelu, Values(*editor.FindConstant(node, "slope"))};
    for (float slope : op.value) {
      if (!(slope >= 0)) return std::nullopt;  // falls, then rises
    }
    return op;
  }
  if (node.op == "Clip") {
    const float min = std::get<float>(AttributeOf(node, "min"));
    const float max = std::get<float>(AttributeOf(node, "max"));
    if (min > max) return std::nullopt;
    return Op{Kind::kClip, {min, max}};
  }
  if (node.op == "Floor") return Op{Kind::kFloor, {0.0f}};
  return std::nullopt;
}

MonotoneChain MonotoneChain::Walk(GraphEditor& editor, const Node& binarize,
                                  bool through) {
  MonotoneChain chain;
  chain.editor_ = &editor;
  chain.threshold_ = {Kind::kAdd, {0.0f}};
  if (const Constant* threshold = editor.FindConstant(binarize, "threshold")) {
    chain.threshold_.value = Values(*threshold);
  }
  chain.root_ = binarize.inputs[0];
  if (!editor.HasData(binarize)) return chain;
  // Reshapes keep an element's position in memory, of which its channel is the
  // rest of a division; pools keep only the channel. What an op before a pool
  // does must follow from that.
  int64_t channels_of_pool = 0;
  for (size_t length = 0; length < kLongest; ++length) {
    Node* node = editor.Producer(chain.root_);
    if (node == nullptr ||
        (!through && editor.OnlyConsumer(*node) == nullptr)) {
      break;
    }
    const int64_t channels = editor.tensor(node->inputs[0]).shape.back();
    if (channels_of_pool % channels != 0) break;
    if (through && (node->op == "MaxPool" || IsReshape(*node))) {
      if (node->op == "MaxPool") channels_of_pool = channels;
    } else if (std::optional<Op> op = OpOf(editor, *node)) {
      chain.ops_.insert(chain.ops_.begin(), *std::move(op));
    } else {
      break;
    }
    chain.nodes_.insert(chain.nodes_.begin(), node);
    chain.root_ = node->inputs[0];
  }
  return chain;
}

MonotoneChain MonotoneChain::Before(GraphEditor& editor, const Node& binarize) {
  return Walk(editor, binarize, false);
}

MonotoneChain MonotoneChain::Through(GraphEditor& editor,
                                     const Node& binarize) {
  return Walk(editor, binarize, true);
}

int64_t MonotoneChain::period() const {
  constexpr int64_t kMostChannels = int64_t{1} << 24;
  int64_t period = static_cast<int64_t>(threshold_.value.size());
  for (const Op& op : ops_) {
    if (op.kind == Kind::kClip) continue;
    period = std::lcm(period, static_cast<int64_t>(op.value.size()));
    if (period > kMostChannels) return 0;
  }
  return period;
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
    case Kind::kBatchNorm:
      return x * op.At(channel) + op.AddAt(channel);
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

float MonotoneChain::Value(int64_t channel, float x) const {
  for (const Op& op : ops_) x = Apply(op, channel, x);
  return x;
}

bool MonotoneChain::Bit(int64_t channel, float x) const {
  return Value(channel, x) >= threshold(channel);
}

bool MonotoneChain::Exact(int64_t channel, ExactChain* exact) const {
  const auto append = [&](const Op& op) {
    switch (op.kind) {
      case Kind::kMul:
        return exact->Mul(op.At(channel));
      case Kind::kAdd:
        return exact->Add(op.At(channel));
      case Kind::kBatchNorm: {
        const auto of = [&](const char* role) {
          const auto values = editor_->FindConstant(*op.node, role)->floats();
          return values[static_cast<size_t>(channel) % values.size()];
        };
        return exact->BatchNormalization(
            of("scale"), of("bias"), of("mean"), of("var"),
            std::get<float>(AttributeOf(*op.node, "epsilon")));
      }
      case Kind::kRelu:
        return exact->Relu();
      case Kind::kPRelu:
        return exact->PRelu(op.At(channel));
      case Kind::kClip:
        return exact->Clip(op.value[0], op.value[1]);
      case Kind::kFloor:
        return exact->Floor();
    }
    return false;
  };
  return std::all_of(ops_.begin(), ops_.end(), append);
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
  // Infinity times zero, and infinity minus infinity, would be NaN.
  const auto finite = [](float value) { return std::isfinite(value); };
  const auto rising = [](float value) {
    return value > 0 && std::isfinite(value);
  };
  return std::all_of(ops_.begin(), ops_.end(), [&](const Op& op) {
    switch (op.kind) {
      case Kind::kMul:
      case Kind::kPRelu:
        return std::all_of(op.value.begin(), op.value.end(), rising);
      case Kind::kBatchNorm:
        return std::all_of(op.value.begin(), op.value.end(), rising) &&
               std::all_of(op.add.begin(), op.add.end(), finite);
      case Kind::kAdd:
        return std::all_of(op.value.begin(), op.value.end(), finite);
      default:
        return true;
    }
  });
}

bool MonotoneChain::KeepsIntegersFinite() const {
  // NaN if one of them is.
  const auto largest = [](const std::vector<float>& values) {
    float most = 0;
    for (float value : values) {
      most = std::isnan(value) ? value : std::max(std::abs(value), most);
      if (std::isnan(most)) break;
    }
    return most;
  };
  float bound = 0x1p24f;
  for (const Op& op : ops_) {
    const float most = largest(op.value);
    if (std::isnan(most)) return false;
    if (op.kind == Kind::kAdd) {
      bound += most;
    } else if (op.kind == Kind::kMul || op.kind == Kind::kPRelu ||
               op.kind == Kind::kBatchNorm) {
      bound = std::max(bound, bound * most);
      if (op.kind == Kind::kBatchNorm) bound += largest(op.add);
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
