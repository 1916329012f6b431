// The sign of an exact zero, which is 0 in ONNX: what keeps it, at how many
// bases, and where it cannot come. Expectations are evaluated by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "convert_test_util.h"

namespace bqengine::convert {
namespace {

using Function = std::function<float(float)>;
using Build = std::function<void(OnnxFile*)>;

constexpr int64_t kFeatures = 70;
constexpr float kTiny = std::numeric_limits<float>::denorm_min();
constexpr float kInf = std::numeric_limits<float>::infinity();

// A third are zeros, of both signs; the rest includes the smallest numbers.
Floats WithZeros(size_t count, uint32_t seed) {
  Floats values = RandomFloats(count, seed);
  const Floats special = {0.0f, -0.0f, kTiny, -kTiny, 1, -1, 0.5f, -0.5f};
  for (size_t i = 0; i < count; ++i) {
    if (i % 3 == 0) values[i] = i % 2 == 0 ? 0.0f : -0.0f;
    if (i < special.size()) values[i] = special[i];
  }
  return values;
}

int BasesOf(const Graph& graph, const std::string& node_name) {
  for (const bqengine::Node& node : graph.nodes) {
    if (node.name == node_name) return static_cast<int>(node.inputs.size());
  }
  ADD_FAILURE() << "no node " << node_name;
  return 0;
}

// x -> `build` (from "x" to "s") -> MatMul with +-1: that it is a product of
// bits with so many bases, and what it gives.
void CheckBases(const std::string& what, int bases, const Build& build,
                const Function& function, const ConvertOptions& options = {}) {
  SCOPED_TRACE(what);
  const Floats x = WithZeros(2 * kFeatures, 60);
  const Floats weights = RandomChoice(kFeatures * 5, 61, -1, 1);
  OnnxFile file;
  file.Input("x", {0, kFeatures})
      .Output("y")
      .Constant("w", {kFeatures, 5}, weights)
      .Constant("zero", {}, Floats{0})
      .Constant("one", {}, Floats{1})
      .Constant("minus", {}, Floats{-1})
      .Constant("two", {}, Floats{2})
      .Constant("half", {}, Floats{0.5f});
  build(&file);
  file.Node("MatMul", {"s", "w"}, "y");
  const Conversion c = Converted(file, options);
  EXPECT_EQ(CountOps(c.graph, "BinaryGemm"), 1);
  EXPECT_EQ(CountOps(c.graph, "BinaryConv"), 0);
  EXPECT_EQ(BasesOf(c.graph, "y"), bases);
  Floats mapped = x;
  for (float& value : mapped) value = function(value);
  ExpectNear(RunGraph(c.graph, {x}, 2),
             Multiplied(mapped, weights, kFeatures, 5));
}

// The bases that the sign of `build` (from "x" to "v") takes, without a run.
Conversion SignOfFloats(const Build& build, int64_t features) {
  OnnxFile file;
  file.Input("x", {0, features})
      .Output("y")
      .Constant("zero", {}, Floats{0})
      .Constant("one", {}, Floats{1})
      .Constant("half", {}, Floats{0.5f})
      .Constant("last", {4, 4}, RandomChoice(16, 62, -1, 1));
  build(&file);
  file.Node("Sign", {"v"}, "s").Node("MatMul", {"s", "last"}, "y");
  return Converted(file);
}

// ------------------------------------------------------- which values can come

TEST(ConvertZero, OfTheInput) {
  CheckBases(
      "sign", 2, [](OnnxFile* f) { f->Node("Sign", {"x"}, "s"); }, SignOf);
}

TEST(ConvertZero, PlusOnRequest) {
  ConvertOptions options;
  options.sign_zero = SignZero::kPlus;
  CheckBases(
      "sign", 1, [](OnnxFile* f) { f->Node("Sign", {"x"}, "s"); }, PlusOf,
      options);
}

// Told that pixels are divided by 255, the converter takes 0.5, which none
// becomes, for a number that does not come, and says so.
TEST(ConvertZero, PixelsAreToldByTheirPreprocessing) {
  const auto convert = [](float scale, const std::string& of) {
    OnnxFile file;
    file.Input("x", {0, 6})
        .Output("y")
        .Constant("one", {}, Floats{1})
        .Constant("two", {}, Floats{2})
        .Constant("w", {6, 4}, RandomChoice(24, 69, -1, 1))
        .Node("Mul", {"x", "two"}, "m")
        .Node("Sub", {"m", "one"}, "d")
        .Node("Sign", {of}, "s")
        .Node("MatMul", {"s", "w"}, "y");
    ConvertOptions options;
    options.scale = scale;
    return Converted(file, options);
  };
  EXPECT_EQ(BasesOf(convert(1, "d").graph, "y"), 2);
  EXPECT_EQ(BasesOf(convert(1.0f / 256, "d").graph, "y"), 2);  // 128 is 0.5
  const Conversion c = convert(1.0f / 255, "d");
  EXPECT_EQ(BasesOf(c.graph, "y"), 1);
  EXPECT_EQ(c.signs.at(0).assumed, (Floats{0}));
  EXPECT_EQ(BasesOf(convert(1.0f / 255, "x").graph, "y"), 2);  // black
}

TEST(ConvertZero, OnlyZeroAndMore) {
  CheckBases(
      "Relu", 1,
      [](OnnxFile* f) { f->Node("Relu", {"x"}, "r").Node("Sign", {"r"}, "s"); },
      [](float x) { return x > 0 ? 1.0f : 0.0f; });
  CheckBases(
      "Clip(0, 1)", 1,
      [](OnnxFile* f) {
        f->Node("Clip", {"x", "zero", "one"}, "c").Node("Sign", {"c"}, "s");
      },
      [](float x) { return x > 0 ? 1.0f : 0.0f; });
  CheckBases(
      "Relu, Floor", 1,
      [](OnnxFile* f) {
        f->Node("Relu", {"x"}, "r")
            .Node("Floor", {"r"}, "g")
            .Node("Sign", {"g"}, "s");
      },
      [](float x) { return x >= 1 ? 1.0f : 0.0f; });
}

TEST(ConvertZero, OnlyZeroAndLess) {
  CheckBases(
      "-Relu(x)", 1,
      [](OnnxFile* f) {
        f->Node("Relu", {"x"}, "r")
            .Node("Neg", {"r"}, "n")
            .Node("Sign", {"n"}, "s");
      },
      [](float x) { return x > 0 ? -1.0f : 0.0f; });
}

TEST(ConvertZero, OfFloor) {
  CheckBases(
      "Floor", 2,
      [](OnnxFile* f) {
        f->Node("Floor", {"x"}, "g").Node("Sign", {"g"}, "s");
      },
      [](float x) { return SignOf(std::floor(x)); });
  CheckBases(  // never 0: the number is no integer, but nobody can know
      "Floor + 0.5", 2,
      [](OnnxFile* f) {
        f->Node("Floor", {"x"}, "g")
            .Node("Add", {"g", "half"}, "a")
            .Node("Sign", {"a"}, "s");
      },
      [](float x) { return SignOf(std::floor(x) + 0.5f); });
}

// ---------------------------------------- what people and exporters write of
// it

TEST(ConvertZero, Repairs) {
  CheckBases(
      "Where(x == 0, 1, Sign(x))", 1,
      [](OnnxFile* f) {
        f->Node("Equal", {"x", "zero"}, "e")
            .Node("Sign", {"x"}, "t")
            .Node("Where", {"e", "one", "t"}, "s");
      },
      PlusOf);
  CheckBases(
      "Where(Sign(x) == 0, -1, Sign(x))", 1,
      [](OnnxFile* f) {
        f->Node("Sign", {"x"}, "t")
            .Node("Equal", {"t", "zero"}, "e")
            .Node("Where", {"e", "minus", "t"}, "s");
      },
      [](float x) { return x > 0 ? 1.0f : -1.0f; });
  CheckBases(
      "Sign(x) + (x == 0)", 1,
      [](OnnxFile* f) {
        f->Node("Sign", {"x"}, "t")
            .Node("Equal", {"zero", "x"}, "e")
            .Node("Cast", {"e"}, "c", {{"to", int64_t{1}}})
            .Node("Add", {"t", "c"}, "s");
      },
      PlusOf);
  CheckBases(
      "(x > 0) - (x < 0)", 2,
      [](OnnxFile* f) {
        f->Node("Greater", {"x", "zero"}, "g")
            .Node("Less", {"x", "zero"}, "l")
            .Node("Cast", {"g"}, "gf", {{"to", int64_t{1}}})
            .Node("Cast", {"l"}, "lf", {{"to", int64_t{1}}})
            .Node("Sub", {"gf", "lf"}, "s");
      },
      SignOf);
  CheckBases(
      "(x > 0) or (x == 0), as -1 and 1", 1,
      [](OnnxFile* f) {
        f->Node("Greater", {"x", "zero"}, "g")
            .Node("Equal", {"x", "zero"}, "e")
            .Node("Or", {"g", "e"}, "o")
            .Node("Where", {"o", "one", "minus"}, "s");
      },
      PlusOf);
  CheckBases(
      "Sign(Sign(x) + 0.1), as larq has it", 1,
      [](OnnxFile* f) {
        f->Constant("tenth", {}, Floats{0.1f})
            .Node("Sign", {"x"}, "t")
            .Node("Add", {"t", "tenth"}, "a")
            .Node("Sign", {"a"}, "s");
      },
      PlusOf);
  for (const char* ones : {"ConstantOfShape", "Expand"}) {
    CheckBases(
        std::string("Where(x > 0, ones_like, 0) by ") + ones, 1,
        [&](OnnxFile* f) {
          f->Node("Greater", {"x", "zero"}, "g").Node("Shape", {"x"}, "shape");
          if (ones[0] == 'E') {
            f->Node("Expand", {"one", "shape"}, "ones");
          } else {
            f->Node("ConstantOfShape", {"shape"}, "zeros")
                .Node("Add", {"zeros", "one"}, "ones");
          }
          f->Node("Where", {"g", "ones", "zero"}, "s");
        },
        [](float x) { return x > 0 ? 1.0f : 0.0f; });
  }
}

TEST(ConvertZero, SignsOfSigns) {
  CheckBases(
      "Sign(Sign(x) - 0.5)", 1,
      [](OnnxFile* f) {
        f->Node("Sign", {"x"}, "t")
            .Node("Sub", {"t", "half"}, "a")
            .Node("Sign", {"a"}, "s");
      },
      [](float x) { return x > 0 ? 1.0f : -1.0f; });
  CheckBases(
      "(Sign(x) + 1) / 2", 2,
      [](OnnxFile* f) {
        f->Node("Sign", {"x"}, "t")
            .Node("Add", {"t", "one"}, "a")
            .Node("Div", {"a", "two"}, "s");
      },
      [](float x) { return (SignOf(x) + 1) / 2; });
  CheckBases(
      "Max(Sign(x), -Sign(x)) - 1", 2,
      [](OnnxFile* f) {
        f->Node("Sign", {"x"}, "t")
            .Node("Neg", {"t"}, "n")
            .Node("Max", {"t", "n"}, "m")
            .Node("Sub", {"m", "one"}, "s");
      },
      [](float x) { return std::abs(SignOf(x)) - 1; });
}

// Sign(Sign(x + t) + Sign(x - t)): the two thresholds are found on x itself, at
// the very floats at which the sums switch.
TEST(ConvertZero, Ternary) {
  for (const float t : {0.05f, 0.5f, 3e-39f}) {
    for (const bool turned : {false, true}) {
      CheckBases(
          "t = " + std::to_string(t) + (turned ? ", of -2x" : ""), 2,
          [&](OnnxFile* f) {
            f->Constant("t", {}, Floats{t})
                .Constant("factor", {}, Floats{turned ? -2.0f : 1.0f})
                .Node("Mul", {"x", "factor"}, "m")
                .Node("Add", {"m", "t"}, "above")
                .Node("Sub", {turned ? "m" : "x", "t"}, "below")
                .Node("Sign", {"above"}, "a")
                .Node("Sign", {"below"}, "b")
                .Node("Add", {"a", "b"}, "sum")
                .Node("Sign", {"sum"}, "s");
          },
          [&](float x) {
            const float m = turned ? -2 * x : x;
            return SignOf(SignOf(m + t) + SignOf(m - t));
          });
    }
  }
}

TEST(ConvertZero, FourValues) {
  CheckBases(
      "a quantizer of two bits", 3,
      [](OnnxFile* f) {
        f->Constant("third", {}, Floats{1.0f / 3})
            .Node("GreaterOrEqual", {"x", "minus"}, "p")
            .Node("Greater", {"x", "third"}, "q")
            .Node("Greater", {"x", "half"}, "r")
            .Node("Cast", {"p"}, "pf", {{"to", int64_t{1}}})
            .Node("Cast", {"q"}, "qf", {{"to", int64_t{1}}})
            .Node("Cast", {"r"}, "rf", {{"to", int64_t{1}}})
            .Node("Add", {"pf", "qf"}, "pq")
            .Node("Add", {"pq", "rf"}, "s");
      },
      [](float x) {
        return float(x >= -1) + float(x > 1.0f / 3) + float(x > 0.5f);
      });
}

// Comparisons at the ends of the floats.
TEST(ConvertZero, ComparisonsAtTheEdges) {
  const Floats thresholds = {0.0f,
                             -0.0f,
                             kTiny,
                             -kTiny,
                             std::numeric_limits<float>::max(),
                             std::numeric_limits<float>::lowest()};
  const Floats x = {0.0f,
                    -0.0f,
                    kTiny,
                    -kTiny,
                    2 * kTiny,
                    -2 * kTiny,
                    std::numeric_limits<float>::max(),
                    std::numeric_limits<float>::lowest(),
                    kInf,
                    -kInf};
  for (const std::string op :
       {"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"}) {
    for (const float t : thresholds) {
      SCOPED_TRACE(op + " " + std::to_string(t));
      OnnxFile file;
      file.Input("x", {0, 10})
          .Output("y")
          .Constant("t", {}, Floats{t})
          .Node(op, {"x", "t"}, "c")
          .Node("Cast", {"c"}, "y", {{"to", int64_t{1}}});
      Floats expected;
      for (float v : x) {
        expected.push_back(op == "Greater"          ? v > t
                           : op == "GreaterOrEqual" ? v >= t
                           : op == "Less"           ? v < t
                           : op == "LessOrEqual"    ? v <= t
                                                    : v == t);
      }
      ExpectNear(RunGraph(Converted(file).graph, {x}, 1), expected);
    }
  }
}

TEST(ConvertZero, ThresholdsThatStandInAnotherOrder) {
  // (x > a) + (x > b) where a < b in one channel and b < a in the other: the
  // sum is one of floats.
  const Floats a = {0.1f, 0.6f}, b = {0.4f, 0.2f};
  const Floats x = {0.05f, 0.3f, 0.5f, 0.7f, 0.1f, 0.1f};
  OnnxFile file;
  file.Input("x", {0, 2})
      .Output("y")
      .Constant("a", {2}, a)
      .Constant("b", {2}, b)
      .Node("Greater", {"x", "a"}, "p")
      .Node("Greater", {"x", "b"}, "q")
      .Node("Cast", {"p"}, "pf", {{"to", int64_t{1}}})
      .Node("Cast", {"q"}, "qf", {{"to", int64_t{1}}})
      .Node("Add", {"pf", "qf"}, "y");
  Floats expected;
  for (size_t i = 0; i < x.size(); ++i) {
    expected.push_back(float(x[i] > a[i % 2]) + float(x[i] > b[i % 2]));
  }
  ExpectNear(RunGraph(Converted(file).graph, {x}, 3), expected);
}

// ---------------------------------------------------------- images and padding

TEST(ConvertZero, PaddingBeforeTheSign) {
  Image x = MakeImage(2, 5, 6, 6, 63);
  x.values = WithZeros(x.values.size(), 63);
  const Floats weights = RandomChoice(3 * 5 * 9, 64, -1, 1);
  for (const float value : {0.0f, 2.0f, -0.25f}) {
    SCOPED_TRACE(value);
    OnnxFile file;
    file.Input("x", {0, 5, 6, 6})
        .Output("y", 4)
        .Constant("w", {3, 5, 3, 3}, weights)
        .Constant("pads", {8}, Ints{0, 0, 1, 1, 0, 0, 1, 1})
        .Constant("value", {}, Floats{value})
        .Node("Pad", {"x", "pads", "value"}, "p")
        .Node("Sign", {"p"}, "s")
        .Node("Conv", {"s", "w"}, "y");
    const Conversion c = Converted(file);
    EXPECT_EQ(CountOps(c.graph, "Pad"), 0);
    EXPECT_EQ(BasesOf(c.graph, "y"), 2);
    ExpectNear(RunGraph(c.graph, {x.values}, 2),
               Convolved(Mapped(Padded(x, {1, 1, 1, 1}, value), SignOf),
                         weights, {3, 3, 3})
                   .values);
  }
}

// A pool takes no padding of its own: the source is padded, and the bits
// pooled.
TEST(ConvertZero, PaddingBeforeSignAndPool) {
  Image x = MakeImage(1, 3, 5, 5, 65);
  x.values = WithZeros(x.values.size(), 65);
  for (const bool after : {false, true}) {
    SCOPED_TRACE(after);
    OnnxFile file;
    file.Input("x", {0, 3, 5, 5})
        .Output("y", 4)
        .Constant("w", {2, 3, 2, 2}, RandomChoice(24, 66, -1, 1))
        .Constant("pads", {8}, Ints{0, 0, 1, 1, 0, 0, 0, 0})
        .Constant("zero", {}, Floats{0});
    if (after) {
      file.Node("Sign", {"x"}, "t").Node("Pad", {"t", "pads", "zero"}, "s");
    } else {
      file.Node("Pad", {"x", "pads", "zero"}, "t").Node("Sign", {"t"}, "s");
    }
    file.Node("MaxPool", {"s"}, "p",
              {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}})
        .Node("Conv", {"p", "w"}, "y");
    const Conversion c = Converted(file);
    EXPECT_EQ(CountOps(c.graph, "BinaryMaxPool"), 2);
    const Image sign = Mapped(Padded(x, {1, 1, 0, 0}, 0), SignOf);
    ExpectNear(
        RunGraph(c.graph, {x.values}, 1),
        Convolved(MaxPooled(sign, 2, 2), RandomChoice(24, 66, -1, 1), {2, 2, 2})
            .values);
  }
}

TEST(ConvertZero, PoolAndTransposeAndConcat) {
  Image x = MakeImage(2, 4, 6, 6, 67);
  x.values = WithZeros(x.values.size(), 67);
  const Floats weights = RandomChoice(3 * 8 * 4, 68, -1, 1);
  OnnxFile file;
  file.Input("x", {0, 4, 6, 6})
      .Output("y", 4)
      .Constant("w", {3, 8, 2, 2}, weights)
      .Constant("zero", {}, Floats{0})
      .Constant("one", {}, Floats{1})
      .Constant("minus", {}, Floats{-1})
      .Node("Sign", {"x"}, "s")
      .Node("GreaterOrEqual", {"x", "zero"}, "g")
      .Node("Where", {"g", "one", "minus"}, "t")
      .Node("Concat", {"t", "s"}, "c", {{"axis", int64_t{1}}})
      .Node("MaxPool", {"c"}, "p",
            {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}})
      .Node("Conv", {"p", "w"}, "y");
  const Conversion c = Converted(file);
  EXPECT_EQ(BasesOf(c.graph, "y"), 2);
  EXPECT_EQ(CountOps(c.graph, "BinaryConv"), 1);
  Image joined{2, 8, 6, 6, Floats(2 * 8 * 36)};
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t ch = 0; ch < 8; ++ch) {
      for (int64_t i = 0; i < 36; ++i) {
        const float v = x.At(b, ch % 4, i / 6, i % 6);
        joined.At(b, ch, i / 6, i % 6) = ch < 4 ? PlusOf(v) : SignOf(v);
      }
    }
  }
  ExpectNear(RunGraph(c.graph, {x.values}, 2),
             Convolved(MaxPooled(joined, 2, 2), weights, {3, 2, 2}).values);
}

