// The many ways in which exporters write a sign, and what follows one.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "convert_test_util.h"

namespace bqengine::convert {
namespace {

using Function = std::function<float(float)>;
using Build = std::function<void(OnnxFile*)>;

constexpr int64_t kFeatures = 70;  // crosses a word
constexpr float kThreshold = 0.3f;

// Inputs around the threshold: the number itself, its neighbours, both zeros,
// infinities, and random ones.
Floats Inputs() {
  Floats x = RandomFloats(2 * kFeatures, 40);
  const float inf = std::numeric_limits<float>::infinity();
  const Floats special = {0.0f,
                          -0.0f,
                          std::numeric_limits<float>::denorm_min(),
                          -std::numeric_limits<float>::denorm_min(),
                          kThreshold,
                          -kThreshold,
                          std::nextafter(kThreshold, 1.0f),
                          std::nextafter(kThreshold, 0.0f),
                          inf,
                          -inf};
  std::copy(special.begin(), special.end(), x.begin());
  std::copy(special.begin(), special.end(), x.begin() + 100);
  return x;
}

// Checks x -> `build` (from "x" to "s") -> MatMul with +-1 against `function`.
// `ops` are the nodes that must come out.
void CheckSign(const std::string& what, const Build& build,
               const Function& function, const std::map<std::string, int>& ops,
               float tolerance = 0) {
  SCOPED_TRACE(what);
  const Floats x = Inputs();
  const Floats weights = RandomChoice(kFeatures * 5, 41, -1, 1);
  OnnxFile file;
  file.Input("x", {0, kFeatures})
      .Output("y")
      .Constant("w", {kFeatures, 5}, weights)
      .Constant("t", {}, Floats{kThreshold})
      .Constant("zero", {}, Floats{0})
      .Constant("one", {}, Floats{1})
      .Constant("minus", {1}, Floats{-1})
      .Constant("two", {1, 1}, Floats{2});
  build(&file);
  file.Node("MatMul", {"s", "w"}, "y");
  const Conversion c = Converted(file);
  for (const auto& [op, count] : ops) {
    EXPECT_EQ(CountOps(c.graph, op), count) << op;
  }
  Floats mapped = x;
  for (float& value : mapped) value = function(value);
  ExpectNear(RunGraph(c.graph, {x}, 2),
             Multiplied(mapped, weights, kFeatures, 5), tolerance);
}

using Counts = std::map<std::string, int>;
// One product of bits, and no more than its input and it.
const Counts kBinary = {
    {"Binarize", 1}, {"BinaryGemm", 1}, {"BinaryConv", 0}, {"Mul", 0}};
const Counts kTwoBases = {
    {"Binarize", 2}, {"BinaryGemm", 1}, {"BinaryConv", 0}, {"Mul", 0}};
// One more node turns the source round.
const Counts kFlipped = {
    {"Binarize", 1}, {"BinaryGemm", 1}, {"BinaryConv", 0}, {"Mul", 1}};

// A comparison by `op` as 0 and 1.
bool Holds(const std::string& op, float a, float b) {
  return op == "Greater"          ? a > b
         : op == "GreaterOrEqual" ? a >= b
         : op == "Less"           ? a < b
                                  : a <= b;
}

TEST(ConvertSign, Sign) {
  CheckSign(
      "Sign", [](OnnxFile* f) { f->Node("Sign", {"x"}, "s"); }, SignOf,
      kTwoBases);
  CheckSign(
      "HardTanh before",
      [](OnnxFile* f) {
        f->Node("Clip", {"x", "minus", "one"}, "c").Node("Sign", {"c"}, "s");
      },
      SignOf, kTwoBases);
}

TEST(ConvertSign, EveryComparisonOnBothSides) {
  for (const std::string op :
       {"Greater", "GreaterOrEqual", "Less", "LessOrEqual"}) {
    // Choosing between 1 and -1 by any comparison needs no help: a "less" is a
    // choice the other way round.
    for (bool left : {false, true}) {
      for (bool inverted : {false, true}) {
        const float yes = inverted ? -1.0f : 1.0f;
        CheckSign(
            op + (left ? " of a constant" : "") + (inverted ? ", -1" : ", 1"),
            [&](OnnxFile* f) {
              f->Node(op,
                      left ? std::vector<std::string>{"t", "x"}
                           : std::vector<std::string>{"x", "t"},
                      "g");
              f->Node(
                  "Where",
                  {"g", inverted ? "minus" : "one", inverted ? "one" : "minus"},
                  "s");
            },
            [&](float x) {
              const bool holds =
                  left ? Holds(op, kThreshold, x) : Holds(op, x, kThreshold);
              return holds ? yes : -yes;
            },
            kBinary);
      }
      CheckSign(
          op + (left ? " of a constant" : "") + ", cast",
          [&](OnnxFile* f) {
            f->Node(op,
                    left ? std::vector<std::string>{"t", "x"}
                         : std::vector<std::string>{"x", "t"},
                    "g");
            f->Node("Cast", {"g"}, "s", {{"to", int64_t{1}}});
          },
          [&](float x) {
            return (left ? Holds(op, kThreshold, x) : Holds(op, x, kThreshold))
                       ? 1.0f
                       : 0.0f;
          },
          (op[0] == 'L') != left ? kFlipped : kBinary);
    }
  }
}

TEST(ConvertSign, ArithmeticOnTwoValues) {
  CheckSign(
      "2 * (x >= 0) - 1",
      [](OnnxFile* f) {
        f->Node("GreaterOrEqual", {"x", "zero"}, "g")
            .Node("Cast", {"g"}, "c", {{"to", int64_t{1}}})
            .Node("Mul", {"c", "two"}, "m")
            .Node("Sub", {"m", "one"}, "s");
      },
      PlusOf, kBinary);
  CheckSign(
      "Not",
      [](OnnxFile* f) {
        f->Node("Less", {"x", "zero"}, "l")
            .Node("Not", {"l"}, "n")
            .Node("Where", {"n", "one", "minus"}, "s");
      },
      PlusOf, kBinary);
  CheckSign(
      "a scale for all",
      [](OnnxFile* f) {
        f->Node("Sign", {"x"}, "a").Node("Mul", {"a", "t"}, "s");
      },
      [](float x) { return kThreshold * SignOf(x); }, kTwoBases, 1e-6f);
  CheckSign(
      "Sign of a sign",
      [](OnnxFile* f) { f->Node("Sign", {"x"}, "a").Node("Sign", {"a"}, "s"); },
      SignOf, kTwoBases);
}

// torch.where(x >= 0, torch.ones_like(x), -torch.ones_like(x))
TEST(ConvertSign, ChoiceBetweenTensorsOfOnes) {
  CheckSign(
      "ones_like",
      [](OnnxFile* f) {
        f->Node("GreaterOrEqual", {"x", "zero"}, "g")
            .Node("Shape", {"x"}, "shape")
            .Node("ConstantOfShape", {"shape"}, "zeros")
            .Node("Add", {"zeros", "one"}, "ones")
            .Node("Neg", {"ones"}, "negated")
            .Node("Where", {"g", "ones", "negated"}, "s");
      },
      PlusOf, kBinary);
}

TEST(ConvertSign, ValuesThatAreNoEncodingStayFloat) {
  CheckSign(
      "1, 2 or 3",
      [](OnnxFile* f) {
        f->Node("Sign", {"x"}, "a").Node("Add", {"a", "two"}, "s");
      },
      [](float x) { return SignOf(x) + 2; }, {{"BinaryWeightGemm", 1}});
}

TEST(ConvertSign, BipolarQuant) {
  for (const char* domain : {"onnx.brevitas", "qonnx.custom_op.general"}) {
    CheckSign(
        domain,
        [&](OnnxFile* f) {
          f->Node("BipolarQuant", {"x", "one"}, "s", {}, domain);
        },
        PlusOf, kBinary);
    CheckSign(
        std::string(domain) + " with a scale",
        [&](OnnxFile* f) {
          f->Node("BipolarQuant", {"x", "two"}, "s", {}, domain);
        },
        [](float x) { return 2 * PlusOf(x); }, kBinary);
  }
  const Floats scale = RandomFloats(kFeatures, 43);
  int64_t next = 0;
  CheckSign(
      "a scale per feature",
      [&](OnnxFile* f) {
        f->Constant("scales", {1, kFeatures}, scale)
            .Node("BipolarQuant", {"x", "scales"}, "s", {}, "onnx.brevitas");
      },
      [&](float x) { return scale[next++ % kFeatures] * PlusOf(x); },
      {{"BinaryWeightGemm", 1}}, 1e-5f);
}

TEST(ConvertSign, BipolarQuantOfWeights) {
  const Floats x = Inputs();
  Floats weights = RandomFloats(kFeatures * 3, 44);
  weights[5] = 0;  // +1, unlike with Sign
  OnnxFile file;
  file.Input("x", {0, kFeatures})
      .Output("y")
      .Constant("w", {3, kFeatures}, weights)
      .Constant("scale", {3, 1}, Floats{0.5f, 2, 4})
      .Node("BipolarQuant", {"w", "scale"}, "wq", {}, "onnx.brevitas")
      .Node("Transpose", {"wq"}, "wt", {{"perm", Ints{1, 0}}})
      .Node("Sign", {"x"}, "s")
      .Node("MatMul", {"s", "wt"}, "y");
  const Conversion c = Converted(file);
  EXPECT_EQ(CountOps(c.graph, "BinaryGemm"), 1);
  Floats expected(6, 0);
  for (int b = 0; b < 2; ++b) {
    for (int o = 0; o < 3; ++o) {
      for (int k = 0; k < kFeatures; ++k) {
        expected[b * 3 + o] += SignOf(x[b * kFeatures + k]) *
                               PlusOf(weights[o * kFeatures + k]) *
                               (o == 0   ? 0.5f
                                : o == 1 ? 2.0f
                                         : 4.0f);
      }
    }
  }
  ExpectNear(RunGraph(c.graph, {x}, 2), expected);
}

TEST(ConvertSign, ThresholdsPerChannel) {
  const Image x = MakeImage(2, 3, 4, 4, 45);
  const Floats weights = RandomChoice(2 * 3 * 4, 46, -1, 1);
  const Floats t = {x.At(0, 0, 1, 1), -0.5f, x.At(1, 2, 3, 0)};  // equality too
  OnnxFile file;
  file.Input("x", {0, 3, 4, 4})
      .Output("y", 4)
      .Constant("w", {2, 3, 2, 2}, weights)
      .Constant("t", {3, 1, 1}, t)
      .Constant("one", {}, Floats{1})
      .Constant("minus", {}, Floats{-1})
      .Node("Greater", {"x", "t"}, "g")
      .Node("Where", {"g", "one", "minus"}, "s")
      .Node("Conv", {"s", "w"}, "y");
  const Conversion c = Converted(file);
  EXPECT_EQ(CountOps(c.graph, "BinaryConv"), 1);
  Image sign = x;
  for (size_t i = 0; i < sign.values.size(); ++i) {
    sign.values[i] = sign.values[i] > t[i / 16 % 3] ? 1.0f : -1.0f;
  }
  ExpectNear(RunGraph(c.graph, {x.values}, 2),
             Convolved(sign, weights, {2, 2, 2}).values);
}

TEST(ConvertSign, MaxPoolOfASign) {
  const Image x = MakeImage(2, 5, 6, 6, 47);
  const Floats weights = RandomChoice(3 * 5 * 4, 48, -1, 1);
  for (bool inverted : {false, true}) {
    SCOPED_TRACE(inverted);
    OnnxFile file;
    file.Input("x", {0, 5, 6, 6})
        .Output("y", 4)
        .Constant("w", {3, 5, 2, 2}, weights)
        .Constant("zero", {}, Floats{0})
        .Constant("one", {}, Floats{1})
        .Constant("minus", {}, Floats{-1})
        .Node("GreaterOrEqual", {"x", "zero"}, "g")
        .Node("Where",
              {"g", inverted ? "minus" : "one", inverted ? "one" : "minus"},
              "s")
        .Node("MaxPool", {"s"}, "p",
              {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}})
        .Node("Conv", {"p", "w"}, "y");
    const Conversion c = Converted(file);
    EXPECT_EQ(CountOps(c.graph, "BinaryMaxPool"), 1);
    EXPECT_EQ(CountOps(c.graph, "BinaryConv"), 1);
    Image sign = Mapped(x, PlusOf);
    if (inverted) sign = Mapped(sign, [](float v) { return -v; });
    ExpectNear(RunGraph(c.graph, {x.values}, 2),
               Convolved(MaxPooled(sign, 2, 2), weights, {3, 2, 2}).values);
  }
}

// The pool makes the larger value win; afterwards the values change places, and
// a second pool must not take the bits for the maximum.
TEST(ConvertSign, PoolOfANegatedPool) {
  const Image x = MakeImage(1, 3, 8, 8, 49);
  OnnxFile file;
  const TestAttribute size{"kernel_shape", Ints{2, 2}};
  file.Input("x", {0, 3, 8, 8})
      .Output("y", 4)
      .Node("Sign", {"x"}, "s")
      .Node("MaxPool", {"s"}, "p", {size, {"strides", Ints{2, 2}}})
      .Node("Neg", {"p"}, "n")
      .Node("MaxPool", {"n"}, "y", {size, {"strides", Ints{2, 2}}});
  const Conversion c = Converted(file);
  EXPECT_EQ(CountOps(c.graph, "BinaryMaxPool"), 2);  // one for each base
  EXPECT_EQ(CountOps(c.graph, "MaxPool"), 1);
  const Image pooled = MaxPooled(Mapped(x, SignOf), 2, 2);
  ExpectNear(
      RunGraph(c.graph, {x.values}, 1),
      MaxPooled(Mapped(pooled, [](float v) { return -v; }), 2, 2).values);
}

// A sign that is an output, is added to, and is averaged, has to become floats.
TEST(ConvertSign, BitsAsFloats) {
  const Image x = MakeImage(2, 3, 4, 4, 50);
  OnnxFile file;
  file.Input("x", {0, 3, 4, 4})
      .Output("s", 4)
      .Output("flat")
      .Output("sum", 4)
      .Output("mean", 4)
      .Node("Sign", {"x"}, "s")
      .Node("Flatten", {"s"}, "flat")
      .Node("Add", {"x", "s"}, "sum")
      .Node("GlobalAveragePool", {"s"}, "mean");
  const Image sign = Mapped(x, SignOf);
  Floats expected = sign.values;
  expected.insert(expected.end(), sign.values.begin(), sign.values.end());
  for (size_t i = 0; i < x.values.size(); ++i) {
    expected.push_back(x.values[i] + sign.values[i]);
  }
  for (size_t i = 0; i < x.values.size(); i += 16) {
    float sum = 0;
    for (size_t j = i; j < i + 16; ++j) sum += sign.values[j];
    expected.push_back(sum / 16);
  }
  const Conversion c = Converted(file);
  EXPECT_EQ(CountOps(c.graph, "Binarize"), 2);
  ExpectNear(RunGraph(c.graph, {x.values}, 2), expected, 1e-6f);
}

// The chain of integer arithmetic that BNN-PYNQ's networks have between the
// product and the sign must switch exactly where ONNX does.
TEST(ConvertSign, ChainBehindAProductIsExact) {
  const int64_t k = 96, out = 64;
  const Floats x = RandomChoice(8 * k, 51, -1, 1);
  const Floats weights = RandomChoice(k * out, 52, -1, 1);
  const Floats identity = [&] {
    Floats eye(out * out, -1.0f);
    for (int64_t i = 0; i < out; ++i) eye[i * out + i] = 1;
    return eye;
  }();
  Floats thresholds(out);
  for (int64_t i = 0; i < out; ++i) {
    thresholds[i] = 40 + static_cast<float>(i % 16);  // integers: ties happen
  }
  OnnxFile file;
  file.Input("x", {0, k})
      .Output("y")
      .Constant("w", {k, out}, weights)
      .Constant("k", {1}, Floats{static_cast<float>(k)})
      .Constant("half", {1}, Floats{0.5f})
      .Constant("t", {out}, thresholds)
      .Constant("w2", {out, out}, identity)
      .Node("Sign", {"x"}, "s")
      .Node("MatMul", {"s", "w"}, "m")
      .Node("Add", {"m", "k"}, "a")
      .Node("Mul", {"a", "half"}, "h")
      .Node("Sub", {"h", "t"}, "d")
      .Node("Sign", {"d"}, "s2")
      .Node("MatMul", {"s2", "w2"}, "y");
  const Conversion c = Converted(file);
  EXPECT_EQ(CountOps(c.graph, "BinaryGemm"), 2);
  Floats hidden = Multiplied(x, weights, k, out);
  int ties = 0;
  for (size_t i = 0; i < hidden.size(); ++i) {
    const float d = (hidden[i] + k) * 0.5f - thresholds[i % out];
    ties += d == 0;
    hidden[i] = SignOf(d);
  }
  EXPECT_GT(ties, 0);
  ExpectNear(RunGraph(c.graph, {x}, 8), Multiplied(hidden, identity, out, out));
}

TEST(ConvertSign, ErrorsNameTheNode) {
  const struct {
    const char* what;
    OnnxFile file;
  } cases[] = {
      {"not finite",
       OnnxFile()
           .Input("x", {0, 4})
           .Output("y")
           .Constant("t", {}, Floats{std::numeric_limits<float>::infinity()})
           .Node("Greater", {"x", "t"}, "bad")
           .Node("Cast", {"bad"}, "y", {{"to", int64_t{1}}})},
      {"varies within a channel",
       OnnxFile()
           .Input("x", {0, 1, 2, 2})
           .Output("y", 4)
           .Constant("t", {1, 2, 2}, Floats{1, 2, 3, 4})
           .Node("Greater", {"x", "t"}, "bad")
           .Node("Cast", {"bad"}, "y", {{"to", int64_t{1}}})},
      {"choice between two numbers",
       OnnxFile()
           .Input("x", {0, 4})
           .Output("bad")
           .Constant("t", {}, Floats{0})
           .Node("Greater", {"x", "t"}, "g")
           .Node("Where", {"g", "x", "t"}, "bad")},
      {"must be a constant",
       OnnxFile()
           .Input("x", {0, 4})
           .Output("y")
           .Node("Relu", {"x"}, "r")
           .Node("Greater", {"x", "r"}, "bad")
           .Node("Cast", {"bad"}, "y", {{"to", int64_t{1}}})},
  };
  for (const auto& c : cases) {
    const auto conversion = Convert(c.file);
    ASSERT_FALSE(conversion.ok()) << c.what;
    EXPECT_NE(conversion.status().message().find(c.what), std::string::npos)
        << conversion.status().message();
    EXPECT_NE(conversion.status().message().find("node 'bad'"),
              std::string::npos)
        << conversion.status().message();
  }
}

}  // namespace
}  // namespace bqengine::convert
