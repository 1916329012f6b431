// Random expressions of signs, comparisons and arithmetic on one input, with
// many ties, against an evaluation of each element in float.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "convert_test_util.h"

namespace bqengine::convert {
namespace {

constexpr float kTiny = std::numeric_limits<float>::denorm_min();

// An ONNX file and the values of all its tensors, element by element.
class Expression {
 public:
  Expression(uint32_t seed, const Floats& x) : random_(seed) {
    file_.Input("x", {0, static_cast<int64_t>(x.size())}).Output("y");
    floats_.push_back({"x", x});
  }

  // A float function of x: monotone ops, so that thresholds can be found.
  void AddFloats() {
    const Tensor from = Pick(floats_);
    Tensor to{NewName(), from.values};
    const float c = Number();
    switch (random_() % 5) {
      case 0:
        file_.Node("Add", {from.name, Scalar(c)}, to.name);
        for (float& v : to.values) v = v + c;
        break;
      case 1: {
        const float factor = c == 0 ? -0.5f : c;
        file_.Node("Mul", {from.name, Scalar(factor)}, to.name);
        for (float& v : to.values) v = v * factor;
        break;
      }
      case 2:
        file_.Node("Relu", {from.name}, to.name);
        for (float& v : to.values) v = v < 0 ? 0 : v;
        break;
      case 3:
        file_.Node("Clip", {from.name, Scalar(-1), Scalar(1)}, to.name);
        for (float& v : to.values) v = std::clamp(v, -1.0f, 1.0f);
        break;
      default:
        file_.Node("Floor", {from.name}, to.name);
        for (float& v : to.values) v = std::floor(v);
    }
    floats_.push_back(std::move(to));
  }

  // A sign or comparison of floats.
  void AddStep() {
    const Tensor from = Pick(floats_);
    Tensor to{NewName(), from.values};
    if (random_() % 2 == 0) {
      file_.Node("Sign", {from.name}, to.name);
      for (float& v : to.values) v = SignOf(v);
    } else {
      const float c = Number();
      const char* const ops[] = {"Greater", "GreaterOrEqual", "Less",
                                 "LessOrEqual", "Equal"};
      const size_t op = random_() % 5;
      const std::string compared = NewName();
      file_.Node(ops[op], {from.name, Scalar(c)}, compared)
          .Node("Cast", {compared}, to.name, {{"to", int64_t{1}}});
      for (float& v : to.values) {
        v = op == 0   ? v > c
            : op == 1 ? v >= c
            : op == 2 ? v < c
            : op == 3 ? v <= c
                      : v == c;
      }
    }
    steps_.push_back(std::move(to));
  }

  // A function of one or two of what signs and comparisons gave.
  void Combine() {
    const Tensor a = Pick(steps_), b = Pick(steps_);
    Tensor to{NewName(), a.values};
    const bool constant = random_() % 2 == 0;
    const float c = Number();
    const auto other = [&](size_t i) { return constant ? c : b.values[i]; };
    const std::string right = constant ? Scalar(c) : b.name;
    const auto apply = [&](const char* op, auto function) {
      file_.Node(op, {a.name, right}, to.name);
      for (size_t i = 0; i < to.values.size(); ++i) {
        to.values[i] = function(a.values[i], other(i));
      }
    };
    switch (random_() % 8) {
      case 0:
        apply("Add", [](float p, float q) { return p + q; });
        break;
      case 1:
        apply("Sub", [](float p, float q) { return p - q; });
        break;
      case 2:
        apply("Mul", [](float p, float q) { return p * q; });
        break;
      case 3:
        apply("Max", [](float p, float q) { return p > q ? p : q; });
        break;
      case 4:
        apply("Min", [](float p, float q) { return p < q ? p : q; });
        break;
      case 5: {
        const std::string is_equal = NewName();
        file_.Node("Equal", {a.name, right}, is_equal)
            .Node("Where", {is_equal, Scalar(1), b.name}, to.name);
        for (size_t i = 0; i < to.values.size(); ++i) {
          to.values[i] = a.values[i] == other(i) ? 1 : b.values[i];
        }
        break;
      }
      case 6: {
        const std::string shifted = NewName();
        file_.Node("Add", {a.name, Scalar(c)}, shifted)
            .Node("Sign", {shifted}, to.name);
        for (float& v : to.values) v = SignOf(v + c);
        break;
      }
      default:
        file_.Node("Neg", {a.name}, to.name);
        for (float& v : to.values) v = -v;
    }
    steps_.push_back(std::move(to));
  }

  // The last expression, times binary weights.
  Floats Finish(const Floats& weights, int64_t out) {
    const int64_t k = static_cast<int64_t>(floats_[0].values.size());
    file_.Constant("w", {k, out}, weights)
        .Node("MatMul", {steps_.back().name, "w"}, "y");
    return Multiplied(steps_.back().values, weights, k, out);
  }

  const OnnxFile& file() const { return file_; }

 private:
  struct Tensor {
    std::string name;
    Floats values;
  };

  const Tensor& Pick(const std::vector<Tensor>& from) {
    return from[random_() % from.size()];
  }
  std::string NewName() { return "t" + std::to_string(++names_); }
  float Number() {
    const float numbers[] = {0, 0.5f, -0.5f, 1, -1, 2, 0.3f, -0.0f};
    return numbers[random_() % 8];
  }
  std::string Scalar(float value) {
    const std::string name = "c" + std::to_string(++names_);
    file_.Constant(name, {}, Floats{value});
    return name;
  }

  std::mt19937 random_;
  OnnxFile file_;
  std::vector<Tensor> floats_, steps_;
  int names_ = 0;
};

TEST(ConvertExpression, RandomOnes) {
  const Floats x = {0,    -0.0f, kTiny, -kTiny, 0.5f,  -0.5f, 1,
                    -1,   2,     -2,    0.3f,   -0.3f, 1.5f,  -1.5f,
                    0.7f, -0.7f, 0.25f, -0.25f, 3,     -3,    1e30f};
  constexpr int64_t kOut = 6;
  const int64_t k = static_cast<int64_t>(x.size());
  int binary = 0;
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Expression expression(seed, x);
    std::mt19937 random(seed);
    for (uint32_t i = 0; i < 1 + random() % 3; ++i) expression.AddFloats();
    for (uint32_t i = 0; i < 1 + random() % 3; ++i) expression.AddStep();
    for (uint32_t i = 0; i < random() % 4; ++i) expression.Combine();
    const Floats expected =
        expression.Finish(RandomChoice(k * kOut, seed, -1, 1), kOut);
    const Conversion c = Converted(expression.file());
    if (HasFailure()) return;
    binary += CountOps(c.graph, "BinaryGemm");
    ExpectNear(RunGraph(c.graph, {x}, 1), expected, 1e-5f);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(binary, 200);  // and else floats
}

}  // namespace
}  // namespace bqengine::convert