// ------------------------------------------------------- behind an accumulator

// Sign -> MatMul [k, out] -> what `build` adds (from "m" to "v") -> Sign ->
// MatMul. `chain` is the value of v by accumulator and channel.
void CheckBehindProduct(const std::string& what, int64_t k, int bases,
                        const Build& build,
                        const std::function<double(double, int64_t)>& chain) {
  SCOPED_TRACE(what);
  constexpr int64_t kOut = 8;
  const Floats x = RandomChoice(64 * k, 70, -1, 1);
  const Floats w = RandomChoice(k * kOut, 71, -1, 1);
  const Floats last = RandomChoice(kOut * 3, 72, -1, 1);
  OnnxFile file;
  file.Input("x", {0, k})
      .Output("y")
      .Constant("w", {k, kOut}, w)
      .Constant("last", {kOut, 3}, last)
      .Constant("zero", {}, Floats{0})
      .Constant("one", {}, Floats{1})
      .Constant("minus", {}, Floats{-1})
      .Node("GreaterOrEqual", {"x", "zero"}, "g")
      .Node("Where", {"g", "one", "minus"}, "s")
      .Node("MatMul", {"s", "w"}, "m");
  build(&file);
  file.Node("Sign", {"v"}, "t").Node("MatMul", {"t", "last"}, "y");
  const Conversion c = Converted(file);
  EXPECT_EQ(BasesOf(c.graph, "m"), 1);
  EXPECT_EQ(BasesOf(c.graph, "y"), bases);
  Floats hidden = Multiplied(x, w, k, kOut);
  int zeros = 0;
  for (size_t i = 0; i < hidden.size(); ++i) {
    const double v = chain(hidden[i], static_cast<int64_t>(i) % kOut);
    zeros += v == 0;
    hidden[i] = v > 0 ? 1.0f : v < 0 ? -1.0f : 0.0f;
  }
  EXPECT_EQ(zeros > 0, bases == 2 || what.find("only 0") == 0);
  ExpectNear(RunGraph(c.graph, {x}, 64), Multiplied(hidden, last, kOut, 3));
}

