// Ops that change shapes, and those that have an axis.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "converter.h"

namespace bqengine::convert {
namespace {

Shape ItemOf(const Shape& shape) { return {shape.begin() + 1, shape.end()}; }

// Where dimension `axis` lies in memory.
int MemoryAxis(const Value& value, int axis) {
  if (value.flattened()) return axis;
  const auto it = std::find(value.perm.begin(), value.perm.end(), axis);
  return static_cast<int>(it - value.perm.begin());
}

}  // namespace

void Converter::Reshape(const SourceNode& node) {
  const Array& target = RequiredConstant(node, 1);
  const Value in = Settled(node, 0);
  if (target.is_float() || target.size() < 1) throw ConvertError("bad shape");
  if (node.Int("allowzero", 0) != 0) throw ConvertError("allowzero");

  const int64_t item = Elements(ItemOf(in.shape));
  Shape shape = target.ints;
  int64_t known = 1;
  int inferred = -1;
  for (size_t i = 1; i < shape.size(); ++i) {
    if (target.IsBatch(static_cast<int64_t>(i))) {
      throw ConvertError("the batch must stay the first dimension");
    }
    if (shape[i] == 0 && i < in.shape.size()) shape[i] = in.shape[i];
    if (shape[i] == -1 && inferred < 0) {
      inferred = static_cast<int>(i);
    } else {
      known = Elements({known, shape[i]});
    }
  }
  if (inferred >= 0 && known > 0) shape[inferred] = item / known;
  // What stands for the batch: its size as a number only if the file was
  // exported with that batch.
  const bool same_batch =
      target.IsBatch(0) || shape[0] == 0 || shape[0] == -1 ||
      std::any_of(model_.inputs.begin(), model_.inputs.end(),
                  [&](const SourceInput& input) {
                    return input.declared_batch == shape[0];
                  });
  shape[0] = kBatch;
  if (!same_batch || shape.size() < 2 || Elements(ItemOf(shape)) != item) {
    throw ConvertError(fmt::format("{} to {} would move the batch",
                                   ShapeText(in.shape), ShapeText(shape)));
  }
  Set(node, builder_.Reshaped(in, shape));
}

void Converter::Flatten(const SourceNode& node) {
  const Value in = Settled(node, 0);
  const int64_t rank = static_cast<int64_t>(in.shape.size());
  const int64_t axis = node.Int("axis", 1);
  if (axis != 1 && axis != 1 - rank) {
    throw ConvertError("only axis 1 is supported: the batch stays the batch");
  }
  Set(node, builder_.Reshaped(in, {kBatch, Elements(ItemOf(in.shape))}));
}

void Converter::Squeeze(const SourceNode& node) {
  const Value in = Settled(node, 0);
  if (node.inputs.size() > 1) Constant(node, 1);
  const auto axes = IntsOf(node, ConstantInputs(node), 1, "axes");
  std::vector<bool> drop(in.shape.size(), false);
  for (int64_t axis : axes) drop[NormalAxis(axis, in.shape.size())] = true;
  Shape shape;
  for (size_t i = 0; i < in.shape.size(); ++i) {
    const bool one = in.shape[i] == 1;
    if (axes.empty() ? one : drop[i]) {
      if (!one) throw ConvertError("a dimension that is not 1");
    } else {
      shape.push_back(in.shape[i]);
    }
  }
  if (shape.size() < 2 || shape[0] != kBatch) {
    throw ConvertError("the batch and one more dimension must stay");
  }
  Set(node, builder_.Reshaped(in, shape));
}

void Converter::Unsqueeze(const SourceNode& node) {
  const Value in = Settled(node, 0);
  if (node.inputs.size() > 1) Constant(node, 1);
  const auto axes = IntsOf(node, ConstantInputs(node), 1, "axes");
  Shape shape(in.shape.size() + axes.size(), 0);
  for (int64_t axis : axes) shape[NormalAxis(axis, shape.size())] = 1;
  if (shape[0] == 1) throw ConvertError("the batch must stay first");
  size_t next = 0;
  for (int64_t& dim : shape) {
    if (dim == 0 && next < in.shape.size()) dim = in.shape[next++];
  }
  if (next != in.shape.size() ||
      std::count(shape.begin(), shape.end(), 0) > 0) {
    throw ConvertError("axes repeat each other");
  }
  Set(node, builder_.Reshaped(in, shape));
}

// Nothing moves: only what ONNX calls which dimension changes. Whoever needs
// another order in memory asks for it.
void Converter::Transpose(const SourceNode& node) {
  Value in = Settled(node, 0);
  const size_t rank = in.shape.size();
  std::vector<int64_t> reversed(rank);
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  const std::vector<int64_t> perm = node.Ints("perm", reversed);
  std::vector<int64_t> sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  std::vector<int64_t> identity(reversed.rbegin(), reversed.rend());
  if (sorted != identity || perm[0] != 0) {
    throw ConvertError("perm must order the dimensions and leave the batch");
  }
  if (perm == identity) return Set(node, std::move(in));
  Value out = in;
  for (size_t i = 0; i < rank; ++i) {
    out.shape[i] = in.shape[perm[i]];
    const auto it = std::find(perm.begin(), perm.end(), in.perm[i]);
    out.perm[i] = static_cast<int>(it - perm.begin());
  }
  out.logical = out.shape;
  Set(node, std::move(out));
}

// Makes all of them bits of the same values, or returns false. Where one takes
// fewer values than another, a base stands for several.
bool Converter::AsBitsAlike(std::vector<Value>* parts) {
  const StepFunction* most = nullptr;
  for (Value& part : *parts) {
    if (!part.step) return false;
    part = builder_.ToBits(part);
  }
  for (const Value& part : *parts) {
    if (most == nullptr || part.step->bases() > most->bases()) {
      most = &*part.step;
    }
  }
  const std::vector<float> values = most->values;
  const DataType type = most->type;
  for (Value& part : *parts) {
    StepFunction& f = *part.step;
    if (f.values == values && f.type == type) continue;
    if (f.type != type || f.values.front() != values.front() ||
        f.values.back() != values.back() || !f.rising() ||
        !std::is_sorted(values.begin(), values.end())) {
      return false;
    }
    // Each of `values` but the first is the upper end of a base of f.
    std::vector<std::string> bits;
    size_t base = 0;
    for (size_t i = 1; i < values.size(); ++i) {
      if (base == f.bases() || values[i] > f.values[base + 1]) return false;
      bits.push_back(f.bits[base]);
      if (values[i] == f.values[base + 1]) ++base;
    }
    f.bits = std::move(bits);
    f.values = values;
  }
  return true;
}

void Converter::Concat(const SourceNode& node) {
  std::vector<Value> parts;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    parts.push_back(Settled(node, i));
  }
  if (parts.empty()) throw ConvertError("no input");
  const size_t rank = parts[0].shape.size();
  const int axis = NormalAxis(node.Int("axis", 0), rank);
  if (axis == 0) throw ConvertError("the batch cannot be joined");
  const std::vector<int> perm =
      parts[0].flattened() ? IdentityPerm(rank) : parts[0].perm;
  for (Value& part : parts) {
    if (part.shape.size() != rank) throw ConvertError("inputs differ in rank");
    part = builder_.ToOrder(part, perm);
  }
  const bool bits = AsBitsAlike(&parts);
  Value out = parts[0];
  out.shape[axis] = 0;
  for (Value& part : parts) {
    if (!bits) part = builder_.ToFloat(part);
    out.shape[axis] += part.shape[axis];
  }
  out.logical = out.shape;
  for (const Value& part : parts) {
    Shape others = part.shape;
    others[axis] = out.shape[axis];
    if (others != out.shape) throw ConvertError("inputs differ in shape");
  }
  const int64_t memory_axis = MemoryAxis(out, axis);
  const auto join = [&](const auto& tensor_of) {
    GraphBuilder::NodeSpec spec{"Concat", node.outputs[0], {}, {}, {}};
    for (const Value& part : parts) spec.inputs.push_back(tensor_of(part));
    spec.attributes["axis"] = memory_axis;
    return builder_.Emit(std::move(spec));
  };
  if (bits) {
    for (size_t i = 0; i < out.step->bits.size(); ++i) {
      out.step->bits[i] =
          join([i](const Value& part) { return part.step->bits[i]; });
    }
  } else {
    out.step.reset();
    out.tensor = join([](const Value& part) { return part.tensor; });
  }
  Set(node, std::move(out));
}

