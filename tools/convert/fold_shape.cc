// Nodes that move elements about, make them, or reduce them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "fold.h"

namespace bqengine::convert {
namespace {

const Array& Required(const FoldInputs& inputs, size_t i) {
  if (i >= inputs.size() || inputs[i] == nullptr) {
    throw ConvertError(fmt::format("input {} is missing", i));
  }
  return *inputs[i];
}

Array WithShape(const Array& in, Shape shape) {
  if (Elements(shape) != in.size()) {
    throw ConvertError(fmt::format("{} elements do not fit shape {}", in.size(),
                                   ShapeText(shape)));
  }
  Array out = in;
  out.shape = std::move(shape);
  return out;
}

Array Reshape(const SourceNode& node, const FoldInputs& inputs) {
  const Array& in = Required(inputs, 0);
  Shape shape = IntsOf(node, inputs, 1, "shape");
  int64_t known = 1;
  int inferred = -1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0 && node.Int("allowzero", 0) == 0) {
      if (i >= in.shape.size()) throw ConvertError("0 copies no dimension");
      shape[i] = in.shape[i];
    }
    if (shape[i] == -1) {
      if (inferred >= 0) throw ConvertError("two dimensions are -1");
      inferred = static_cast<int>(i);
    } else {
      known = Elements({known, shape[i]});
    }
  }
  if (inferred >= 0) {
    if (known == 0) throw ConvertError("-1 beside a dimension of 0");
    shape[inferred] = in.size() / known;
  }
  return WithShape(in, shape);
}

Array Transpose(const SourceNode& node, const Array& in) {
  std::vector<int64_t> attribute(in.shape.size());
  std::iota(attribute.rbegin(), attribute.rend(), 0);
  attribute = node.Ints("perm", attribute);
  std::vector<int> perm;
  Shape shape;
  for (int64_t p : attribute) {
    perm.push_back(NormalAxis(p, in.shape.size()));
    shape.push_back(in.shape[perm.back()]);
  }
  std::vector<int> sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<int>(i)) throw ConvertError("bad perm");
  }
  if (perm.size() != in.shape.size()) throw ConvertError("bad perm");
  return Take(in, shape, TransposeMap(in.shape, perm));
}

Array Flatten(const SourceNode& node, const Array& in) {
  int64_t axis = node.Int("axis", 1);
  const int64_t rank = static_cast<int64_t>(in.shape.size());
  if (axis < 0) axis += rank;
  if (axis < 0 || axis > rank) throw ConvertError("axis out of range");
  const Shape head(in.shape.begin(), in.shape.begin() + axis);
  const Shape tail(in.shape.begin() + axis, in.shape.end());
  return WithShape(in, {Elements(head), Elements(tail)});
}

Array Squeeze(const SourceNode& node, const FoldInputs& inputs) {
  const Array& in = Required(inputs, 0);
  std::vector<bool> drop(in.shape.size(), false);
  const std::vector<int64_t> axes = IntsOf(node, inputs, 1, "axes");
  for (int64_t axis : axes) drop[NormalAxis(axis, in.shape.size())] = true;
  Shape shape;
  for (size_t i = 0; i < in.shape.size(); ++i) {
    if (axes.empty() ? in.shape[i] != 1 : !drop[i])
      shape.push_back(in.shape[i]);
  }
  return WithShape(in, shape);
}

Array Unsqueeze(const SourceNode& node, const FoldInputs& inputs) {
  const Array& in = Required(inputs, 0);
  const std::vector<int64_t> axes = IntsOf(node, inputs, 1, "axes");
  Shape shape(in.shape.size() + axes.size(), 0);
  for (int64_t axis : axes) shape[NormalAxis(axis, shape.size())] = 1;
  size_t next = 0;
  for (int64_t& dim : shape) {
    if (dim == 0 && next < in.shape.size()) dim = in.shape[next++];
  }
  return WithShape(in, shape);
}

// Elements of one axis, given by their positions, of all the others.
Array Select(const Array& in, int axis, const std::vector<int64_t>& positions,
             const Shape& positions_shape) {
  const Shape head(in.shape.begin(), in.shape.begin() + axis);
  const Shape tail(in.shape.begin() + axis + 1, in.shape.end());
  const int64_t outer = Elements(head), inner = Elements(tail);
  const int64_t size = in.shape[axis];
  CheckFolded({outer, static_cast<int64_t>(positions.size()), inner},
              in.size());
  std::vector<int64_t> map;
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t position : positions) {
      for (int64_t i = 0; i < inner; ++i) {
        map.push_back((o * size + position) * inner + i);
      }
    }
  }
  Shape shape = head;
  shape.insert(shape.end(), positions_shape.begin(), positions_shape.end());
  shape.insert(shape.end(), tail.begin(), tail.end());
  return Take(in, shape, map);
}