TEST(ConvertZero, SumsOfSigns) {
  const Build nothing = [](OnnxFile* f) { f->Node("Identity", {"m"}, "v"); };
  const auto same = [](double acc, int64_t) { return acc; };
  CheckBehindProduct("an even number of them", 12, 2, nothing, same);
  CheckBehindProduct("an odd number of them", 13, 1, nothing, same);
  CheckBehindProduct(
      "an odd number, shifted by an odd one", 13, 2,
      [](OnnxFile* f) {
        f->Constant("three", {}, Floats{3}).Node("Sub", {"m", "three"}, "v");
      },
      [](double acc, int64_t) { return acc - 3; });
  CheckBehindProduct(
      "shifted beyond what can come", 12, 1,
      [](OnnxFile* f) {
        f->Constant("far", {}, Floats{13}).Node("Sub", {"far", "m"}, "v");
      },
      [](double acc, int64_t) { return 13 - acc; });
  CheckBehindProduct(
      "never 0 by a third", 12, 1,
      [](OnnxFile* f) {
        f->Constant("third", {}, Floats{1.0f / 3})
            .Node("Mul", {"m", "third"}, "a")
            .Node("Sub", {"a", "third"}, "v");
      },
      [](double acc, int64_t) { return acc - 1; });
}

OnnxFile& Normalize(OnnxFile* f, const Floats& scale, const Floats& bias,
                    const Floats& mean, const Floats& var, float epsilon) {
  return f->Constant("scale", {8}, scale)
      .Constant("bias", {8}, bias)
      .Constant("mean", {8}, mean)
      .Constant("var", {8}, var)
      .Node("BatchNormalization", {"m", "scale", "bias", "mean", "var"}, "v",
            {{"epsilon", epsilon}});
}

