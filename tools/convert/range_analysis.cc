#include "range_analysis.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>
#include <set>
#include <span>

#include "array.h"

namespace bqengine::convert {
namespace {

// Elementwise ops between a sum and what its operands may have in common.
constexpr size_t kMostSteps = 1024;

using Sets = RangeAnalysis::Sets;
using Function = std::function<ValueSet(const ValueSet&, size_t channel)>;

float At(std::span<const float> values, size_t channel) {
  return values[values.size() == 1 ? 0 : channel];
}

const ValueSet& At(const Sets& sets, size_t channel) {
  return sets[channel % sets.size()];
}

// `function` on each channel, where something else has `channels` of them, or
// as many as repeat.
Sets Mapped(const Sets& sets, size_t channels, const Function& function) {
  Sets out;
  for (size_t c = 0; c < std::lcm(sets.size(), channels); ++c) {
    out.push_back(function(At(sets, c), c));
  }
  return out;
}

ValueSet UnionOf(std::span<const ValueSet> sets) {
  ValueSet all = sets.front();
  for (const ValueSet& set : sets.subspan(1)) all = ValueSet::Union(all, set);
  return all;
}

int64_t Int(const Node& node, const std::string& name, int64_t missing) {
  const auto it = node.attributes.find(name);
  return it == node.attributes.end() ? missing : std::get<int64_t>(it->second);
}

float Float(const Node& node, const std::string& name, float missing) {
  const auto it = node.attributes.find(name);
  return it == node.attributes.end() ? missing : std::get<float>(it->second);
}

bool IsPadded(const Node& node) {
  const auto it = node.attributes.find("pads");
  if (it == node.attributes.end()) return false;
  const auto& pads = std::get<std::vector<int64_t>>(it->second);
  return std::any_of(pads.begin(), pads.end(),
                     [](int64_t p) { return p != 0; });
}

bool IsProduct(const Node& node) {
  return node.op == "Conv" || node.op == "Gemm" || node.op == "BinaryConv" ||
         node.op == "BinaryGemm" || node.op == "BinaryWeightConv" ||
         node.op == "BinaryWeightGemm";
}

// Whether an element of the result may follow from one of the inputs' elements:
// a sum of many weighted ones has a value of its own. Bits that are made floats
// again go through a convolution of single channels.
bool MayFollow(const Node& node, const Graph& graph) {
  if (!IsProduct(node)) return node.op != "Softmax";
  const Shape& weight = graph.constants.at(node.constants.at("weight")).shape();
  const bool bases = node.op.starts_with("Binary");
  return std::all_of(weight.begin() + (bases ? 2 : 1), weight.end(),
                     [](int64_t size) { return size == 1; });
}

bool IsPlain(const Preprocess& p) {
  return p.scale == 1 && p.mean == std::vector<float>{0} &&
         p.std == std::vector<float>{1};
}

// Who says how pixels become the input feeds pixels: their 256 values come
// often, and others, since any number may be fed, rarely.
Sets InputSets(const Graph& graph, const std::string& name) {
  for (const GraphInput& input : graph.inputs) {
    const Preprocess& p = input.preprocess;
    if (input.name != name || IsPlain(p)) continue;
    Sets sets;
    for (size_t c = 0; c < std::max(p.mean.size(), p.std.size()); ++c) {
      std::vector<float> points;
      for (int pixel = 0; pixel < 256; ++pixel) {
        points.push_back((static_cast<float>(pixel) * p.scale - At(p.mean, c)) /
                         At(p.std, c));
      }
      sets.push_back(ValueSet::Spread(std::move(points)));
    }
    return sets;
  }
  return {ValueSet::Any()};
}

// The weights of the channel: {-1, 1} or {0, 1}.
std::vector<float> UnpackedRow(const bqengine::Constant& weight, int64_t row) {
  const int64_t width = weight.shape().back();
  const int64_t words = (width + 63) / 64;
  const int64_t rows = static_cast<int64_t>(weight.words().size()) / words;
  const int64_t per_channel = rows / weight.shape()[1];  // one base
  const float zero = weight.type() == DataType::kBipolar ? -1.0f : 0.0f;
  std::vector<float> values;
  for (int64_t r = row * per_channel; r < (row + 1) * per_channel; ++r) {
    for (int64_t i = 0; i < width; ++i) {
      const bool bit = weight.words()[r * words + i / 64] >> (i % 64) & 1;
      values.push_back(bit ? 1.0f : zero);
    }
  }
  return values;
}

}  // namespace

std::span<const float> RangeAnalysis::Floats(const Node& node,
                                             const std::string& role) const {
  const auto it = node.constants.find(role);
  if (it == node.constants.end()) return {};
  return graph_.constants.at(it->second).floats();
}

void RangeAnalysis::Index() {
  for (; indexed_ < graph_.nodes.size(); ++indexed_) {
    for (const std::string& output : graph_.nodes[indexed_].outputs) {
      producer_[output] = indexed_;
    }
  }
}

const Node* RangeAnalysis::Producer(const std::string& tensor) {
  Index();
  const auto it = producer_.find(tensor);
  return it == producer_.end() ? nullptr : &graph_.nodes[it->second];
}

const Sets& RangeAnalysis::Of(const std::string& tensor) {
  Index();
  // Nodes that are not known yet, in the order in which they stand.
  std::set<size_t> nodes;
  std::vector<std::string> wanted = {tensor};
  while (!wanted.empty()) {
    const std::string name = std::move(wanted.back());
    wanted.pop_back();
    if (known_.count(name) > 0) continue;
    const auto it = producer_.find(name);
    if (it == producer_.end()) {
      known_[name] = InputSets(graph_, name);
    } else if (nodes.insert(it->second).second) {
      const Node& node = graph_.nodes[it->second];
      wanted.insert(wanted.end(), node.inputs.begin(), node.inputs.end());
    }
  }
  for (size_t i : nodes) {
    Sets sets = Evaluate(graph_.nodes[i]);
    size_t bytes = 0;
    for (const ValueSet& set : sets) bytes += set.bytes();
    if (bytes > bytes_left_) sets = {ValueSet::Any()};
    bytes_left_ -= std::min(bytes_left_, bytes);
    known_[graph_.nodes[i].outputs[0]] = std::move(sets);
  }
  return known_.at(tensor);
}

Sets RangeAnalysis::Evaluate(const Node& node) {
  const std::string& op = node.op;
  const Sets& in = known_.at(node.inputs.at(0));
  const auto value = Floats(node, "value");
  if (IsProduct(node)) {
    const bool bits = op == "BinaryConv" || op == "BinaryGemm";
    return bits ? BinaryProduct(node) : FloatProduct(node);
  }
  if (op == "Add" && node.inputs.size() == 2) return Sum(node);
  if (op == "Add") {
    return Mapped(in, value.size(), [&](const ValueSet& x, size_t c) {
      return x.Shifted(At(value, c), value.size() == 1);
    });
  }
  if (op == "Mul" && node.inputs.size() == 2) {
    const Sets& other = known_.at(node.inputs[1]);
    return Mapped(in, other.size(), [&](const ValueSet& x, size_t c) {
      return ValueSet::Product(x, At(other, c));
    });
  }
  if (op == "Mul") {
    return Mapped(in, value.size(), [&](const ValueSet& x, size_t c) {
      return x.Scaled(At(value, c));
    });
  }
  if (op == "BatchNormalization") {
    const auto scale = Floats(node, "scale"), bias = Floats(node, "bias");
    const auto mean = Floats(node, "mean"), var = Floats(node, "var");
    const float epsilon = Float(node, "epsilon", 1e-5f);
    return Mapped(in, scale.size(), [&](const ValueSet& x, size_t c) {
      return x.Normalized(scale[c], bias[c], mean[c], var[c], epsilon);
    });
  }
  if (op == "PRelu") {
    const auto slope = Floats(node, "slope");
    return Mapped(in, slope.size(), [&](const ValueSet& x, size_t c) {
      return x.Leaky(At(slope, c));
    });
  }
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto each = [&](const auto& function) {
    return Mapped(in, 1,
                  [&](const ValueSet& x, size_t) { return function(x); });
  };
  if (op == "Relu") {
    return each([](const ValueSet& x) { return x.Rectified(); });
  }
  if (op == "Clip") {
    return each([&](const ValueSet& x) {
      return x.Clipped(Float(node, "min", -kInfinity),
                       Float(node, "max", kInfinity));
    });
  }
  if (op == "Floor") {
    return each([](const ValueSet& x) { return x.Floored(); });
  }
  if (op == "MaxPool" || op == "BinaryMaxPool") return in;
  if (op == "Binarize") {
    const auto it = node.attributes.find("encoding");
    const bool unipolar = it != node.attributes.end() &&
                          std::get<std::string>(it->second) == "unipolar";
    return {ValueSet::Points({unipolar ? 0.0f : -1.0f, 1.0f})};
  }
  if (op == "GlobalAveragePool" || op == "AveragePool") {
    const bool zeros = IsPadded(node) && Int(node, "count_include_pad", 0) != 0;
    return each([&](const ValueSet& x) {
      return (zeros ? ValueSet::Union(x, ValueSet::Points({0})) : x).Averaged();
    });
  }
  if (op == "Pad") {
    const ValueSet padding = ValueSet::Points({Float(node, "value", 0)});
    return each([&](const ValueSet& x) { return ValueSet::Union(x, padding); });
  }
  if (op == "Softmax") return {ValueSet::Any(0, 1)};
  if (op == "Concat") return Joined(node);
  if (op == "Flatten" || op == "Reshape" || op == "Transpose") {
    return Retold(node);
  }
  return {ValueSet::Any()};
}

// The tensors that elements of `tensor` may follow from, itself included;
// nothing if they are too many.
std::optional<std::set<std::string>> RangeAnalysis::Origins(
    const std::string& tensor) const {
  std::set<std::string> found;
  std::vector<std::string> wanted = {tensor};
  while (!wanted.empty()) {
    const std::string name = std::move(wanted.back());
    wanted.pop_back();
    if (!found.insert(name).second) continue;
    if (found.size() > kMostSteps) return std::nullopt;
    const auto it = producer_.find(name);
    if (it == producer_.end()) continue;
    const Node& node = graph_.nodes[it->second];
    if (!MayFollow(node, graph_)) continue;
    wanted.insert(wanted.end(), node.inputs.begin(), node.inputs.end());
  }
  return found;
}

Sets RangeAnalysis::Sum(const Node& node) {
  const Sets& a = known_.at(node.inputs[0]);
  const Sets& b = known_.at(node.inputs[1]);
  const auto left = Origins(node.inputs[0]);
  const auto right = Origins(node.inputs[1]);
  const bool dependent =
      !left || !right ||
      std::any_of(left->begin(), left->end(), [&](const std::string& name) {
        return right->count(name) > 0;
      });
  return Mapped(a, b.size(), [&](const ValueSet& x, size_t c) {
    return dependent ? ValueSet::DependentSum(x, At(b, c))
                     : ValueSet::Sum(x, At(b, c));
  });
}

// Sums of bits are integers.
Sets RangeAnalysis::BinaryProduct(const Node& node) {
  const bqengine::Constant& weight =
      graph_.constants.at(node.constants.at("weight"));
  const auto beta = Floats(node, "beta"), alpha = Floats(node, "alpha");
  const auto mul = Floats(node, "mul"), add = Floats(node, "add");
  const bool equal = std::adjacent_find(beta.begin(), beta.end(),
                                        std::not_equal_to<>()) == beta.end();
  const size_t channels = static_cast<size_t>(weight.shape()[1]);
  const bool integers = weight.shape()[0] == 1 && equal;
  const bool bipolar = known_.at(node.inputs[0])[0].Exactly(-1) == Occurs::kCan;
  const int64_t bases = static_cast<int64_t>(node.inputs.size());
  Sets out;
  for (size_t o = 0; o < channels; ++o) {
    const auto row = UnpackedRow(weight, static_cast<int64_t>(o));
    const int64_t plus = std::count(row.begin(), row.end(), 1.0f);
    const int64_t minus = std::count(row.begin(), row.end(), -1.0f);
    int64_t first = -minus, last = plus, step = 1;
    if (bipolar) {
      // Each weight that is not 0 adds -1 or 1, unless it meets padding.
      last = plus + minus;
      first = -last;
      const bool fixed = !IsPadded(node) || Int(node, "pad_value", 0) != 0 ||
                         (minus + plus == static_cast<int64_t>(row.size()) &&
                          weight.shape().back() % 2 == 0);
      step = fixed || bases % 2 == 0 ? 2 : 1;
    }
    ValueSet set = first == last
                       ? ValueSet::Points({0})
                       : ValueSet::Integers(first * bases, last * bases, step);
    if (!integers) set = ValueSet::Any();
    if (integers && !beta.empty()) set = set.Scaled(beta[0]);
    if (integers && !alpha.empty()) set = set.Scaled(At(alpha, o));
    if (!mul.empty()) set = set.Scaled(At(mul, o));
    if (!add.empty()) set = set.Shifted(At(add, o), false);
    out.push_back(std::move(set));
  }
  return out;
}

Sets RangeAnalysis::FloatProduct(const Node& node) {
  const bqengine::Constant& weight =
      graph_.constants.at(node.constants.at("weight"));
  const bool bits = IsBits(weight.type());
  if (bits && weight.shape()[0] != 1) return {ValueSet::Any()};
  const int64_t channels = weight.shape()[bits ? 1 : 0];
  const auto bias = Floats(node, bits ? "add" : "bias");
  const auto mul = Floats(node, "mul"), alpha = Floats(node, "alpha");
  const Sets& in = known_.at(node.inputs[0]);
  const int64_t group = Int(node, "group", 1);
  const int64_t width = weight.shape().back();  // inputs of a group
  std::vector<ValueSet> terms;
  for (int64_t g = 0; g < group; ++g) {
    std::vector<ValueSet> sets;
    for (int64_t i = 0; i < std::min<int64_t>(width, in.size()); ++i) {
      sets.push_back(At(in, g * width + i));
    }
    terms.push_back(UnionOf(sets));
  }
  Sets out;
  for (int64_t o = 0; o < channels; ++o) {
    std::vector<float> row;
    if (bits) {
      row = UnpackedRow(weight, o);
    } else {
      const auto all = weight.floats();
      const size_t size = all.size() / channels;
      row.assign(all.begin() + o * size, all.begin() + (o + 1) * size);
    }
    const ValueSet& x = terms[o / (channels / group)];
    ValueSet set = ValueSet::WeightedSum(
        x, row, bits || bias.empty() ? 0.0f : At(bias, o));
    if (!alpha.empty()) set = set.Scaled(At(alpha, o));
    if (!mul.empty()) set = set.Scaled(At(mul, o));
    if (bits && !bias.empty()) set = set.Shifted(At(bias, o), false);
    out.push_back(std::move(set));
  }
  return out;
}

Shape RangeAnalysis::ShapeOf(const std::string& tensor) {
  if (shapes_.count(tensor) == 0) {
    if (inferences_left_-- <= 0) return {};
    // The graph has no outputs yet.
    Graph so_far = graph_;
    so_far.outputs.clear();
    so_far.outputs.push_back({graph_.nodes.back().outputs[0]});
    const auto shapes = InferShapes(so_far);
    if (!shapes.ok()) throw ConvertError(shapes.status().message());
    shapes_ = *shapes;
  }
  return shapes_.at(tensor).shape;
}

// Flatten, Reshape and Transpose: the same elements in other places.
Sets RangeAnalysis::Retold(const Node& node) {
  const Sets& in = known_.at(node.inputs[0]);
  if (in.size() == 1 || node.op == "Flatten") return in;
  const int64_t before = static_cast<int64_t>(in.size());
  const Shape from = ShapeOf(node.inputs[0]), to = ShapeOf(node.outputs[0]);
  if (from.empty() || to.empty() || to.back() % before != 0) {
    return {UnionOf(in)};
  }
  if (node.op == "Reshape") return in;
  const auto& perm = std::get<std::vector<int64_t>>(node.attributes.at("perm"));
  const bool last_stays = perm.back() == static_cast<int64_t>(from.size()) - 1;
  return last_stays ? in : Sets{UnionOf(in)};
}

Sets RangeAnalysis::Joined(const Node& node) {
  const Shape shape = ShapeOf(node.outputs[0]);
  if (shape.empty()) return {ValueSet::Any()};
  const bool channels =
      Int(node, "axis", 0) == static_cast<int64_t>(shape.size()) - 1;
  Sets out;
  for (const std::string& input : node.inputs) {
    const Sets& part = known_.at(input);
    if (channels) {
      for (int64_t c = 0; c < ShapeOf(input).back(); ++c) {
        out.push_back(At(part, c));
      }
    } else {
      out = out.empty()
                ? part
                : Mapped(out, part.size(), [&](const ValueSet& x, size_t c) {
                    return ValueSet::Union(x, At(part, c));
                  });
    }
  }
  return out;
}

}  // namespace bqengine::convert