Array Gather(const SourceNode& node, const FoldInputs& inputs) {
  const Array& in = Required(inputs, 0);
  const Array& indices = Required(inputs, 1);
  const int axis = NormalAxis(node.Int("axis", 0), in.shape.size());
  std::vector<int64_t> positions;
  for (int64_t index : indices.KnownInts()) {
    positions.push_back(NormalAxis(index, in.shape[axis]));
  }
  return Select(in, axis, positions, indices.shape);
}

// One axis of Slice, with ONNX's clamping of bounds far outside.
std::vector<int64_t> Range(int64_t start, int64_t end, int64_t step,
                           int64_t size) {
  const auto clamp = [size](int64_t bound, int64_t low, int64_t high) {
    if (bound < 0) bound = bound < -size ? -1 : bound + size;
    return std::clamp(bound, low, high);
  };
  std::vector<int64_t> positions;
  if (step > 0) {
    start = clamp(start, 0, size);
    end = clamp(end, 0, size);
    for (int64_t i = start; i < end; i += std::min(step, size)) {
      positions.push_back(i);
    }
  } else if (step < 0) {
    start = clamp(start, -1, size - 1);
    end = clamp(end, -1, size - 1);
    for (int64_t i = start; i > end; i += std::max(step, -size)) {
      positions.push_back(i);
    }
  } else {
    throw ConvertError("step 0");
  }
  return positions;
}

Array Slice(const SourceNode& node, const FoldInputs& inputs) {
  Array out = Required(inputs, 0);
  const std::vector<int64_t> starts = IntsOf(node, inputs, 1, "starts");
  const std::vector<int64_t> ends = IntsOf(node, inputs, 2, "ends");
  std::vector<int64_t> axes = IntsOf(node, inputs, 3, "axes");
  std::vector<int64_t> steps = IntsOf(node, inputs, 4, "steps");
  if (axes.empty()) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (steps.empty()) steps.assign(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() ||
      steps.size() != starts.size()) {
    throw ConvertError("starts, ends, axes and steps differ in length");
  }
  for (size_t i = 0; i < axes.size(); ++i) {
    const int axis = NormalAxis(axes[i], out.shape.size());
    CheckFolded({out.shape[axis]}, out.size());
    const auto positions = Range(starts[i], ends[i], steps[i], out.shape[axis]);
    out =
        Select(out, axis, positions, {static_cast<int64_t>(positions.size())});
  }
  return out;
}

Array Concat(const SourceNode& node, const FoldInputs& inputs) {
  const Array& first = Required(inputs, 0);
  const int axis = NormalAxis(node.Int("axis", 0), first.shape.size());
  Shape shape = first.shape;
  shape[axis] = 0;
  int64_t total = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Array& in = Required(inputs, i);
    Shape others = in.shape;
    if (others.size() != shape.size() || in.type != first.type) {
      throw ConvertError("inputs differ in rank or type");
    }
    shape[axis] += others[axis];
    total += in.size();
    CheckFolded(shape, total);
    others[axis] = shape[axis];
    if (others != shape) throw ConvertError("inputs differ in shape");
  }
  const Shape head(shape.begin(), shape.begin() + axis);
  Array out;
  out.type = first.type;
  out.shape = shape;
  const int64_t outer = Elements(head);
  for (int64_t o = 0; o < outer; ++o) {
    for (const Array* in : inputs) {
      const int64_t count = in->size() / outer;
      for (int64_t i = o * count; i < (o + 1) * count; ++i) {
        if (out.is_float()) {
          out.floats.push_back(in->floats[i]);
        } else {
          out.ints.push_back(in->ints[i]);
          out.is_batch.push_back(in->IsBatch(i));
        }
      }
    }
  }
  return out;
}

// A shape with the batch in it stands for tensors that are the same for every
// item of the batch: one item is kept, which stretches to any batch.
Shape OneItem(const Array& shape) {
  if (shape.is_float()) throw ConvertError("a shape of floats");
  Shape out = shape.ints;
  for (size_t i = 0; i < out.size(); ++i) {
    if (shape.IsBatch(i)) out[i] = 1;
  }
  return out;
}

Array Expand(const FoldInputs& inputs) {
  const Array& in = Required(inputs, 0);
  const Shape shape = BroadcastShape(in.shape, OneItem(Required(inputs, 1)));
  CheckFolded(shape, in.size());
  return Take(in, shape, BroadcastMap(in.shape, shape));
}

