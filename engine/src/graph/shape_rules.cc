#include "graph/shape_rules.h"

#include <limits>
#include <string>
#include <utility>

namespace bqengine {
namespace {

// Sizes, strides and paddings beyond this are mistakes, and below it no product
// of two of them overflows.
constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();

// A list attribute with `count` entries in [least, kLargest].
Status CheckInts(const NodeContext& node, const char* name, size_t count,
                 int64_t least) {
  const std::vector<int64_t>& values = node.Ints(name);
  const std::string path = std::string("/attributes/") + name;
  if (values.size() != count) {
    return node.Error(path, "must have " + std::to_string(count) +
                                " entries, not " +
                                std::to_string(values.size()));
  }
  for (int64_t value : values) {
    if (value < least || value > kLargest) {
      return node.Error(path, std::to_string(value) + " is not in [" +
                                  std::to_string(least) + ", " +
                                  std::to_string(kLargest) + "]");
    }
  }
  return Status();
}

// Positions of one dimension of a window.
struct Axis {
  int64_t size, kernel, stride, dilation, pad_begin, pad_end;
  bool ceil_mode;
};

// 0 if the window does not fit.
int64_t OutputSize(const Axis& axis) {
  const int64_t span = axis.dilation * (axis.kernel - 1) + 1;
  const int64_t room = axis.size + axis.pad_begin + axis.pad_end - span;
  if (room < 0) return 0;
  int64_t count = room / axis.stride + 1;
  // As in ONNX: a window that would start in the end padding is dropped.
  if (axis.ceil_mode && room % axis.stride != 0 &&
      count * axis.stride < axis.size + axis.pad_begin) {
    ++count;
  }
  return count;
}

Status WrongType(const NodeContext& node, size_t input, const char* wanted) {
  return node.Error("/inputs/" + std::to_string(input),
                    node.node().op + " takes " + wanted + ", not " +
                        DataTypeName(node.input(input).type));
}

Status RequireRank(const NodeContext& node, size_t rank) {
  if (node.input(0).shape.size() != rank) {
    return node.Error("/inputs/0", "must have " + std::to_string(rank) +
                                       " dimensions, but is " +
                                       ShapeText(node.input(0).shape));
  }
  return Status();
}

// A dimension other than the batch; negative values count from the end.
Result<size_t> CheckedAxis(const NodeContext& node) {
  const int64_t rank = static_cast<int64_t>(node.input(0).shape.size());
  int64_t axis = node.Int("axis");
  if (axis < 0) axis += rank;
  if (axis < 1 || axis >= rank) {
    return node.Error("/attributes/axis",
                      std::to_string(node.Int("axis")) +
                          " is the batch or no dimension of " +
                          ShapeText(node.input(0).shape));
  }
  return static_cast<size_t>(axis);
}

}  // namespace

std::string ShapeText(const Shape& shape) {
  std::string text;
  for (int64_t dim : shape) {
    if (!text.empty()) text += "x";
    text += dim == kBatch ? "N" : std::to_string(dim);
  }
  return text;
}

Result<std::pair<int64_t, int64_t>> InferWindow(const NodeContext& node) {
  if (Status s = RequireRank(node, 4); !s.ok()) return s;
  if (Status s = CheckInts(node, "kernel_shape", 2, 1); !s.ok()) return s;
  if (Status s = CheckInts(node, "strides", 2, 1); !s.ok()) return s;
  if (Status s = CheckInts(node, "pads", 4, 0); !s.ok()) return s;
  std::vector<int64_t> dilations = {1, 1};
  if (node.attributes().contains("dilations")) {
    if (Status s = CheckInts(node, "dilations", 2, 1); !s.ok()) return s;
    dilations = node.Ints("dilations");
  }
  const bool ceil_mode =
      node.attributes().contains("ceil_mode") && node.Int("ceil_mode") != 0;
  int64_t size[2];
  for (int i = 0; i < 2; ++i) {
    size[i] =
        OutputSize({node.input(0).shape[i + 1], node.Ints("kernel_shape")[i],
                    node.Ints("strides")[i], dilations[i], node.Ints("pads")[i],
                    node.Ints("pads")[i + 2], ceil_mode});
    if (size[i] == 0) {
      return node.Error("/attributes/kernel_shape",
                        "the window is larger than the padded input " +
                            ShapeText(node.input(0).shape));
    }
  }
  return std::pair(size[0], size[1]);
}

Status RequireFloat(const NodeContext& node) {
  for (size_t i = 0; i < node.inputs().size(); ++i) {
    if (node.input(i).type != DataType::kFloat32) {
      return WrongType(node, i, "float32");
    }
  }
  return Status();
}

Status RequireFloatOrInteger(const NodeContext& node) {
  for (size_t i = 0; i < node.inputs().size(); ++i) {
    if (IsBits(node.input(i).type)) {
      return WrongType(node, i, "float32, int8 or uint8");
    }
  }
  return Status();
}

Status RequireBits(const NodeContext& node, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (!IsBits(node.input(i).type)) return WrongType(node, i, "bits");
    if (node.input(i) != node.input(0)) {
      return node.Error("/inputs/" + std::to_string(i),
                        "differs from input 0 in type or shape");
    }
  }
  return Status();
}