TEST(ConvertZero, BatchNorms) {
  const Floats scale = {0.7f, -0.3f, 1.1f, 0.2f, -0.9f, 0.5f, 0.4f, 2};
  const Floats bias(8, 0.0f), var = {9, 4, 2, 5, 7, 3, 8, 6};
  const auto normalized = [&](const Floats& b, const Floats& mean) {
    return [=](double acc, int64_t c) {
      return (acc - mean[c]) / std::sqrt(var[c]) * scale[c] + b[c];
    };
  };
  const Floats learned = {0.3f, -1.2f, 2.7f, 0.1f, -3.3f, 1.9f, -0.6f, 4.1f};
  CheckBehindProduct(
      "means that were learned", 12, 1,
      [&](OnnxFile* f) { Normalize(f, scale, bias, learned, var, 0); },
      normalized(bias, learned));
  const Floats whole = {0, -2, 4, 0, 2, -2, 6, 0};
  CheckBehindProduct(
      "means that are even integers", 12, 2,
      [&](OnnxFile* f) { Normalize(f, scale, bias, whole, var, 0); },
      normalized(bias, whole));
  const Floats odd = {1, -1, 3, 1, -3, 5, 1, 1};
  CheckBehindProduct(
      "means that are odd integers", 12, 1,
      [&](OnnxFile* f) { Normalize(f, scale, bias, odd, var, 0); },
      normalized(bias, odd));
  Floats mixed = learned;
  mixed[3] = 2;
  CheckBehindProduct(
      "one channel of eight", 12, 2,
      [&](OnnxFile* f) { Normalize(f, scale, bias, mixed, var, 0); },
      normalized(bias, mixed));
}

