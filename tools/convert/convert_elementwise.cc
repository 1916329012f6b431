// Ops that treat each element, or each channel, of floats by itself.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "converter.h"

namespace bqengine::convert {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Whether 1 / x is exact: for powers of two, unless the result overflows or
// loses digits.
bool HasExactReciprocal(float x) {
  int exponent = 0;
  return std::abs(std::frexp(x, &exponent)) == 0.5f && std::isnormal(1 / x);
}

Array Negated(const Array& array) {
  Array out = Array::Floats(array.shape, {});
  for (int64_t i = 0; i < array.size(); ++i) {
    out.floats.push_back(-array.Float(i));
  }
  return out;
}

}  // namespace

// ---------------------------------------------------------------- arithmetic

// Add or Mul by a constant that varies however it likes: where it is not one
// number per channel, the elements of an item become the channels.
Value Converter::WithConstant(const std::string& op, const Value& in,
                              const Array& constant, const std::string& name) {
  std::vector<float> elements;
  const auto channel = ChannelConstant(constant, in, &elements);
  Value out = in;
  if (channel) {
    out.tensor = builder_.Emit(
        {op, name, {in.tensor}, {{"value", FloatVector(*channel)}}, {}});
    return out;
  }
  const std::string flat =
      builder_.Emit({"Flatten", name + "/flat", {in.tensor}, {}, {}});
  const std::string applied = builder_.Emit(
      {op, name + "/elements", {flat}, {{"value", FloatVector(elements)}}, {}});
  Shape shape = MemoryShape(in);
  shape[0] = 0;
  out.tensor =
      builder_.Emit({"Reshape", name, {applied}, {}, {{"shape", shape}}});
  return out;
}

Array Converter::Reciprocals(const SourceNode& node, const Array& divisors) {
  Array out = Array::Floats(divisors.shape, {});
  bool exact = true;
  for (int64_t i = 0; i < divisors.size(); ++i) {
    const float divisor = divisors.Float(i);
    exact = exact && HasExactReciprocal(divisor);
    out.floats.push_back(1 / divisor);
    if (divisor != 0 && !std::isfinite(out.floats.back())) {
      throw ConvertError(fmt::format("division by {:g}", divisor));
    }
  }
  if (!exact) {
    Note(fmt::format(
        "node '{}': division by constants became multiplication with their "
        "rounded reciprocals (relative difference up to 1.2e-7)",
        node.name));
  }
  return out;
}

void Converter::Arithmetic(const SourceNode& node) {
  if (node.inputs.size() != 2) throw ConvertError("two inputs expected");
  if (!IsConstant(node, 0) && !IsConstant(node, 1)) return TwoActivations(node);
  const bool left = IsConstant(node, 0);
  const Array& constant = RequiredConstant(node, left ? 0 : 1);
  Value in = Float(node, left ? 1 : 0);
  const std::string& name = node.outputs[0];
  if (node.op == "Mul") {
    in = WithConstant("Mul", in, constant, name);
  } else if (node.op == "Add") {
    in = WithConstant("Add", in, constant, name);
  } else if (node.op == "Sub" && !left) {
    in = WithConstant("Add", in, Negated(constant), name);
  } else if (node.op == "Sub") {  // c - x
    in = WithConstant("Mul", in, Array::Floats({}, {-1.0f}), name + "/negated");
    in = WithConstant("Add", in, constant, name);
  } else if (!left) {
    in = WithConstant("Mul", in, Reciprocals(node, constant), name);
  } else {
    throw ConvertError("division of a constant is not supported");
  }
  Set(node, std::move(in));
}

void Converter::TwoActivations(const SourceNode& node) {
  if (node.op == "Div") throw ConvertError("the divisor must be a constant");
  Value a = Float(node, 0), b = Float(node, 1);
  if (a.shape != b.shape) {
    throw ConvertError(fmt::format("operands of shapes {} and {}",
                                   ShapeText(a.shape), ShapeText(b.shape)));
  }
  if (a.perm != b.perm || a.logical != b.logical) {
    a = builder_.ToOrder(a, ChannelsLastPerm(a.shape.size()));
    b = builder_.ToOrder(b, ChannelsLastPerm(b.shape.size()));
  }
  if (node.op == "Sub") {
    b = WithConstant("Mul", b, Array::Floats({}, {-1.0f}),
                     node.outputs[0] + "/negated");
  }
  Value out = a;
  out.tensor = builder_.Emit({node.op == "Mul" ? "Mul" : "Add",
                              node.outputs[0],
                              {a.tensor, b.tensor},
                              {},
                              {}});
  Set(node, std::move(out));
}