Status CheckConstant(const NodeContext& node, const char* role, DataType type,
                     const Shape& shape) {
  const Constant* constant = node.constant(role);
  if (constant == nullptr || constant->info() == TensorInfo{type, shape}) {
    return Status();
  }
  return node.Error(std::string("/constants/") + role,
                    std::string("must be ") + DataTypeName(type) + " " +
                        ShapeText(shape) + ", but is " +
                        DataTypeName(constant->type()) + " " +
                        ShapeText(constant->shape()));
}

Status CheckPerChannel(const NodeContext& node, const char* role,
                       int64_t channels) {
  const Constant* constant = node.constant(role);
  if (constant != nullptr &&
      constant->info() == TensorInfo{DataType::kFloat32, {1}}) {
    return Status();
  }
  return CheckConstant(node, role, DataType::kFloat32, {channels});
}

Result<TensorInfo> InferUnary(const NodeContext& node) {
  if (Status s = RequireFloat(node); !s.ok()) return s;
  return node.input(0);
}

Result<TensorInfo> InferBinarize(const NodeContext& node) {
  if (Status s = RequireFloatOrInteger(node); !s.ok()) return s;
  const Shape& shape = node.input(0).shape;
  if (Status s = CheckPerChannel(node, "threshold", shape.back()); !s.ok()) {
    return s;
  }
  const std::string& encoding = node.String("encoding");
  if (encoding == "bipolar") return TensorInfo{DataType::kBipolar, shape};
  if (encoding == "unipolar") return TensorInfo{DataType::kUnipolar, shape};
  return node.Error("/attributes/encoding",
                    "must be \"bipolar\" or \"unipolar\"");
}

Result<TensorInfo> InferBatchNormalization(const NodeContext& node) {
  if (Status s = RequireFloat(node); !s.ok()) return s;
  const Shape channels = {node.input(0).shape.back()};
  for (const char* role : {"scale", "bias", "mean", "var"}) {
    if (Status s = CheckConstant(node, role, DataType::kFloat32, channels);
        !s.ok()) {
      return s;
    }
  }
  // Architectures have no values yet.
  const std::span<const float> var = node.constant("var")->floats();
  for (size_t c = 0; c < var.size(); ++c) {
    if (!(double{var[c]} + node.Float("epsilon") > 0)) {
      return node.Error("/constants/var", "the variance of channel " +
                                              std::to_string(c) +
                                              " plus epsilon is not positive");
    }
  }
  return node.input(0);
}

Result<TensorInfo> InferPRelu(const NodeContext& node) {
  if (Status s = RequireFloat(node); !s.ok()) return s;
  if (Status s = CheckPerChannel(node, "slope", node.input(0).shape.back());
      !s.ok()) {
    return s;
  }
  return node.input(0);
}

Result<TensorInfo> InferElementwise(const NodeContext& node) {
  if (Status s = RequireFloat(node); !s.ok()) return s;
  const bool has_value = node.constant("value") != nullptr;
  if (has_value == (node.inputs().size() == 2)) {
    return node.Error("/inputs",
                      node.node().op + " takes two inputs, or one and a value");
  }
  if (!has_value && node.input(0) != node.input(1)) {
    return node.Error("/inputs/1",
                      "has shape " + ShapeText(node.input(1).shape) +
                          ", input 0 has " + ShapeText(node.input(0).shape));
  }
  if (Status s = CheckPerChannel(node, "value", node.input(0).shape.back());
      !s.ok()) {
    return s;
  }
  return node.input(0);
}

Result<TensorInfo> InferPool(const NodeContext& node) {
  const bool bits = node.node().op == "BinaryMaxPool";
  if (Status s = bits ? RequireBits(node, 1) : RequireFloat(node); !s.ok()) {
    return s;
  }
  auto size = InferWindow(node);
  if (!size.ok()) return size.status();
  // A window that lies in the padding alone would have no maximum.
  for (int i = 0; i < 2; ++i) {
    const int64_t dilation =
        node.attributes().contains("dilations") ? node.Ints("dilations")[i] : 1;
    const int64_t span = dilation * (node.Ints("kernel_shape")[i] - 1) + 1;
    if (node.Ints("pads")[i] >= span || node.Ints("pads")[i + 2] >= span) {
      return node.Error("/attributes/pads", "padding covers a whole window");
    }
  }
  const Shape& shape = node.input(0).shape;
  return TensorInfo{node.input(0).type,
                    {kBatch, size->first, size->second, shape[3]}};
}