TEST(ConvertZero, DeadChannelsGiveZero) {
  Floats scale = {0.7f, -0.3f, 0, 0.2f, -0.9f, 0, 0.4f, 2};
  const Floats bias = {0, 0, 0, 0, 0, 0.1f, 0, 0}, var(8, 1.0f);
  const Floats mean = {0.3f, -1.2f, 2.7f, 0.1f, -3.3f, 1.9f, -0.6f, 4.1f};
  CheckBehindProduct(
      "channel 2 is always 0", 12, 2,
      [&](OnnxFile* f) { Normalize(f, scale, bias, mean, var, 0); },
      [&](double acc, int64_t c) {
        return (acc - mean[c]) * scale[c] + bias[c];
      });
}

// Relu(acc): 0 comes, but nothing less.
TEST(ConvertZero, ReluBehindAProduct) {
  CheckBehindProduct(
      "only 0 and more", 12, 1,
      [](OnnxFile* f) { f->Node("Relu", {"m"}, "v"); },
      [](double acc, int64_t) { return std::max(acc, 0.0); });
}

// Two bases of signs, summed up: even though each sum has a parity.
TEST(ConvertZero, SignOfASumOfThreeValuedSigns) {
  const int64_t k = 10, hidden = 6;
  const Floats x = WithZeros(16 * k, 73);
  const Floats w = RandomChoice(k * hidden, 74, -1, 1);
  const Floats last = RandomChoice(hidden * 3, 75, -1, 1);
  OnnxFile file;
  file.Input("x", {0, k})
      .Output("y")
      .Constant("w", {k, hidden}, w)
      .Constant("last", {hidden, 3}, last)
      .Node("Sign", {"x"}, "s")
      .Node("MatMul", {"s", "w"}, "m")
      .Node("Sign", {"m"}, "t")
      .Node("MatMul", {"t", "last"}, "y");
  const Conversion c = Converted(file);
  EXPECT_EQ(BasesOf(c.graph, "m"), 2);
  EXPECT_EQ(BasesOf(c.graph, "y"), 2);
  Floats signs = x;
  for (float& v : signs) v = SignOf(v);
  Floats sums = Multiplied(signs, w, k, hidden);
  for (float& v : sums) v = SignOf(v);
  ExpectNear(RunGraph(c.graph, {x}, 16), Multiplied(sums, last, hidden, 3));
}

