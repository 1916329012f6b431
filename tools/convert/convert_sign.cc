// The many ways to write a sign: Sign itself, comparisons with constants, and
// whatever combines those of one tensor.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "converter.h"

namespace bqengine::convert {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// x > 0 is x >= the smallest float above 0.
constexpr float kAboveZero = std::numeric_limits<float>::denorm_min();

// A node on scalars, the activations replaced by values of theirs.
float Applied(const SourceNode& node, FoldInputs inputs,
              const std::vector<size_t>& activations,
              const std::vector<float>& values) {
  std::vector<Array> scalars;
  for (float value : values) scalars.push_back(Array::Floats({}, {value}));
  for (size_t i = 0; i < activations.size(); ++i) {
    inputs[activations[i]] = &scalars[i];
  }
  return Fold(node, inputs).Float(0);
}

// The value for one number of the source.
float ValueAt(const StepFunction& step, float x) {
  size_t i = 0;
  while (i < step.bases() && x >= step.thresholds[i][0]) ++i;
  return step.values[i];
}

bool Alike(const Value& a, const Value& b) {
  return a.shape == b.shape && a.logical == b.logical && a.perm == b.perm &&
         a.pad.has_value() == b.pad.has_value() &&
         (!a.pad || a.pad->pads == b.pad->pads);
}

}  // namespace

std::string SignText(const SignReport& sign) {
  std::string text = fmt::format("sign {}: {}", fmt::join(sign.nodes, " + "),
                                 NumbersText(sign.values));
  if (sign.values.size() > 2) {
    text += fmt::format(" in {} bases", sign.values.size() - 1);
  }
  if (!sign.impossible.empty()) {
    text += fmt::format("; {} cannot come", NumbersText(sign.impossible));
  }
  if (!sign.assumed.empty()) {
    text += fmt::format("; assumed that {} does not come",
                        NumbersText(sign.assumed));
  }
  if (!sign.assumed_somewhere.empty()) {
    text += fmt::format("; assumed that {} does not come in some channels",
                        NumbersText(sign.assumed_somewhere));
  }
  return text;
}

// Applies the node to the values of step functions, if that is all it takes:
// one of any kind, or several of one tensor.
bool Converter::MapSteps(const SourceNode& node) {
  if (!IsElementwise(node)) return false;
  FoldInputs inputs = ConstantInputs(node);
  std::vector<size_t> activations;
  std::vector<StepFunction> steps;
  std::vector<float> padding;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i].empty() || IsConstant(node, i)) continue;
    const Value& value = Raw(node, i);
    if (!value.step) return false;
    activations.push_back(i);
    if (!Alike(value, Raw(node, activations[0]))) return false;
    steps.push_back(*value.step);
    if (value.pad) padding.push_back(value.pad->value);
  }
  Value value = Raw(node, activations.at(0));
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
  const auto apply = [&](const std::vector<float>& values) {
    return Applied(node, inputs, activations, values);
  };
  std::optional<StepFunction> combined = Combined(steps, apply);
  const auto producer_of = [this](const std::string& tensor) {
    return builder_.Producer(tensor);
  };
  if (!combined &&
      GiveCommonSource(builder_.graph(), producer_of, &steps, &lift_budget_)) {
    combined = Combined(steps, apply);
  }
  if (!combined) return false;
  if (value.pad) value.pad->value = apply(padding);
  SetStep(node, value, *std::move(combined));
  return true;
}

void Converter::SetStep(const SourceNode& node, const Value& in,
                        StepFunction step) {
  if (std::any_of(step.values.begin(), step.values.end(),
                  [](float v) { return !std::isfinite(v); })) {
    throw ConvertError(fmt::format("its output takes the values {:g}",
                                   fmt::join(step.values, " and ")));
  }
  Value out = in;
  out.tensor = node.outputs[0];
  out.step = std::move(step);
  Set(node, std::move(out));
}

void Converter::Binarize(const SourceNode& node) {
  Value in = Raw(node, 0);
  if (in.step) in = Float(node, 0);
  StepFunction step;
  step.source = in.tensor;
  step.thresholds = {{0.0f}};
  step.values = {-1, 1};
  if (node.op == "BipolarQuant") {
    const Array& scale = RequiredConstant(node, 1);
    const auto uniform = scale.Uniform();
    if (!uniform) {
      if (in.pad) in = Float(node, 0);
      step.source = in.tensor;
      in.tensor = node.outputs[0];
      in.step = std::move(step);
      return Set(node, WithConstant("Mul", builder_.ToFloat(in), scale,
                                    node.outputs[0] + "/scaled"));
    }
    step.values = {-*uniform, *uniform};
  } else if (options_.sign_zero == SignZero::kPlus) {
    Note("Sign: an exact 0 becomes +1 (ONNX gives 0; see --sign-zero)");
  } else {
    step.thresholds.push_back({kAboveZero});
    step.values = {-1, 0, 1};
    step.signs = {node.name};
  }
  if (in.pad) in.pad->value = ValueAt(step, in.pad->value);
  SetStep(node, in, std::move(step));
}

// x >= c and its relatives, as 1 and 0. NaN counts as less.
void Converter::Compare(const SourceNode& node) {
  const bool left = IsConstant(node, 0);
  const Array& constant = RequiredConstant(node, left ? 0 : 1);
  Value in = Raw(node, left ? 1 : 0);
  if (in.step || (in.pad && !constant.Uniform())) {
    in = Float(node, left ? 1 : 0);
  }
  const auto thresholds = ChannelConstant(constant, in);
  if (!thresholds) throw ConvertError("the threshold varies within a channel");
  std::vector<float> next;  // x > c  is  x >= the next larger float
  for (float t : *thresholds) {
    if (!std::isfinite(t)) throw ConvertError("the threshold is not finite");
    next.push_back(std::nextafter(t, kInfinity));
  }
  std::string op = node.op;
  if (left && op != "Equal") {  // c >= x  is  x <= c
    op = op[0] == 'G' ? "Less" + op.substr(7) : "Greater" + op.substr(4);
  }
  StepFunction step;
  step.source = in.tensor;
  if (op == "Equal") {
    step.thresholds = {*thresholds, std::move(next)};
    step.values = {0, 1, 0};
  } else {
    const bool above = op == "Greater" || op == "LessOrEqual";
    step.thresholds = {above ? std::move(next) : *thresholds};
    step.values = {0, 1};
    if (op[0] == 'L') step.values = {1, 0};
  }
  if (in.pad) in.pad->value = ValueAt(step, in.pad->value);
  SetStep(node, in, std::move(step));
}

// What MapSteps could not do.
void Converter::Logic(const SourceNode&) {
  throw ConvertError(
      "only of comparisons of one tensor with constants is supported");
}

void Converter::Where(const SourceNode&) {
  throw ConvertError(
      "only a choice between two numbers by a comparison with constants is "
      "supported");
}

}  // namespace bqengine::convert