Result<TensorInfo> InferGlobalAveragePool(const NodeContext& node) {
  if (Status s = RequireFloat(node); !s.ok()) return s;
  if (Status s = RequireRank(node, 4); !s.ok()) return s;
  return TensorInfo{DataType::kFloat32, {kBatch, 1, 1, node.input(0).shape[3]}};
}

Result<TensorInfo> InferSoftmax(const NodeContext& node) {
  if (Status s = RequireFloat(node); !s.ok()) return s;
  if (auto axis = CheckedAxis(node); !axis.ok()) return axis.status();
  return node.input(0);
}

Result<TensorInfo> InferPad(const NodeContext& node) {
  if (Status s = RequireFloat(node); !s.ok()) return s;
  TensorInfo output = node.input(0);
  const size_t rank = output.shape.size();
  if (Status s = CheckInts(node, "pads", 2 * rank, 0); !s.ok()) return s;
  const std::vector<int64_t>& pads = node.Ints("pads");
  if (pads[0] != 0 || pads[rank] != 0) {
    return node.Error("/attributes/pads", "the batch cannot be padded");
  }
  for (size_t i = 1; i < rank; ++i) output.shape[i] += pads[i] + pads[rank + i];
  return output;
}

Result<TensorInfo> InferConcat(const NodeContext& node) {
  auto axis = CheckedAxis(node);
  if (!axis.ok()) return axis.status();
  TensorInfo output = node.input(0);
  for (size_t i = 1; i < node.inputs().size(); ++i) {
    TensorInfo expected = node.input(i);
    if (expected.shape.size() != output.shape.size()) {
      return node.Error("/inputs/" + std::to_string(i),
                        "has another number of dimensions than input 0");
    }
    const int64_t size = expected.shape[*axis];
    expected.shape[*axis] = node.input(0).shape[*axis];
    if (expected != node.input(0)) {
      return node.Error("/inputs/" + std::to_string(i),
                        "differs from input 0 in type, or in shape beside the "
                        "axis");
    }
    output.shape[*axis] += size;
  }
  return output;
}

Result<TensorInfo> InferFlatten(const NodeContext& node) {
  if (node.Int("axis") != 1) {
    return node.Error("/attributes/axis", "must be 1");
  }
  auto count = ElementCount(node.input(0).shape);
  if (!count.ok()) return node.Error("/inputs/0", count.status().message());
  return TensorInfo{node.input(0).type, {kBatch, *count}};
}

Result<TensorInfo> InferReshape(const NodeContext& node) {
  const Shape& from = node.input(0).shape;
  Shape to = node.Ints("shape");
  auto error = [&](const std::string& message) {
    return node.Error("/attributes/shape", message);
  };
  if (to.size() < 2 || (to[0] != 0 && to[0] != -1)) {
    return error("must have 2 entries or more, the first 0 (the batch)");
  }
  to[0] = kBatch;
  size_t inferred = 0;
  for (size_t i = 1; i < to.size(); ++i) {
    if (to[i] == 0 && i < from.size()) to[i] = from[i];
    if (to[i] == -1) {
      if (inferred != 0) return error("has more than one -1");
      inferred = i;
      to[i] = 1;
    }
    if (to[i] < 1 || to[i] > kLargest) {
      return error(std::to_string(to[i]) + " is not a dimension");
    }
  }
  auto from_count = ElementCount(from);
  auto to_count = ElementCount(to);
  if (!from_count.ok() || !to_count.ok()) return error("is too large");
  if (inferred != 0 && *from_count % *to_count == 0) {
    to[inferred] = *from_count / *to_count;
    to_count = ElementCount(to);
  }
  if (*from_count != *to_count) {
    return error(ShapeText(from) + " does not fit into " + ShapeText(to));
  }
  return TensorInfo{node.input(0).type, std::move(to)};
}

Result<TensorInfo> InferTranspose(const NodeContext& node) {
  const std::vector<int64_t>& perm = node.Ints("perm");
  const TensorInfo& input = node.input(0);
  std::vector<bool> seen(input.shape.size(), false);
  bool valid = perm.size() == input.shape.size() && perm[0] == 0;
  TensorInfo output{input.type, {}};
  for (size_t i = 0; valid && i < perm.size(); ++i) {
    valid = perm[i] >= 0 && perm[i] < static_cast<int64_t>(perm.size()) &&
            !seen[perm[i]];
    if (!valid) break;
    seen[perm[i]] = true;
    output.shape.push_back(input.shape[perm[i]]);
  }
  if (!valid) {
    return node.Error("/attributes/perm",
                      "must be a permutation of the dimensions of " +
                          ShapeText(input.shape) + " that starts with 0");
  }
  return output;
}

}  // namespace bqengine