// --------------------------------------------------------- behind float layers

TEST(ConvertZero, FloatSumsAreAssumedNotToBeZero) {
  const Conversion c = SignOfFloats(
      [](OnnxFile* f) {
        f->Constant("w", {6, 4}, RandomFloats(24, 76))
            .Constant("b", {4}, Floats{0.1f, 0.2f, 0.3f, -0.4f})
            .Node("Gemm", {"x", "w", "b"}, "v");
      },
      6);
  EXPECT_EQ(BasesOf(c.graph, "y"), 1);
  ASSERT_EQ(c.signs.size(), 1u);
  EXPECT_EQ(c.signs[0].nodes, std::vector<std::string>{"s"});
  EXPECT_EQ(c.signs[0].values, (Floats{-1, 1}));
  EXPECT_EQ(c.signs[0].assumed, (Floats{0}));
  EXPECT_EQ(SignText(c.signs[0]),
            "sign s: -1 and 1; assumed that 0 does not come");
}

// An image that is all black gives 0 without a bias.
TEST(ConvertZero, FloatSumsOfNothingAreZero) {
  const Floats w = RandomFloats(24, 77);
  const Conversion c = SignOfFloats(
      [&](OnnxFile* f) {
        f->Constant("w", {6, 4}, w).Node("MatMul", {"x", "w"}, "v");
      },
      6);
  EXPECT_EQ(BasesOf(c.graph, "y"), 2);
  EXPECT_EQ(RunGraph(c.graph, {Floats(6, 0.0f)}, 1), Floats(4, 0.0f));
  EXPECT_EQ(SignText(c.signs.at(0)), "sign s: -1, 0 and 1 in 2 bases");
}

