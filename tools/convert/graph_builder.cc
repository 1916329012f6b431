#include "graph_builder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "binary_weights.h"

namespace bqengine::convert {
namespace {

Shape ItemShape(Shape shape) {
  shape[0] = 1;
  return shape;
}

// Reshape's attribute: the batch is copied.
std::vector<int64_t> ShapeAttribute(Shape shape) {
  shape[0] = 0;
  return shape;
}

}  // namespace

std::vector<int> IdentityPerm(size_t rank) {
  std::vector<int> perm(rank);
  std::iota(perm.begin(), perm.end(), 0);
  return perm;
}

std::vector<int> ChannelsLastPerm(size_t rank) {
  std::vector<int> perm = IdentityPerm(rank);
  if (rank > 2) std::rotate(perm.begin() + 1, perm.begin() + 2, perm.end());
  return perm;
}

Shape MemoryShape(const Value& value) {
  Shape shape;
  for (int dim : value.perm) shape.push_back(value.logical[dim]);
  return shape;
}

std::vector<int64_t> MemoryMap(const Value& value) {
  return TransposeMap(ItemShape(value.logical), value.perm);
}

bool MovesNothing(const Shape& shape, const std::vector<int>& perm) {
  int last = -1;
  for (int dim : perm) {
    if (shape[dim] == 1) continue;
    if (dim < last) return false;
    last = dim;
  }
  return true;
}

std::string GraphBuilder::UniqueName(const std::string& wanted) {
  std::string name = wanted;
  while (!names_.insert(name).second) {
    name = fmt::format("{}_{}", wanted,
                       ++copies_.try_emplace(wanted, 1).first->second);
  }
  return name;
}

std::string GraphBuilder::Emit(NodeSpec spec) {
  Node node;
  node.name = UniqueName(spec.name);
  node.op = std::move(spec.op);
  node.inputs = std::move(spec.inputs);
  node.outputs = {node.name};
  node.attributes = std::move(spec.attributes);
  for (auto& [role, constant] : spec.constants) {
    std::string name = node.name + "." + role;
    while (graph_.constants.count(name) > 0) name += "_";
    graph_.constants[name] = std::move(constant);
    node.constants[role] = name;
  }
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back().outputs[0];
}

void GraphBuilder::AddInput(GraphInput input) {
  names_.insert(input.name);
  graph_.inputs.push_back(std::move(input));
}

void GraphBuilder::RenameTensor(const std::string& from,
                                const std::string& to) {
  for (Node& node : graph_.nodes) {
    std::replace(node.inputs.begin(), node.inputs.end(), from, to);
    std::replace(node.outputs.begin(), node.outputs.end(), from, to);
  }
  names_.insert(to);
}

void GraphBuilder::AddOutputs(
    const std::vector<std::pair<std::string, Value>>& outputs) {
  // All are made before the first gets its name: what is kept of values knows
  // tensors by the names they were made with.
  std::vector<std::string> tensors;
  for (const auto& [name, value] : outputs) {
    // Images keep bqengine's order and are declared; all else is put into
    // ONNX's.
    const size_t rank = value.shape.size();
    const bool image = rank > 2 && value.perm == ChannelsLastPerm(rank);
    const Value ordered = image ? value : ToOrder(value, IdentityPerm(rank));
    const bool taken =
        std::any_of(graph_.inputs.begin(), graph_.inputs.end(),
                    [&](const GraphInput& input) {
                      return input.name == ordered.tensor;
                    }) ||
        std::count(tensors.begin(), tensors.end(), ordered.tensor) > 0;
    tensors.push_back(
        taken ? EmitReshape(ordered.tensor, MemoryShape(ordered), name)
              : ordered.tensor);
    graph_.outputs.push_back({name, image ? Layout::kNCHW : Layout::kNHWC});
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string& name = outputs[i].first;
    if (tensors[i] == name) continue;
    if (names_.count(name) > 0) {
      const std::string other = UniqueName(name);
      RenameTensor(name, other);
      std::replace(tensors.begin(), tensors.end(), name, other);
    }
    RenameTensor(tensors[i], name);
    tensors[i] = name;
  }
}

std::string GraphBuilder::EmitReshape(const std::string& tensor,
                                      const Shape& shape,
                                      const std::string& name) {
  return Emit(
      {"Reshape", name, {tensor}, {}, {{"shape", ShapeAttribute(shape)}}});
}

SumOfBits AsSum(const StepFunction& function) {
  const std::vector<float>& v = function.values;
  const bool bipolar = function.type == DataType::kBipolar;
  SumOfBits sum;
  // A bipolar base moves the value by half a step up or down.
  const double middle = (static_cast<double>(v.front()) + v.back()) / 2;
  sum.offset = bipolar ? static_cast<float>(middle) : v.front();
  std::vector<float> steps;
  for (size_t i = 0; i + 1 < v.size(); ++i) {
    const double step = static_cast<double>(v[i + 1]) - v[i];
    steps.push_back(
        static_cast<float>(bipolar && v.size() == 2 ? step / 2 : step));
  }
  const bool equal = std::all_of(steps.begin(), steps.end(),
                                 [&](float s) { return s == steps[0]; });
  if (equal) sum.scale = steps[0];
  if (steps.size() == 1) return sum;
  for (float step : steps) {
    sum.beta.push_back((equal ? 1 : step) * (bipolar ? 0.5f : 1.0f));
  }
  return sum;
}

void GraphBuilder::Prune(StepFunction* f, size_t innermost) {
  const RangeAnalysis::Sets& sets = ranges_.Of(f->source);
  SignReport report;
  report.nodes = f->signs;
  size_t channels = sets.size();
  for (const auto& t : f->thresholds) {
    if (t.size() > 1) channels = innermost;
  }
  prune_budget_ -= static_cast<int64_t>(channels * f->values.size());
  if (prune_budget_ < 0) return;  // all of them are kept
  const auto threshold = [&](size_t i, size_t c) {
    const auto& t = f->thresholds[i];
    return t[t.size() == 1 ? 0 : c];
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  // From above, so that what is left of a value goes to the next larger one.
  for (size_t piece = f->bases() + 1; piece-- > 0;) {
    Occurs most = Occurs::kNever;
    std::vector<Occurs> occurs(channels);
    for (size_t c = 0; c < channels; ++c) {
      const float low = piece == 0 ? -kInfinity : threshold(piece - 1, c);
      const float high = piece == f->bases() ? kInfinity : threshold(piece, c);
      occurs[c] = sets[c % sets.size()].Within(low, high);
      most = std::max(most, occurs[c]);
    }
    if (most != Occurs::kCan) {
      if (f->bases() == 1) continue;  // a constant
      (most == Occurs::kRarely ? report.assumed : report.impossible)
          .push_back(f->values[piece]);
      const size_t gone = std::min(piece, f->bases() - 1);
      f->values.erase(f->values.begin() + piece);
      f->thresholds.erase(f->thresholds.begin() + gone);
      continue;
    }
    if (piece == 0 || piece == f->bases()) continue;
    if (std::count(occurs.begin(), occurs.end(), Occurs::kRarely) > 0) {
      report.assumed_somewhere.push_back(f->values[piece]);
    }
    // Where it cannot come there is one threshold instead of two.
    if (std::count(occurs.begin(), occurs.end(), Occurs::kCan) ==
        static_cast<int64_t>(channels)) {
      continue;
    }
    std::vector<float> upper(innermost);
    for (size_t c = 0; c < innermost; ++c) {
      const bool can = occurs[c % channels] == Occurs::kCan;
      upper[c] = threshold(can ? piece : piece - 1, c);
    }
    f->thresholds[piece] = std::move(upper);
  }
  report.values = f->values;
  const auto same = [&](const SignReport& other) {
    return other.nodes == report.nodes && other.values == report.values;
  };
  if (!report.nodes.empty() &&
      std::none_of(signs_.begin(), signs_.end(), same)) {
    signs_.push_back(std::move(report));
  }
}

Value GraphBuilder::ToBits(const Value& value, bool rising) {
  Value out = value;
  StepFunction& f = *out.step;
  f.JoinEqual();
  if (f.emitted()) return out;
  const int64_t innermost = value.flattened()
                                ? Elements(ItemShape(value.logical))
                                : MemoryShape(value).back();
  Prune(&f, static_cast<size_t>(innermost));
  f.JoinEqual();
  const bool bipolar = f.values.front() == -f.values.back();
  f.type = bipolar ? DataType::kBipolar : DataType::kUnipolar;
  const bool falls_to_zero = !bipolar && f.values.back() == 0;
  std::string source = f.source;
  if (falls_to_zero || (rising && f.falling() && !f.rising())) {
    // x < t  is  -x > -t, and > is >= the next float.
    std::string& negated = made_[source + "\nnegated"];
    if (negated.empty()) {
      negated = Emit({"Mul",
                      value.tensor + "/negated",
                      {source},
                      {{"value", Constant::Floats({1}, {-1.0f})}},
                      {}});
    }
    source = negated;
    for (auto& threshold : f.thresholds) {
      for (float& t : threshold) {
        t = std::nextafter(-t, std::numeric_limits<float>::infinity());
      }
    }
    std::reverse(f.thresholds.begin(), f.thresholds.end());
    std::reverse(f.values.begin(), f.values.end());
  }
  for (const std::vector<float>& threshold : f.thresholds) {
    const std::string key =
        fmt::format("{}\n>= {} {}", source, fmt::join(threshold, ","), bipolar);
    std::string& bits = made_[key];
    if (bits.empty()) {
      NodeSpec spec{"Binarize", value.tensor, {source}, {}, {}};
      if (!f.bits.empty()) {
        spec.name += fmt::format("/base{}", f.bits.size() + 1);
      }
      spec.attributes["encoding"] =
          std::string(bipolar ? "bipolar" : "unipolar");
      if (std::any_of(threshold.begin(), threshold.end(),
                      [](float t) { return t != 0; })) {
        const int64_t count = static_cast<int64_t>(threshold.size());
        spec.constants["threshold"] = Constant::Floats({count}, threshold);
      }
      bits = Emit(std::move(spec));
    }
    f.bits.push_back(bits);
  }
  f.source.clear();
  f.thresholds.clear();
  return out;
}

// No op of bqengine turns bits into floats as such, but a 1x1 convolution of
// each channel with +1 does.
Value GraphBuilder::Dequantized(const Value& bits) {
  const StepFunction& f = *bits.step;
  Value out = bits;
  out.step.reset();
  const std::string key = fmt::format("{}\nfloat {}", fmt::join(f.bits, "\n"),
                                      fmt::join(f.values, " "));
  if (const auto it = made_.find(key); it != made_.end()) {
    out.tensor = it->second;
    return out;
  }
  Shape memory = MemoryShape(bits);
  if (bits.flattened()) memory = {kBatch, Elements(ItemShape(bits.logical))};
  const int64_t channels = memory.back();
  const SumOfBits sum = AsSum(f);
  const std::string name = f.bits[0] + "/to_float";
  NodeSpec spec{"BinaryConv", name, f.bits, {}, {}};
  if (memory.size() != 4) {
    const int64_t rows = Elements(ItemShape(memory)) / channels;
    for (std::string& tensor : spec.inputs) {
      tensor = EmitReshape(tensor, {kBatch, 1, rows, channels},
                           tensor + "/as_image");
    }
  }
  spec.attributes["kernel_shape"] = std::vector<int64_t>{1, 1};
  spec.attributes["group"] = channels;
  spec.constants["weight"] =
      Constant::Bits(DataType::kBipolar, {1, channels, 1, 1, 1},
                     std::vector<uint64_t>(channels, 1));
  const int64_t bases = static_cast<int64_t>(f.bases());
  if (bases > 1) spec.constants["beta"] = Constant::Floats({bases}, sum.beta);
  if (sum.scale != 1)
    spec.constants["mul"] = Constant::Floats({1}, {sum.scale});
  if (sum.offset != 0) {
    spec.constants["add"] = Constant::Floats({1}, {sum.offset});
  }
  out.tensor = Emit(std::move(spec));
  if (memory.size() != 4) {
    out.tensor = EmitReshape(out.tensor, memory, name + "/as_before");
  }
  made_[key] = out.tensor;
  return out;
}

Value GraphBuilder::EmitPad(const Value& value) {
  const PendingPad& pad = *value.pad;
  Value out = value;
  out.pad.reset();
  out.logical = value.shape;
  std::string& made = made_[fmt::format("{}\npad {} {}", value.tensor,
                                        fmt::join(pad.pads, ","), pad.value)];
  if (made.empty()) {
    const auto& p = pad.pads;  // the memory is [batch, height, width, channels]
    made = Emit(
        {"Pad",
         value.tensor + "/padded",
         {value.tensor},
         {},
         {{"pads", std::vector<int64_t>{0, p[0], p[1], 0, 0, p[2], p[3], 0}},
          {"value", pad.value}}});
  }
  out.tensor = made;
  return out;
}

Value GraphBuilder::ToFloat(const Value& value) {
  Value out = value;
  if (value.step) {
    const std::optional<PendingPad> pad = value.pad;
    out.pad.reset();
    out.shape = value.pad ? value.logical : value.shape;
    out = Dequantized(ToBits(out));
    out.pad = pad;
    out.shape = value.shape;
  }
  return out.pad ? EmitPad(out) : out;
}

Value GraphBuilder::WithoutPad(const Value& value) {
  if (!value.pad) return value;
  if (value.emitted()) return ToFloat(value);
  // What the source is padded with must give the value of the padding.
  const StepFunction& f = *value.step;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < f.values.size(); ++i) {
    if (f.values[i] != value.pad->value) continue;
    const auto& threshold = f.thresholds[i == 0 ? 0 : i - 1];
    if (threshold.size() != 1) continue;
    const float filling =
        i == 0 ? std::nextafter(threshold[0], -kInfinity) : threshold[0];
    if (i == 0 && !(filling < threshold[0])) continue;
    if (i > 0 && i < f.bases() &&
        std::any_of(f.thresholds[i].begin(), f.thresholds[i].end(),
                    [&](float t) { return !(filling < t); })) {
      continue;
    }
    Value source = value;
    source.step.reset();
    source.tensor = f.source;
    source.pad->value = filling;
    Value out = value;
    out.pad.reset();
    out.logical = out.shape;
    out.step->source = EmitPad(source).tensor;
    return out;
  }
  return ToFloat(value);
}

Value GraphBuilder::ToOrder(const Value& value, const std::vector<int>& perm) {
  if (value.flattened()) {
    const Value image = Reshaped(value, value.logical);
    const Value moved = ToOrder(image, IdentityPerm(image.shape.size()));
    return Reshaped(moved, value.shape);
  }
  if (value.perm == perm) return value;
  Value out = value.step ? ToBits(value) : value;
  std::vector<int64_t> moves;  // among dimensions in memory
  std::vector<int> moves_int;
  for (int dim : perm) {
    const auto it = std::find(value.perm.begin(), value.perm.end(), dim);
    moves.push_back(it - value.perm.begin());
    moves_int.push_back(static_cast<int>(moves.back()));
  }
  const bool moves_nothing = MovesNothing(MemoryShape(value), moves_int);
  out.perm = perm;
  return ForEachTensor(out, [&](const std::string& tensor) {
    std::string& made =
        made_[fmt::format("{}\norder {} {}", tensor, fmt::join(value.perm, ","),
                          fmt::join(perm, ","))];
    if (made.empty()) {
      made = moves_nothing
                 ? EmitReshape(tensor, MemoryShape(out), tensor + "/reshaped")
                 : Emit({"Transpose",
                         tensor + "/transposed",
                         {tensor},
                         {},
                         {{"perm", moves}}});
    }
    return made;
  });
}

Value GraphBuilder::Reshaped(const Value& value, const Shape& shape) {
  if (value.shape == shape) return value;
  Value in = value.step ? ToBits(value) : value;
  const bool natural = MovesNothing(in.logical, in.perm);
  Value out = in;
  out.shape = shape;
  out.logical = shape;
  const auto reshape = [&](const std::string& tensor) {
    return EmitReshape(tensor, MemoryShape(out), tensor + "/reshaped");
  };
  if (in.flattened() && shape == in.logical) {  // perm stays
    out.logical = in.logical;
    return ForEachTensor(out, reshape);
  }
  if (shape.size() == 2 && in.shape.size() > 2) {
    out.logical = natural ? shape : in.shape;
    out.perm = natural ? IdentityPerm(2) : in.perm;
    return ForEachTensor(out, [&](const std::string& tensor) {
      return Emit({"Flatten", tensor + "/flat", {tensor}, {}, {}});
    });
  }
  if (!natural) in = ToOrder(in, IdentityPerm(in.shape.size()));
  out.step = in.step;
  out.tensor = in.tensor;
  const std::vector<int> image = ChannelsLastPerm(shape.size());
  out.perm = MovesNothing(shape, image) ? image : IdentityPerm(shape.size());
  return ForEachTensor(out, reshape);
}

}  // namespace bqengine::convert
