#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "fold.h"

namespace bqengine::convert {
namespace {

// Numbers are computed in double and rounded once: for + - * / and the square
// root that gives the correctly rounded float.
using Unary = double (*)(double);
using Binary = double (*)(double, double);

double Sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

const std::map<std::string, Unary>& UnaryOps() {
  static const std::map<std::string, Unary> ops = {
      {"Abs", [](double x) { return std::abs(x); }},
      {"Ceil", [](double x) { return std::ceil(x); }},
      {"Exp", [](double x) { return std::exp(x); }},
      {"Floor", [](double x) { return std::floor(x); }},
      {"Log", [](double x) { return std::log(x); }},
      {"Neg", [](double x) { return -x; }},
      {"Reciprocal", [](double x) { return 1 / x; }},
      {"Relu", [](double x) { return x < 0 ? 0 : x; }},
      {"Sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }},
      {"Sign", Sign},
      {"Sqrt", [](double x) { return std::sqrt(x); }},
      {"Tanh", [](double x) { return std::tanh(x); }}};
  return ops;
}

const std::map<std::string, Binary>& BinaryOps() {
  static const std::map<std::string, Binary> ops = {
      {"Add", [](double a, double b) { return a + b; }},
      {"And", [](double a, double b) { return a != 0 && b != 0 ? 1.0 : 0.0; }},
      {"Div", [](double a, double b) { return a / b; }},
      {"Max", [](double a, double b) { return a > b ? a : b; }},
      {"Min", [](double a, double b) { return a < b ? a : b; }},
      {"Mul", [](double a, double b) { return a * b; }},
      {"Pow", [](double a, double b) { return std::pow(a, b); }},
      {"Or", [](double a, double b) { return a != 0 || b != 0 ? 1.0 : 0.0; }},
      {"Sub", [](double a, double b) { return a - b; }},
      {"Xor",
       [](double a, double b) { return (a != 0) != (b != 0) ? 1.0 : 0.0; }}};
  return ops;
}

using Comparison = bool (*)(double, double);

const std::map<std::string, Comparison>& Comparisons() {
  static const std::map<std::string, Comparison> ops = {
      {"Equal", [](double a, double b) { return a == b; }},
      {"Greater", [](double a, double b) { return a > b; }},
      {"GreaterOrEqual", [](double a, double b) { return a >= b; }},
      {"Less", [](double a, double b) { return a < b; }},
      {"LessOrEqual", [](double a, double b) { return a <= b; }}};
  return ops;
}

const Array& Required(const FoldInputs& inputs, size_t i) {
  if (i >= inputs.size() || inputs[i] == nullptr) {
    throw ConvertError(fmt::format("input {} is missing", i));
  }
  return *inputs[i];
}

// Doubles hold integers exactly up to 2^53; sizes are far below.
int64_t ToInt(double value) {
  if (!(std::abs(value) < 9007199254740992.0)) {
    throw ConvertError("a number that is no 53-bit integer");
  }
  return static_cast<int64_t>(value);
}

double Number(const Array& array, int64_t i) {
  return array.is_float() ? static_cast<double>(array.floats[i])
                          : static_cast<double>(array.ints[i]);
}

void Append(Array* out, double value) {
  if (out->is_float()) {
    out->floats.push_back(static_cast<float>(value));
  } else {
    out->ints.push_back(ToInt(value));
  }
}

void RefuseBatch(const Array& array) {
  if (array.has_batch()) {
    throw ConvertError("arithmetic with the batch size is not supported");
  }
}

Array Map(const Array& in, const std::function<double(double)>& function) {
  RefuseBatch(in);
  Array out;
  out.type = in.type;
  out.shape = in.shape;
  for (int64_t i = 0; i < in.size(); ++i) Append(&out, function(Number(in, i)));
  return out;
}

Array Combine(const std::string& op, Binary function, const Array& a,
              const Array& b) {
  RefuseBatch(a);
  RefuseBatch(b);
  if (op == "Div" && a.is_float() != b.is_float()) {
    throw ConvertError("division of floats and integers");
  }
  Array out;
  out.type =
      a.is_float() || b.is_float() ? Array::Type::kFloat : Array::Type::kInt;
  out.shape = BroadcastShape(a.shape, b.shape);
  CheckFolded(out.shape, std::max(a.size(), b.size()));
  const auto map_a = BroadcastMap(a.shape, out.shape);
  const auto map_b = BroadcastMap(b.shape, out.shape);
  for (size_t i = 0; i < map_a.size(); ++i) {
    Append(&out, function(Number(a, map_a[i]), Number(b, map_b[i])));
  }
  return out;
}

Array Compare(Comparison function, const Array& a, const Array& b) {
  const Shape shape = BroadcastShape(a.shape, b.shape);
  CheckFolded(shape, std::max(a.size(), b.size()));
  const auto map_a = BroadcastMap(a.shape, shape);
  const auto map_b = BroadcastMap(b.shape, shape);
  Array out = Array::Ints(shape, {});
  for (size_t i = 0; i < map_a.size(); ++i) {
    // Exporters compare sizes with -1 ("keep"); the batch is never that.
    const bool batch = a.IsBatch(map_a[i]) || b.IsBatch(map_b[i]);
    const double x =
        batch ? std::numeric_limits<double>::quiet_NaN() : Number(a, map_a[i]);
    out.ints.push_back(function(x, Number(b, map_b[i])) ? 1 : 0);
  }
  return out;
}

Array Where(const Array& condition, const Array& a, const Array& b) {
  const Shape shape =
      BroadcastShape(condition.shape, BroadcastShape(a.shape, b.shape));
  CheckFolded(shape, std::max({condition.size(), a.size(), b.size()}));
  const auto map_c = BroadcastMap(condition.shape, shape);
  const auto map_a = BroadcastMap(a.shape, shape);
  const auto map_b = BroadcastMap(b.shape, shape);
  Array out;
  out.type =
      a.is_float() || b.is_float() ? Array::Type::kFloat : Array::Type::kInt;
  out.shape = shape;
  for (size_t i = 0; i < map_c.size(); ++i) {
    const bool first = Number(condition, map_c[i]) != 0;
    const Array& from = first ? a : b;
    const int64_t j = first ? map_a[i] : map_b[i];
    Append(&out, Number(from, j));
    out.is_batch.push_back(from.IsBatch(j));
  }
  return out;
}

Array Cast(const SourceNode& node, const Array& in) {
  // onnx.TensorProto.DataType
  constexpr int64_t kFloat = 1, kInt32 = 6, kInt64 = 7, kBool = 9, kDouble = 11;
  const int64_t to = node.Int("to", 0);
  if (to == kInt64 && !in.is_float()) return in;  // may hold the batch
  RefuseBatch(in);
  Array out;
  out.shape = in.shape;
  out.type =
      to == kFloat || to == kDouble ? Array::Type::kFloat : Array::Type::kInt;
  if (to != kFloat && to != kDouble && to != kInt32 && to != kInt64 &&
      to != kBool) {
    throw ConvertError(fmt::format("Cast to element type {}", to));
  }
  for (int64_t i = 0; i < in.size(); ++i) {
    const double value = Number(in, i);
    Append(&out, to == kBool      ? (value != 0 ? 1 : 0)
                 : out.is_float() ? value
                                  : std::trunc(value));
  }
  return out;
}

// Bounds came as attributes before opset 11 and are inputs since.
Array Clip(const SourceNode& node, const FoldInputs& inputs) {
  double low = node.Float("min", -std::numeric_limits<float>::infinity());
  double high = node.Float("max", std::numeric_limits<float>::infinity());
  if (inputs.size() > 1 && inputs[1] != nullptr) low = inputs[1]->Only();
  if (inputs.size() > 2 && inputs[2] != nullptr) high = inputs[2]->Only();
  return Map(Required(inputs, 0), [low, high](double x) {
    const double raised = x < low ? low : x;
    return raised > high ? high : raised;
  });
}

Array BipolarQuant(const Array& x, const Array& scale) {
  const Array sign = Map(x, [](double v) { return v >= 0 ? 1.0 : -1.0; });
  return Combine("Mul", BinaryOps().at("Mul"), sign, scale);
}

}  // namespace

bool FoldElementwise(const SourceNode& node, const FoldInputs& inputs,
                     Array* out) {
  if (!IsElementwise(node)) return false;
  const std::string& op = node.op;
  const Array& first = Required(inputs, 0);
  if (op == "Identity" || op == "Dropout") {
    *out = first;
  } else if (op == "Cast") {
    *out = Cast(node, first);
  } else if (op == "Clip") {
    *out = Clip(node, inputs);
  } else if (op == "Not") {
    *out = Map(first, [](double x) { return x == 0 ? 1.0 : 0.0; });
  } else if (op == "LeakyRelu") {
    const double alpha = node.Float("alpha", 0.01f);
    *out = Map(first, [alpha](double x) { return x < 0 ? alpha * x : x; });
  } else if (op == "Where") {
    *out = Where(first, Required(inputs, 1), Required(inputs, 2));
  } else if (op == "BipolarQuant") {
    *out = BipolarQuant(first, Required(inputs, 1));
  } else if (const auto unary = UnaryOps().find(op);
             unary != UnaryOps().end()) {
    *out = Map(first, unary->second);
  } else if (const auto compare = Comparisons().find(op);
             compare != Comparisons().end()) {
    *out = Compare(compare->second, first, Required(inputs, 1));
  } else {
    const Binary function = BinaryOps().at(op);  // Max and Min take any number
    *out = first;
    for (size_t i = 1; i < inputs.size(); ++i) {
      *out = Combine(op, function, *out, Required(inputs, i));
    }
  }
  return true;
}

}  // namespace bqengine::convert