void Converter::Softmax(const SourceNode& node) {
  Value in = Float(node, 0);
  const size_t rank = in.shape.size();
  const bool joint = model_.opset < 13;  // over `axis` and all that follow
  const int axis = NormalAxis(node.Int("axis", joint ? 1 : -1), rank);
  if (axis == 0) throw ConvertError("the batch cannot be normalised over");
  const int64_t behind =
      Elements({in.shape.begin() + axis + 1, in.shape.end()});
  const Shape before = in.shape;
  const bool flatten = joint && behind != 1;
  if (flatten && axis != 1) throw ConvertError("axis must be 1 or the last");
  if (flatten) {
    in = builder_.Reshaped(in, {kBatch, Elements(ItemOf(before))});
  }
  Value out = Emitted(
      node, "Softmax", in, {},
      {{"axis", static_cast<int64_t>(flatten ? 1 : MemoryAxis(in, axis))}});
  if (flatten) out = builder_.Reshaped(out, before);
  Set(node, std::move(out));
}

// The mean of each channel of an image, as PyTorch writes it.
void Converter::ReduceMean(const SourceNode& node) {
  const Value in = builder_.ToOrder(
      Float(node, 0), ChannelsLastPerm(Raw(node, 0).shape.size()));
  if (node.inputs.size() > 1) Constant(node, 1);
  std::vector<int64_t> axes = IntsOf(node, ConstantInputs(node), 1, "axes");
  for (int64_t& axis : axes) axis = NormalAxis(axis, in.shape.size());
  std::sort(axes.begin(), axes.end());
  if (in.shape.size() != 4 || axes != std::vector<int64_t>{2, 3}) {
    throw ConvertError("only the mean over height and width of an image");
  }
  Value out = Emitted(node, "GlobalAveragePool", in);
  out.shape = out.logical = {kBatch, in.shape[1], 1, 1};
  if (node.Int("keepdims", 1) == 0) {
    out = builder_.Reshaped(out, {kBatch, in.shape[1]});
  }
  Set(node, std::move(out));
}

}  // namespace bqengine::convert
