#include "step_function.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>

namespace bqengine::convert {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float At(const std::vector<float>& values, size_t channel) {
  return values[values.size() == 1 ? 0 : channel];
}

// ------------------------------------------------------------- chains of ops

// One channel of a monotone op with constants, in the engine's arithmetic.
struct Link {
  const Node* node;
  std::vector<float> value;  // of Add and Mul
  float min = -kInfinity, max = kInfinity;

  float operator()(float x, size_t channel) const {
    if (node->op == "Add") return x + At(value, channel);
    if (node->op == "Mul") return x * At(value, channel);
    if (node->op == "Floor") return std::floor(x);
    if (node->op == "Relu") return x < 0 ? 0 : x;
    const float raised = x < min ? min : x;
    return raised > max ? max : raised;
  }
};

float Bound(const Node& node, const char* name, float missing) {
  const auto it = node.attributes.find(name);
  return it == node.attributes.end() ? missing : std::get<float>(it->second);
}

// Whether the op rises everywhere, or falls everywhere (-1); 0 if neither is
// known.
int Direction(const Node& node, const Graph& graph, Link* link) {
  link->node = &node;
  if (node.inputs.size() != 1) return 0;
  if (node.op == "Relu" || node.op == "Floor") return 1;
  if (node.op == "Clip") {
    link->min = Bound(node, "min", -kInfinity);
    link->max = Bound(node, "max", kInfinity);
    return 1;
  }
  if (node.op != "Add" && node.op != "Mul") return 0;
  const auto values = graph.constants.at(node.constants.at("value")).floats();
  link->value.assign(values.begin(), values.end());
  const auto all = [&](const auto& holds) {
    return std::all_of(values.begin(), values.end(), holds);
  };
  if (!all([](float v) { return std::isfinite(v); })) return 0;
  if (node.op == "Add") return 1;
  return all([](float v) { return v > 0; })   ? 1
         : all([](float v) { return v < 0; }) ? -1
                                              : 0;
}

// From a source upwards: each tensor is its link of the next one.
struct Chain {
  std::vector<std::string> tensors;
  std::vector<Link> links;  // links[i] makes tensors[i] of tensors[i + 1]
  std::vector<int> directions;
};

constexpr size_t kLongestChain = 64;

Chain ChainOf(const Graph& graph, const ProducerOf& producer_of,
              const std::string& source) {
  Chain chain;
  chain.tensors.push_back(source);
  while (chain.links.size() < kLongestChain) {
    const Node* node = producer_of(chain.tensors.back());
    if (node == nullptr) break;
    Link link;
    const int direction = Direction(*node, graph, &link);
    if (direction == 0) break;
    chain.links.push_back(std::move(link));
    chain.directions.push_back(direction);
    chain.tensors.push_back(node->inputs[0]);
  }
  return chain;
}

// ------------------------------------------------------ floats in their order

constexpr int64_t kInfinityKey = 0x7f800000;

float FromKey(int64_t key) {
  const uint32_t size = static_cast<uint32_t>(std::abs(key));
  const float x = std::bit_cast<float>(size);
  return key < 0 ? -x : x;
}

// The smallest float at which `holds`, which stays true from there on; nothing
// if that is nowhere.
std::optional<float> FirstFloat(const std::function<bool(float)>& holds) {
  int64_t no = -kInfinityKey - 1, yes = kInfinityKey;
  if (!holds(FromKey(yes))) return std::nullopt;
  while (yes - no > 1) {
    const int64_t middle = (no + yes) >> 1;
    (holds(FromKey(middle)) ? yes : no) = middle;
  }
  return FromKey(yes);
}

// `function`, of tensors[0] of the chain, as one of tensors[length].
std::optional<StepFunction> Lifted(const StepFunction& function,
                                   const Chain& chain, size_t length,
                                   int64_t* budget) {
  bool falls = false;
  size_t channels = 1;
  for (const auto& t : function.thresholds)
    channels = std::max(channels, t.size());
  for (size_t i = 0; i < length; ++i) {
    falls = falls != (chain.directions[i] < 0);
    channels = std::max(channels, chain.links[i].value.size());
  }
  *budget -= static_cast<int64_t>(function.bases() * channels * 33 * length);
  if (*budget < 0) return std::nullopt;
  StepFunction lifted = function;
  lifted.source = chain.tensors[length];
  lifted.thresholds.clear();
  for (size_t i = 0, at = 0; i < function.bases(); ++i) {
    std::vector<float> threshold(channels);
    size_t nowhere = 0;
    for (size_t c = 0; c < channels; ++c) {
      const float t = At(function.thresholds[i], c);
      const auto first = FirstFloat([&](float x) {
        for (size_t j = length; j-- > 0;) x = chain.links[j](x, c);
        return (x >= t) != falls;
      });
      if (!first) ++nowhere;
      threshold[c] = first.value_or(kInfinity);
    }
    if (nowhere == 0) {
      lifted.thresholds.push_back(std::move(threshold));
      ++at;
    } else if (nowhere == channels) {  // never above it, or never below
      lifted.values.erase(lifted.values.begin() + at + (falls ? 0 : 1));
    } else {
      return std::nullopt;  // an infinite x would pass a threshold
    }
  }
  if (lifted.thresholds.empty()) {  // a constant
    lifted.thresholds.push_back({0.0f});
    lifted.values.push_back(lifted.values[0]);
  }
  if (falls) {
    std::reverse(lifted.thresholds.begin(), lifted.thresholds.end());
    std::reverse(lifted.values.begin(), lifted.values.end());
  }
  return lifted;
}

bool Precedes(const std::vector<float>& a, const std::vector<float>& b) {
  for (size_t c = 0; c < std::max(a.size(), b.size()); ++c) {
    if (At(a, c) > At(b, c)) return false;
  }
  return true;
}

}  // namespace