Array ConstantOfShape(const SourceNode& node, const FoldInputs& inputs) {
  const Shape shape = OneItem(Required(inputs, 0));
  Array value = Array::Floats({1}, {0.0f});
  if (const auto it = node.attributes.find("value");
      it != node.attributes.end() &&
      std::holds_alternative<Array>(it->second)) {
    value = std::get<Array>(it->second);
  }
  if (value.size() != 1) throw ConvertError("value has not one element");
  CheckFolded(shape, 0);
  return Take(value, shape, std::vector<int64_t>(Elements(shape), 0));
}

Array ConstantNode(const SourceNode& node) {
  for (const auto& [name, value] : node.attributes) {
    if (const auto* array = std::get_if<Array>(&value)) return *array;
    if (const auto* number = std::get_if<float>(&value)) {
      return Array::Floats({}, {*number});
    }
    if (const auto* integer = std::get_if<int64_t>(&value)) {
      return Array::Ints({}, {*integer});
    }
    if (const auto* numbers = std::get_if<std::vector<float>>(&value)) {
      return Array::Floats({static_cast<int64_t>(numbers->size())}, *numbers);
    }
    if (const auto* integers = std::get_if<std::vector<int64_t>>(&value)) {
      return Array::Ints({static_cast<int64_t>(integers->size())}, *integers);
    }
  }
  throw ConvertError("a kind of constant that is not supported");
}

double Start(const std::string& op) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return op == "ReduceMax" ? -kInfinity : op == "ReduceMin" ? kInfinity : 0.0;
}

double (*Step(const std::string& op))(double, double) {
  if (op == "ReduceMax") {
    return [](double sum, double value) { return std::max(sum, value); };
  }
  if (op == "ReduceMin") {
    return [](double sum, double value) { return std::min(sum, value); };
  }
  if (op == "ReduceL1") {
    return [](double sum, double value) { return sum + std::abs(value); };
  }
  return [](double sum, double value) { return sum + value; };
}

Array Reduce(const SourceNode& node, const FoldInputs& inputs) {
  const Array& in = Required(inputs, 0);
  if (!in.is_float() || in.size() == 0) {
    throw ConvertError("reduction of something else than floats");
  }
  std::vector<int64_t> axes = IntsOf(node, inputs, 1, "axes");
  if (axes.empty()) {
    axes.resize(in.shape.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  Shape kept = in.shape;
  for (int64_t axis : axes) kept[NormalAxis(axis, kept.size())] = 1;
  // Stretched back to the input, it tells where each element goes.
  const std::vector<int64_t> place = BroadcastMap(kept, in.shape);
  std::vector<double> sums(Elements(kept), Start(node.op));
  const auto step = Step(node.op);
  for (int64_t i = 0; i < in.size(); ++i) {
    sums[place[i]] = step(sums[place[i]], in.floats[i]);
  }
  const double count =
      node.op == "ReduceMean"
          ? static_cast<double>(in.size()) / static_cast<double>(sums.size())
          : 1.0;
  Array out = Array::Floats(kept, {});
  for (double sum : sums) out.floats.push_back(static_cast<float>(sum / count));
  if (node.Int("keepdims", 1) != 0) return out;
  Shape shape;
  for (size_t i = 0; i < kept.size(); ++i) {
    const bool reduced =
        std::any_of(axes.begin(), axes.end(), [&](int64_t axis) {
          return NormalAxis(axis, kept.size()) == static_cast<int>(i);
        });
    if (!reduced) shape.push_back(kept[i]);
  }
  return WithShape(out, shape);
}

}  // namespace

bool FoldShape(const SourceNode& node, const FoldInputs& inputs, Array* out) {
  const std::string& op = node.op;
  if (op == "Reshape") {
    *out = Reshape(node, inputs);
  } else if (op == "Transpose") {
    *out = Transpose(node, Required(inputs, 0));
  } else if (op == "Flatten") {
    *out = Flatten(node, Required(inputs, 0));
  } else if (op == "Squeeze") {
    *out = Squeeze(node, inputs);
  } else if (op == "Unsqueeze") {
    *out = Unsqueeze(node, inputs);
  } else if (op == "Gather") {
    *out = Gather(node, inputs);
  } else if (op == "Slice") {
    *out = Slice(node, inputs);
  } else if (op == "Concat") {
    *out = Concat(node, inputs);
  } else if (op == "Expand") {
    *out = Expand(inputs);
  } else if (op == "ConstantOfShape") {
    *out = ConstantOfShape(node, inputs);
  } else if (op == "Constant") {
    *out = ConstantNode(node);
  } else if (op == "Shape") {
    const Shape& shape = Required(inputs, 0).shape;
    *out = Array::Ints({static_cast<int64_t>(shape.size())}, shape);
  } else if (op.rfind("Reduce", 0) == 0) {
    *out = Reduce(node, inputs);
  } else {
    return false;
  }
  return true;
}

}  // namespace bqengine::convert