void Converter::Negate(const SourceNode& node) {
  Set(node, WithConstant("Mul", Float(node, 0), Array::Floats({}, {-1.0f}),
                         node.outputs[0]));
}

// ---------------------------------------------------------------- activations

void Converter::Activation(const SourceNode& node) {
  const Value in = Float(node, 0);
  std::map<std::string, bqengine::Constant> constants;
  std::map<std::string, Attribute> attributes;
  std::string op = node.op;
  if (op == "LeakyRelu") {
    op = "PRelu";
    constants["slope"] = FloatVector({node.Float("alpha", 0.01f)});
  } else if (op == "PRelu") {
    const auto slope = ChannelConstant(RequiredConstant(node, 1), in);
    if (!slope) throw ConvertError("slope varies within a channel");
    constants["slope"] = FloatVector(*slope);
  } else if (op == "Clip") {  // bounds were attributes before opset 11
    const Array* low = Constant(node, 1);
    const Array* high = Constant(node, 2);
    const float min = low ? low->Only() : node.Float("min", -kInfinity);
    const float max = high ? high->Only() : node.Float("max", kInfinity);
    if (min != -kInfinity) attributes["min"] = min;
    if (max != kInfinity) attributes["max"] = max;
  }
  Set(node, Emitted(node, op, in, std::move(constants), std::move(attributes)));
}

void Converter::BatchNormalization(const SourceNode& node) {
  if (node.Int("training_mode", 0) != 0) {
    throw ConvertError("training_mode is not supported; export for inference");
  }
  Value in = Float(node, 0);
  const size_t rank = in.shape.size();
  if (!in.flattened() && in.perm.back() != 1) {
    in = builder_.ToOrder(in, ChannelsLastPerm(rank));
  }
  const char* const kRoles[] = {"scale", "bias", "mean", "var"};
  std::map<std::string, bqengine::Constant> constants;
  for (size_t i = 0; i < 4; ++i) {
    Array values = RequiredConstant(node, i + 1);
    if (values.shape != Shape{in.shape[1]}) {
      throw ConvertError(fmt::format("{} has shape {}, not [{}]", kRoles[i],
                                     ShapeText(values.shape), in.shape[1]));
    }
    values.shape.resize(rank - 1, 1);  // [C, 1, 1]
    auto channel = ChannelConstant(values, in);
    if (!channel) throw ConvertError("it varies within a channel");
    channel->resize(in.shape[1], channel->front());  // one stands for all
    constants[kRoles[i]] = FloatVector(*channel);
  }
  const float epsilon = node.Float("epsilon", 1e-5f);
  for (float var : constants["var"].floats()) {
    if (!(var + epsilon > 0)) {
      throw ConvertError(
          fmt::format("var + epsilon is {:g}, not above 0", var + epsilon));
    }
  }
  Set(node, Emitted(node, "BatchNormalization", in, std::move(constants),
                    {{"epsilon", epsilon}}));
}

void Converter::PassThrough(const SourceNode& node) {
  if (node.op == "Dropout") {
    const Array* training = Constant(node, 2);
    if (training != nullptr && training->Only() != 0) {
      throw ConvertError("training_mode is not supported");
    }
  }
  if (node.op == "Cast") {
    const int64_t to = node.Int("to", 0);
    constexpr int64_t kFloat = 1, kDouble = 11;  // onnx.TensorProto.DataType
    if (to != kFloat && to != kDouble) {
      throw ConvertError(fmt::format(
          "Cast of floats to element type {} is not supported", to));
    }
  }
  Set(node, Raw(node, 0));
}

}  // namespace bqengine::convert