bool StepFunction::rising() const {
  return std::is_sorted(values.begin(), values.end());
}

bool StepFunction::falling() const {
  return std::is_sorted(values.rbegin(), values.rend());
}

void StepFunction::JoinEqual() {
  for (size_t i = bases(); i-- > 0 && bases() > 1;) {
    if (values[i] != values[i + 1]) continue;
    values.erase(values.begin() + i);
    if (emitted()) {
      bits.erase(bits.begin() + i);
    } else {
      thresholds.erase(thresholds.begin() + i);
    }
  }
}

std::optional<StepFunction> Combined(
    const std::vector<StepFunction>& operands,
    const std::function<float(const std::vector<float>&)>& function) {
  std::vector<std::string> signs;
  for (const StepFunction& operand : operands) {
    for (const std::string& sign : operand.signs) {
      if (std::find(signs.begin(), signs.end(), sign) == signs.end()) {
        signs.push_back(sign);
      }
    }
  }
  StepFunction out = operands[0];
  out.signs = std::move(signs);
  if (out.emitted()) {
    for (size_t i = 0; i < out.values.size(); ++i) {
      std::vector<float> arguments;
      for (const StepFunction& operand : operands) {
        if (operand.bits != out.bits) return std::nullopt;
        arguments.push_back(operand.values[i]);
      }
      out.values[i] = function(arguments);
    }
    return out;
  }
  std::vector<size_t> at(operands.size(), 0);  // the piece of each operand
  std::vector<float> arguments;
  for (const StepFunction& operand : operands) {
    if (operand.emitted() || operand.source != operands[0].source) {
      return std::nullopt;
    }
    arguments.push_back(operand.values[0]);
  }
  out.values = {function(arguments)};
  out.thresholds.clear();
  for (;;) {
    // The next threshold of some operand that precedes those of all others.
    size_t next = operands.size();
    for (size_t i = 0; i < operands.size(); ++i) {
      if (at[i] == operands[i].bases()) continue;
      if (next == operands.size() ||
          Precedes(operands[i].thresholds[at[i]],
                   operands[next].thresholds[at[next]])) {
        next = i;
      }
    }
    if (next == operands.size()) break;
    const std::vector<float> threshold = operands[next].thresholds[at[next]];
    for (size_t i = 0; i < operands.size(); ++i) {
      if (at[i] == operands[i].bases()) continue;
      if (!Precedes(threshold, operands[i].thresholds[at[i]])) {
        return std::nullopt;
      }
      if (operands[i].thresholds[at[i]] == threshold) {
        arguments[i] = operands[i].values[++at[i]];
      }
    }
    if (out.thresholds.size() == kMostThresholds) return std::nullopt;
    out.thresholds.push_back(threshold);
    out.values.push_back(function(arguments));
  }
  out.JoinEqual();
  return out;
}

bool GiveCommonSource(const Graph& graph, const ProducerOf& producer_of,
                      std::vector<StepFunction>* operands, int64_t* budget) {
  std::vector<Chain> chains;
  for (const StepFunction& operand : *operands) {
    if (operand.emitted()) return false;
    chains.push_back(ChainOf(graph, producer_of, operand.source));
  }
  for (const std::string& tensor : chains[0].tensors) {
    std::vector<StepFunction> lifted;
    for (size_t i = 0; i < chains.size(); ++i) {
      const auto& tensors = chains[i].tensors;
      const auto it = std::find(tensors.begin(), tensors.end(), tensor);
      if (it == tensors.end()) break;
      auto one = Lifted((*operands)[i], chains[i],
                        static_cast<size_t>(it - tensors.begin()), budget);
      if (!one) break;
      lifted.push_back(*std::move(one));
    }
    if (lifted.size() == chains.size()) {
      *operands = std::move(lifted);
      return true;
    }
  }
  return false;
}

}  // namespace bqengine::convert
