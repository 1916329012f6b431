// Ops that treat each element, or each channel, by itself; among them the many
// ways to write a sign.
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

// A node on scalars with the activation replaced by one of its two values.
float Applied(const SourceNode& node, FoldInputs inputs, size_t activation,
              float value) {
  const Array scalar = Array::Floats({}, {value});
  inputs[activation] = &scalar;
  return Fold(node, inputs).Float(0);
}

}  // namespace

// Applies the node to the two values of a two-valued tensor, if that is all it
// takes.
bool Converter::MapTwoValues(const SourceNode& node) {
  if (!IsElementwise(node)) return false;
  size_t activation = node.inputs.size();
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i].empty() || IsConstant(node, i)) continue;
    if (activation != node.inputs.size()) return false;  // a second one
    activation = i;
  }
  if (!Raw(node, activation).two) return false;
  Value value = Settled(node, activation);
  if (!value.two) return false;  // padding made it three-valued

  FoldInputs inputs = ConstantInputs(node);
  std::vector<Array> scalars(inputs.size());
  Shape item = value.shape;
  item[0] = 1;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr) continue;
    if (!inputs[i]->Uniform()) return false;
    if (BroadcastShape(inputs[i]->shape, item) != item) return false;
    scalars[i] = Take(*inputs[i], {}, {0});
    inputs[i] = &scalars[i];
  }
  value.two->low = Applied(node, inputs, activation, value.two->low);
  value.two->high = Applied(node, inputs, activation, value.two->high);
  if (!std::isfinite(value.two->low) || !std::isfinite(value.two->high)) {
    throw ConvertError(fmt::format("its output takes the values {:g} and {:g}",
                                   value.two->low, value.two->high));
  }
  if (!value.emitted()) value.tensor = node.outputs[0];
  Set(node, std::move(value));
  return true;
}

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

// ----------------------------------------------------------------- binarizing

void Converter::Binarize(const SourceNode& node) {
  Value value = Float(node, 0);
  TwoValued two;
  two.source = value.tensor;
  two.threshold = {0.0f};
  const Array one = Array::Floats({}, {1.0f});
  const Array* scale = &one;
  if (node.op == "BipolarQuant") {
    scale = &RequiredConstant(node, 1);
  } else {
    Note("Sign: an exact 0 becomes +1 (ONNX gives 0)");
  }
  value.two = two;
  value.tensor = node.outputs[0];
  if (const auto uniform = scale->Uniform()) {
    value.two->low = -*uniform;
    value.two->high = *uniform;
    return Set(node, std::move(value));
  }
  Set(node, WithConstant("Mul", builder_.ToFloat(value), *scale,
                         node.outputs[0] + "/scaled"));
}

// x >= c and its relatives, as 1 and 0. NaN counts as less.
void Converter::Compare(const SourceNode& node) {
  const bool left = IsConstant(node, 0);
  const Array& constant = RequiredConstant(node, left ? 0 : 1);
  Value value = Float(node, left ? 1 : 0);
  const auto threshold = ChannelConstant(constant, value);
  if (!threshold) throw ConvertError("the threshold varies within a channel");
  std::string op = node.op;
  if (left) {  // c >= x  is  x <= c
    op = op[0] == 'G' ? "Less" + op.substr(7) : "Greater" + op.substr(4);
  }
  // x > c  is  x >= the next larger float.
  const bool next = op == "Greater" || op == "LessOrEqual";
  const bool inverted = op[0] == 'L';
  TwoValued two;
  two.low = inverted ? 1 : 0;
  two.high = inverted ? 0 : 1;
  two.source = value.tensor;
  for (float t : *threshold) {
    two.threshold.push_back(next ? std::nextafter(t, kInfinity) : t);
    if (!std::isfinite(two.threshold.back())) {
      throw ConvertError("the threshold is not finite");
    }
  }
  value.two = std::move(two);
  value.tensor = node.outputs[0];
  Set(node, std::move(value));
}

// What MapTwoValues could not do.
void Converter::Where(const SourceNode&) {
  throw ConvertError(
      "only a choice between two numbers by a comparison with constants is "
      "supported");
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