TEST(ConvertZero, ReluOfAFloatSum) {
  // Two of them: behind one, an x of nothing but zeros gives its bias.
  const auto gemm = [](OnnxFile* f, const std::string& out) -> OnnxFile& {
    return f->Constant("w", {6, 4}, RandomFloats(24, 78))
        .Constant("w2", {4, 4}, RandomFloats(16, 81))
        .Constant("b", {4}, Floats{0.1f, 0.2f, 0.3f, -0.4f})
        .Node("Gemm", {"x", "w", "b"}, "hidden")
        .Node("Gemm", {"hidden", "w2", "b"}, out);
  };
  const Conversion relu = SignOfFloats(
      [&](OnnxFile* f) { gemm(f, "g").Node("Relu", {"g"}, "v"); }, 6);
  EXPECT_EQ(BasesOf(relu.graph, "y"), 1);
  EXPECT_EQ(relu.signs.at(0).values, (Floats{0, 1}));
  EXPECT_EQ(relu.signs.at(0).impossible, (Floats{-1}));
  // x - Relu(x) is 0 wherever x is above 0.
  const Conversion rest = SignOfFloats(
      [&](OnnxFile* f) {
        gemm(f, "g").Node("Relu", {"g"}, "r").Node("Sub", {"g", "r"}, "v");
      },
      6);
  EXPECT_EQ(BasesOf(rest.graph, "y"), 2);
  // And so, through what moves values only.
  const Conversion moved = SignOfFloats(
      [&](OnnxFile* f) {
        gemm(f, "g").Node("Relu", {"g"}, "r");
        f->Constant("image", {4}, Ints{0, 4, 1, 1})
            .Constant("flat", {2}, Ints{0, 4})
            .Node("Reshape", {"r", "image"}, "i")
            .Node("MaxPool", {"i"}, "p", {{"kernel_shape", Ints{1, 1}}})
            .Node("Reshape", {"p", "flat"}, "q")
            .Node("Sub", {"g", "q"}, "v");
      },
      6);
  EXPECT_EQ(BasesOf(moved.graph, "y"), 2);
  // Clip(x, -1, 1) comes to 1 often, Clip(x, -1, 1) - 1 to 0.
  const Conversion clip = SignOfFloats(
      [&](OnnxFile* f) {
        gemm(f, "g")
            .Constant("minus", {}, Floats{-1})
            .Node("Clip", {"g", "minus", "one"}, "c")
            .Node("Sub", {"c", "one"}, "v");
      },
      6);
  EXPECT_EQ(clip.signs.at(0).values, (Floats{-1, 0}));
}

// A shortcut with something continuous in it.
TEST(ConvertZero, ShortcutsOfFloats) {
  const auto shortcut = [](OnnxFile* f) {
    f->Constant("w", {6, 4}, RandomFloats(24, 79))
        .Constant("b", {4}, Floats{0.1f, 0.2f, 0.3f, -0.4f})
        .Constant("w2", {4, 4}, RandomChoice(16, 80, -1, 1))
        .Node("Gemm", {"x", "w", "b"}, "g")
        .Node("Sign", {"g"}, "t")
        .Node("MatMul", {"t", "w2"}, "m")
        .Node("Add", {"m", "g"}, "v");
  };
  const Conversion c = SignOfFloats(shortcut, 6);
  EXPECT_EQ(BasesOf(c.graph, "m"), 1);
  EXPECT_EQ(BasesOf(c.graph, "y"), 1);
}

}  // namespace
}  // namespace bqengine::convert
