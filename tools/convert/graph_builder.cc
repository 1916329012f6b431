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
  for (GraphOutput& output : graph_.outputs) {
    if (output.name == from) output.name = to;
  }
  names_.insert(to);
}

void GraphBuilder::AddOutput(const Value& value, const std::string& name) {
  // Images keep bqengine's order and are declared; all else is put into ONNX's.
  const size_t rank = value.shape.size();
  const bool image = rank > 2 && value.perm == ChannelsLastPerm(rank);
  const Value ordered = image ? value : ToOrder(value, IdentityPerm(rank));
  std::string tensor = ordered.tensor;
  const auto taken = [&](const auto& list) {
    return std::any_of(list.begin(), list.end(),
                       [&](const auto& entry) { return entry.name == tensor; });
  };
  if (taken(graph_.inputs) || taken(graph_.outputs)) {
    tensor = EmitReshape(tensor, MemoryShape(ordered), name);
  }
  if (tensor != name) {
    if (names_.count(name) > 0) RenameTensor(name, UniqueName(name));
    RenameTensor(tensor, name);
  }
  graph_.outputs.push_back({name, image ? Layout::kNCHW : Layout::kNHWC});
}

std::string GraphBuilder::EmitReshape(const std::string& tensor,
                                      const Shape& shape,
                                      const std::string& name) {
  return Emit(
      {"Reshape", name, {tensor}, {}, {{"shape", ShapeAttribute(shape)}}});
}

Value GraphBuilder::ToBits(const Value& value) {
  if (value.emitted()) return value;
  const TwoValued& two = *value.two;
  const bool flip = two.low > two.high;
  const bool bipolar = two.low == -two.high;
  const std::string key =
      fmt::format("{}\n>= {} {} {}", two.source, fmt::join(two.threshold, ","),
                  flip, bipolar);
  if (const auto it = made_.find(key); it != made_.end()) {
    Value same = value;
    same.tensor = it->second.tensor;
    same.type = it->second.type;
    same.two->source.clear();
    if (flip) std::swap(same.two->low, same.two->high);
    return same;
  }
  Value bits = value;
  std::string source = two.source;
  std::vector<float> threshold = two.threshold;
  if (flip) {  // x < t  is  -x > -t, and > is >= the next float
    source = Emit({"Mul",
                   value.tensor + "/negated",
                   {source},
                   {{"value", Constant::Floats({1}, {-1.0f})}},
                   {}});
    for (float& t : threshold) {
      t = std::nextafter(-t, std::numeric_limits<float>::infinity());
    }
    std::swap(bits.two->low, bits.two->high);
  }
  NodeSpec spec{"Binarize", value.tensor, {source}, {}, {}};
  spec.attributes["encoding"] = std::string(bipolar ? "bipolar" : "unipolar");
  if (std::any_of(threshold.begin(), threshold.end(),
                  [](float t) { return t != 0; })) {
    const int64_t count = static_cast<int64_t>(threshold.size());
    spec.constants["threshold"] = Constant::Floats({count}, threshold);
  }
  bits.tensor = Emit(std::move(spec));
  bits.type = bipolar ? DataType::kBipolar : DataType::kUnipolar;
  bits.two->source.clear();
  bits.two->threshold.clear();
  made_[key] = bits;
  return bits;
}

// No op of bqengine turns bits into floats as such, but a 1x1 convolution of
// each channel with +1 does.
Value GraphBuilder::Dequantized(const Value& bits) {
  const float low = bits.two->low, high = bits.two->high;
  const std::string key =
      fmt::format("{}\nfloat {} {}", bits.tensor, low, high);
  if (const auto it = made_.find(key); it != made_.end()) return it->second;

  Shape memory = MemoryShape(bits);
  if (bits.flattened()) memory = {kBatch, Elements(ItemShape(bits.logical))};
  const int64_t channels = memory.back();
  std::string tensor = bits.tensor;
  if (memory.size() != 4) {
    const int64_t rows = Elements(ItemShape(memory)) / channels;
    tensor = EmitReshape(tensor, {kBatch, 1, rows, channels},
                         bits.tensor + "/as_image");
  }
  // value = acc * mul + add with acc -1 and 1, or 0 and 1.
  const bool bipolar = bits.type == DataType::kBipolar;
  const double width = static_cast<double>(high) - low;
  const float mul = static_cast<float>(bipolar ? width / 2 : width);
  const float add =
      static_cast<float>(bipolar ? (static_cast<double>(high) + low) / 2 : low);
  NodeSpec spec{"BinaryConv", bits.tensor + "/to_float", {tensor}, {}, {}};
  spec.attributes["kernel_shape"] = std::vector<int64_t>{1, 1};
  spec.attributes["group"] = channels;
  spec.constants["weight"] =
      Constant::Bits(DataType::kBipolar, {1, channels, 1, 1, 1},
                     std::vector<uint64_t>(channels, 1));
  if (mul != 1) spec.constants["mul"] = Constant::Floats({1}, {mul});
  if (add != 0) spec.constants["add"] = Constant::Floats({1}, {add});
  Value out = bits;
  out.tensor = Emit(std::move(spec));
  if (memory.size() != 4) {
    out.tensor =
        EmitReshape(out.tensor, memory, bits.tensor + "/to_float/as_before");
  }
  out.type = DataType::kFloat32;
  out.two.reset();
  made_[key] = out;
  return out;
}

Value GraphBuilder::EmitPad(const Value& value) {
  const PendingPad& pad = *value.pad;
  const std::string key = fmt::format("{}\npad {} {}", value.tensor,
                                      fmt::join(pad.pads, ","), pad.value);
  if (const auto it = made_.find(key); it != made_.end()) return it->second;
  Value out = value;
  out.pad.reset();
  out.logical = value.shape;
  const auto& p = pad.pads;  // the memory is [batch, height, width, channels]
  out.tensor =
      Emit({"Pad",
            value.tensor + "/padded",
            {value.tensor},
            {},
            {{"pads", std::vector<int64_t>{0, p[0], p[1], 0, 0, p[2], p[3], 0}},
             {"value", pad.value}}});
  made_[key] = out;
  return out;
}

Value GraphBuilder::ToFloat(const Value& value) {
  Value out = value;
  if (value.two) {
    const std::optional<PendingPad> pad = value.pad;
    out.pad.reset();
    out.shape = value.pad ? value.logical : value.shape;
    out = Dequantized(ToBits(out));
    out.pad = pad;
    out.shape = value.shape;
  }
  return out.pad ? EmitPad(out) : out;
}

Value GraphBuilder::ToOrder(const Value& value, const std::vector<int>& perm) {
  if (value.flattened()) {
    const Value image = Reshaped(value, value.logical);
    const Value moved = ToOrder(image, IdentityPerm(image.shape.size()));
    return Reshaped(moved, value.shape);
  }
  if (value.perm == perm) return value;
  Value out = value.two ? ToBits(value) : value;
  const std::string key =
      fmt::format("{}\norder {} {}", out.tensor, fmt::join(value.perm, ","),
                  fmt::join(perm, ","));
  if (const auto it = made_.find(key); it != made_.end()) {
    out.perm = perm;
    out.tensor = it->second.tensor;
    return out;
  }
  std::vector<int64_t> moves;  // among dimensions in memory
  std::vector<int> moves_int;
  for (int dim : perm) {
    const auto it = std::find(value.perm.begin(), value.perm.end(), dim);
    moves.push_back(it - value.perm.begin());
    moves_int.push_back(static_cast<int>(moves.back()));
  }
  const Shape memory = MemoryShape(value);
  out.perm = perm;
  out.tensor =
      MovesNothing(memory, moves_int)
          ? EmitReshape(out.tensor, MemoryShape(out), out.tensor + "/reshaped")
          : Emit({"Transpose",
                  out.tensor + "/transposed",
                  {out.tensor},
                  {},
                  {{"perm", moves}}});
  made_[key] = out;
  return out;
}

Value GraphBuilder::Reshaped(const Value& value, const Shape& shape) {
  if (value.shape == shape) return value;
  Value in = value.two ? ToBits(value) : value;
  const bool natural = MovesNothing(in.logical, in.perm);
  const std::string name = in.tensor + "/reshaped";
  Value out = in;
  out.shape = shape;
  out.logical = shape;
  if (in.flattened() && shape == in.logical) {
    out.tensor = EmitReshape(in.tensor, MemoryShape(in), name);
    return out;  // perm stays
  }
  if (shape.size() == 2 && in.shape.size() > 2) {
    out.logical = natural ? shape : in.shape;
    out.perm = natural ? IdentityPerm(2) : in.perm;
    out.tensor = Emit({"Flatten", in.tensor + "/flat", {in.tensor}, {}, {}});
    return out;
  }
  if (!natural) in = ToOrder(in, IdentityPerm(in.shape.size()));
  const std::vector<int> image = ChannelsLastPerm(shape.size());
  out.perm = MovesNothing(shape, image) ? image : IdentityPerm(shape.size());
  out.tensor = EmitReshape(in.tensor, MemoryShape(out), name);
  return out;
}

}  // namespace bqengine::convert
