// Elementwise ops with constants of every shape, ops with an axis, shape
// arithmetic, pools: all that must follow the change from NCHW to NHWC.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "bqengine/model.h"
#include "bqengine/session.h"
#include "convert_test_util.h"

namespace bqengine::convert {
namespace {

constexpr float kRounding = 1e-5f;

Floats Joined(Floats a, const Floats& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Constants of these shapes against an image [2, 3, 4, 5], in all four
// operations and on either side.
TEST(ConvertArithmetic, ConstantsOfEveryShape) {
  const Image x = MakeImage(2, 3, 4, 5, 60);
  const std::vector<Ints> shapes = {{},           {1},       {3, 1, 1},
                                    {1, 3, 1, 1}, {5},       {4, 1},
                                    {4, 5},       {3, 4, 5}, {1, 3, 4, 5}};
  for (const Ints& shape : shapes) {
    int64_t count = 1;
    for (int64_t dim : shape) count *= dim;
    Floats constant = RandomFloats(count, 61);
    for (float& c : constant) c += c < 0 ? -0.5f : 0.5f;
    Ints full(4 - shape.size(), 1);
    full.insert(full.end(), shape.begin(), shape.end());
    const auto at = [&](size_t i) {  // the constant that meets element i
      const int64_t w = i % 5, h = i / 5 % 4, c = i / 20 % 3;
      return constant[((full[1] > 1 ? c : 0) * full[2] +
                       (full[2] > 1 ? h : 0)) *
                          full[3] +
                      (full[3] > 1 ? w : 0)];
    };
    for (const std::string op : {"Add", "Sub", "Mul", "Div"}) {
      for (bool left : {false, true}) {
        if (op == "Div" && left) continue;
        SCOPED_TRACE(op + " " + testing::PrintToString(shape) +
                     (left ? " left" : ""));
        OnnxFile file;
        file.Input("x", {0, 3, 4, 5})
            .Output("y", 4)
            .Constant("c", shape, constant)
            .Node(op,
                  left ? std::vector<std::string>{"c", "x"}
                       : std::vector<std::string>{"x", "c"},
                  "y");
        Floats expected = x.values;
        for (size_t i = 0; i < expected.size(); ++i) {
          const float a = left ? at(i) : expected[i];
          const float b = left ? expected[i] : at(i);
          expected[i] = op == "Add"   ? a + b
                        : op == "Sub" ? a - b
                        : op == "Mul" ? a * b
                                      : a / b;
        }
        ExpectNear(RunGraph(Converted(file).graph, {x.values}, 2), expected,
                   op == "Div" ? 3e-7f : 0);
      }
    }
  }
}

TEST(ConvertArithmetic, OnlyInexactDivisionIsNoted) {
  for (float divisor : {4.0f, 3.0f}) {
    OnnxFile file;
    file.Input("x", {0, 3})
        .Output("y")
        .Constant("c", {1}, Floats{divisor})
        .Node("Div", {"x", "c"}, "y");
    EXPECT_EQ(Converted(file).notes.size(), divisor == 3 ? 1u : 0u) << divisor;
  }
}

// A flattened image stands in memory order until it is an output: each of two
// is put into ONNX's, once.
TEST(ConvertOutputs, OfOneFlattenedTensor) {
  OnnxFile file;
  file.Input("x", {0, 3, 2, 2})
      .Output("r")
      .Output("s")
      .Node("Flatten", {"x"}, "f")
      .Node("Relu", {"f"}, "r")
      .Node("Identity", {"r"}, "s");
  const Conversion conversion = Converted(file);
  ASSERT_EQ(conversion.graph.outputs.size(), 2u);
  EXPECT_EQ(conversion.graph.outputs[0].name, "r");
  EXPECT_EQ(conversion.graph.outputs[1].name, "s");
  const auto model = Model::FromGraph(conversion.graph);
  ASSERT_TRUE(model.ok()) << model.status().message();
  auto session = Session::Create(*model);
  ASSERT_TRUE(session.ok()) << session.status().message();
  Floats x(12), r(12), s(12), expected(12);
  for (size_t pixel = 0; pixel < 4; ++pixel) {
    for (size_t c = 0; c < 3; ++c) {
      x[pixel * 3 + c] = expected[c * 4 + pixel] =
          static_cast<float>(pixel * 3 + c);
    }
  }
  const size_t bytes = 12 * sizeof(float);
  const InputView in = {x.data(), bytes};
  const std::vector<OutputView> out = {{r.data(), bytes}, {s.data(), bytes}};
  ASSERT_TRUE(session->Run(1, {&in, 1}, out).ok());
  EXPECT_EQ(r, expected);
  EXPECT_EQ(s, expected);
}

TEST(ConvertArithmetic, TwoActivations) {
  const Image x = MakeImage(2, 3, 2, 2, 62), z = MakeImage(2, 3, 2, 2, 63);
  for (const std::string op : {"Add", "Sub", "Mul"}) {
    SCOPED_TRACE(op);
    OnnxFile file;  // one operand has been to [channels, pixels] and back
    file.Input("x", {0, 3, 2, 2})
        .Input("z", {0, 3, 2, 2})
        .Output("y", 4)
        .Constant("flat", {3}, Ints{0, 3, -1})
        .Constant("image", {4}, Ints{0, 3, 2, 2})
        .Node("Reshape", {"x", "flat"}, "x3")
        .Node("Reshape", {"x3", "image"}, "x4")
        .Node(op, {"x4", "z"}, "y");
    Floats expected = x.values;
    for (size_t i = 0; i < expected.size(); ++i) {
      const float b = z.values[i];
      expected[i] = op == "Add"   ? expected[i] + b
                    : op == "Sub" ? expected[i] - b
                                  : expected[i] * b;
    }
    ExpectNear(RunGraph(Converted(file).graph, {x.values, z.values}, 2),
               expected);
  }
}

TEST(ConvertActivation, OneByOne) {
  const Image x = MakeImage(2, 3, 2, 2, 64);
  const Floats slope = {0.5f, -1, 2};
  const struct {
    const char* op;
    std::vector<std::string> inputs;
    std::vector<TestAttribute> attributes;
    int64_t opset;
    std::function<float(float, size_t)> function;
  } cases[] = {
      {"Relu", {"x"}, {}, 13, [](float v, size_t) { return ReluOf(v); }},
      {"Floor", {"x"}, {}, 13, [](float v, size_t) { return std::floor(v); }},
      {"Neg", {"x"}, {}, 13, [](float v, size_t) { return -v; }},
      {"LeakyRelu",
       {"x"},
       {{"alpha", 0.25f}},
       13,
       [](float v, size_t) { return v < 0 ? 0.25f * v : v; }},
      {"PRelu",
       {"x", "slope"},
       {},
       13,
       [&](float v, size_t i) { return v < 0 ? slope[i / 4 % 3] * v : v; }},
      {"Clip",
       {"x", "low", "high"},
       {},
       13,
       [](float v, size_t) { return std::clamp(v, -0.5f, 0.25f); }},
      {"Clip",
       {"x", "", "high"},
       {},
       13,
       [](float v, size_t) { return std::min(v, 0.25f); }},
      {"Clip",
       {"x"},
       {{"min", -0.5f}, {"max", 0.25f}},
       9,
       [](float v, size_t) { return std::clamp(v, -0.5f, 0.25f); }},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(testing::Message() << c.op << " opset " << c.opset);
    OnnxFile file(c.opset);
    file.Input("x", {0, 3, 2, 2})
        .Output("y", 4)
        .Constant("slope", {3, 1, 1}, slope)
        .Constant("low", {}, Floats{-0.5f})
        .Constant("high", {}, Floats{0.25f})
        .Node(c.op, c.inputs, "y", c.attributes);
    Floats expected = x.values;
    for (size_t i = 0; i < expected.size(); ++i) {
      expected[i] = c.function(expected[i], i);
    }
    ExpectNear(RunGraph(Converted(file).graph, {x.values}, 2), expected);
  }
}

TEST(ConvertBatchNormalization, OfAnImage) {
  const Image x = MakeImage(2, 3, 2, 2, 65);
  const Floats scale = {1, -2, 0}, bias = {0.5f, 1, -1},
               mean = {0.1f, -0.2f, 0};
  const Floats var = {1, 4, 0.25f};
  OnnxFile file;
  file.Input("x", {0, 3, 2, 2})
      .Output("y", 4)
      .Constant("scale", {3}, scale)
      .Constant("bias", {3}, bias)
      .Constant("mean", {3}, mean)
      .Constant("var", {3}, var)
      .Node("BatchNormalization", {"x", "scale", "bias", "mean", "var"}, "y",
            {{"epsilon", 0.125f}});
  Floats expected = x.values;
  for (size_t i = 0; i < expected.size(); ++i) {
    const size_t c = i / 4 % 3;
    expected[i] =
        (expected[i] - mean[c]) * scale[c] / std::sqrt(var[c] + 0.125f) +
        bias[c];
  }
  ExpectNear(RunGraph(Converted(file).graph, {x.values}, 2), expected,
             kRounding);
}

TEST(ConvertConcat, EveryAxis) {
  for (int64_t axis : {1, 2, 3, -3}) {
    for (bool bits : {false, true}) {
      SCOPED_TRACE(testing::Message() << "axis " << axis << " bits " << bits);
      Ints dims = {1, 2, 3, 4};
      Ints other = dims;
      const size_t at = axis < 0 ? axis + 4 : axis;
      other[at] = 5;
      const Image x = MakeImage(1, 2, 3, 4, 66);
      const Image z = MakeImage(1, other[1], other[2], other[3], 67);
      dims[0] = other[0] = 0;
      OnnxFile file;
      file.Input("x", dims)
          .Input("z", other)
          .Output("y", 4)
          .Node(bits ? "Sign" : "Relu", {"x"}, "a")
          .Node(bits ? "Sign" : "Relu", {"z"}, "b")
          .Node("Concat", {"a", "b"}, "y", {{"axis", axis}});
      const auto function = bits ? SignOf : ReluOf;
      Image y =
          MakeImage(1, at == 1 ? 7 : 2, at == 2 ? 8 : 3, at == 3 ? 9 : 4, 68);
      for (int64_t c = 0; c < y.channels; ++c) {
        for (int64_t h = 0; h < y.height; ++h) {
          for (int64_t w = 0; w < y.width; ++w) {
            const bool second = c >= 2 || h >= 3 || w >= 4;
            y.At(0, c, h, w) =
                function(second ? z.At(0, at == 1 ? c - 2 : c,
                                       at == 2 ? h - 3 : h, at == 3 ? w - 4 : w)
                                : x.At(0, c, h, w));
          }
        }
      }
      const Conversion c = Converted(file);
      // Bits are joined as bits, and made floats only in the end.
      EXPECT_EQ(CountOps(c.graph, "BinaryConv"), bits ? 1 : 0);
      ExpectNear(RunGraph(c.graph, {x.values, z.values}, 1), y.values);
    }
  }
}

TEST(ConvertConcat, FlattenedImages) {
  const Image x = MakeImage(2, 2, 2, 3, 69), z = MakeImage(2, 3, 2, 2, 70);
  const Floats weights = RandomFloats(24 * 4, 71);
  OnnxFile file;
  file.Input("x", {0, 2, 2, 3})
      .Input("z", {0, 3, 2, 2})
      .Output("y")
      .Constant("w", {24, 4}, weights)
      .Node("Flatten", {"x"}, "a")
      .Node("Flatten", {"z"}, "b")
      .Node("Concat", {"a", "b"}, "c", {{"axis", int64_t{1}}})
      .Node("MatMul", {"c", "w"}, "y");
  Floats rows;
  for (int b = 0; b < 2; ++b) {
    rows.insert(rows.end(), x.values.begin() + b * 12,
                x.values.begin() + (b + 1) * 12);
    rows.insert(rows.end(), z.values.begin() + b * 12,
                z.values.begin() + (b + 1) * 12);
  }
  ExpectNear(RunGraph(Converted(file).graph, {x.values, z.values}, 2),
             Multiplied(rows, weights, 24, 4), kRounding);
}

// Softmax over `group` elements that lie `stride` apart.
Floats Softmaxed(const Floats& x, size_t group, size_t stride) {
  Floats out = x;
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t first = i / (group * stride) * group * stride + i % stride;
    double sum = 0;
    for (size_t j = 0; j < group; ++j) {
      sum += std::exp(static_cast<double>(x[first + j * stride]));
    }
    out[i] = static_cast<float>(std::exp(static_cast<double>(x[i])) / sum);
  }
  return out;
}

TEST(ConvertSoftmax, AxisInOldAndNewOpsets) {
  const Image x = MakeImage(2, 3, 2, 4, 72);
  const struct {
    int64_t opset, axis;
    size_t group, stride;
  } cases[] = {
      {13, 1, 3, 8}, {13, 2, 2, 4},  {13, -1, 4, 1},
      {11, 3, 4, 1}, {11, 1, 24, 1},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(testing::Message()
                 << "opset " << c.opset << " axis " << c.axis);
    OnnxFile file(c.opset);
    file.Input("x", {0, 3, 2, 4})
        .Output("y", 4)
        .Node("Softmax", {"x"}, "y", {{"axis", c.axis}});
    ExpectNear(RunGraph(Converted(file).graph, {x.values}, 2),
               Softmaxed(x.values, c.group, c.stride), kRounding);
  }
}

TEST(ConvertTranspose, ChangesNames) {
  const Image x = MakeImage(2, 3, 4, 5, 73);
  const Floats weights = RandomFloats(2 * 5 * 2, 74);
  OnnxFile file;  // to [batch, width, channels, height]
  file.Input("x", {0, 3, 4, 5})
      .Output("y", 4)
      .Constant("w", {2, 5, 1, 2}, weights)
      .Node("Transpose", {"x"}, "t", {{"perm", Ints{0, 3, 1, 2}}})
      .Node("Conv", {"t", "w"}, "y");
  Image t{2, 5, 3, 4, Floats(x.values.size())};
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t c = 0; c < 3; ++c) {
      for (int64_t h = 0; h < 4; ++h) {
        for (int64_t w = 0; w < 5; ++w) t.At(b, w, c, h) = x.At(b, c, h, w);
      }
    }
  }
  ExpectNear(RunGraph(Converted(file).graph, {x.values}, 2),
             Convolved(t, weights, {2, 1, 2}).values, kRounding);
}

// An exporter whose inputs are [batch, height, width, channels].
TEST(ConvertTranspose, InputInNhwc) {
  const Image x = MakeImage(1, 3, 4, 5, 75);
  Floats nhwc(x.values.size());
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t p = 0; p < 20; ++p) nhwc[p * 3 + c] = x.values[c * 20 + p];
  }
  const Floats weights = RandomFloats(2 * 3 * 4, 76);
  OnnxFile file;
  file.Input("x", {0, 4, 5, 3})
      .Output("y", 4)
      .Constant("w", {2, 3, 2, 2}, weights)
      .Node("Transpose", {"x"}, "t", {{"perm", Ints{0, 3, 1, 2}}})
      .Node("Conv", {"t", "w"}, "y");
  ConvertOptions options;
  options.input_layout = Layout::kNHWC;
  const Conversion c = Converted(file, options);
  EXPECT_EQ(c.graph.nodes.size(), 1u);
  EXPECT_EQ(c.graph.inputs[0].layout, Layout::kNHWC);
  ExpectNear(RunGraph(c.graph, {nhwc}, 1),
             Convolved(x, weights, {2, 2, 2}).values, kRounding);
}

TEST(ConvertShapes, SqueezeAndUnsqueeze) {
  const Floats x = RandomFloats(2 * 6, 77);
  for (int64_t opset : {11, 13}) {
    OnnxFile file(opset);
    file.Input("x", {0, 6}).Output("y");
    const TestAttribute axes{"axes", Ints{2, 3}};
    if (opset == 11) {
      file.Node("Unsqueeze", {"x"}, "u", {axes})
          .Node("Relu", {"u"}, "r")
          .Node("Squeeze", {"r"}, "y", {axes});
    } else {
      file.Constant("axes", {2}, Ints{2, -1})
          .Node("Unsqueeze", {"x", "axes"}, "u")
          .Node("Relu", {"u"}, "r")
          .Node("Squeeze", {"r", "axes"}, "y");
    }
    Floats expected = x;
    for (float& v : expected) v = ReluOf(v);
    ExpectNear(RunGraph(Converted(file).graph, {x}, 2), expected);
  }
}

// Files exported with a fixed batch stay usable with any.
TEST(ConvertShapes, DeclaredBatchIsFree) {
  const Image x = MakeImage(3, 2, 2, 2, 78);
  OnnxFile file;
  file.Input("x", {1, 2, 2, 2})
      .Output("y")
      .Constant("shape", {2}, Ints{1, 8})
      .Node("Reshape", {"x", "shape"}, "r")
      .Node("Relu", {"r"}, "y");
  ExpectNear(RunGraph(Converted(file).graph, {x.values}, 3),
             Mapped(x, ReluOf).values);
}

TEST(ConvertPool, AveragesAndMeans) {
  const Image x = MakeImage(2, 3, 4, 4, 79);
  OnnxFile file;
  file.Input("x", {0, 3, 4, 4})
      .Output("a", 4)
      .Output("g", 4)
      .Output("m")
      .Output("p", 4)
      .Node("AveragePool", {"x"}, "a",
            {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}})
      .Node("GlobalAveragePool", {"x"}, "g")
      .Node("ReduceMean", {"x"}, "m",
            {{"axes", Ints{2, 3}}, {"keepdims", int64_t{0}}})
      .Node("GlobalMaxPool", {"x"}, "p");
  Floats average, mean;
  for (int64_t bc = 0; bc < 6; ++bc) {
    for (int64_t i = 0; i < 4; ++i) {
      const float* p = &x.values[bc * 16 + i / 2 * 8 + i % 2 * 2];
      average.push_back((p[0] + p[1] + p[4] + p[5]) / 4);
    }
    float sum = 0;
    for (int64_t i = 0; i < 16; ++i) sum += x.values[bc * 16 + i];
    mean.push_back(sum / 16);
  }
  const Floats expected =
      Joined(Joined(Joined(average, mean), mean), MaxPooled(x, 4, 1).values);
  ExpectNear(RunGraph(Converted(file).graph, {x.values}, 2), expected,
             kRounding);
}

TEST(ConvertPool, MaxPoolAttributes) {
  const Image x = MakeImage(1, 2, 7, 6, 80);
  const TestAttribute kernel{"kernel_shape", Ints{3, 3}};
  const TestAttribute strides{"strides", Ints{2, 2}};
  const float low = -10;  // never wins
  const struct {
    const char* what;
    std::vector<TestAttribute> attributes;
    Ints pads;  // the same by hand
  } cases[] = {
      {"pads", {kernel, strides, {"pads", Ints{1, 0, 1, 1}}}, {1, 0, 1, 1}},
      {"ceil", {kernel, strides, {"ceil_mode", int64_t{1}}}, {0, 0, 0, 1}},
      {"same",
       {kernel, strides, {"auto_pad", std::string("SAME_UPPER")}},
       {1, 0, 1, 1}},
  };
  for (const auto& c : cases) {
    for (bool bits : {false, true}) {
      SCOPED_TRACE(testing::Message() << c.what << " bits " << bits);
      OnnxFile file;
      file.Input("x", {0, 2, 7, 6})
          .Output("y", 4)
          .Node(bits ? "Sign" : "Identity", {"x"}, "s")
          .Node("MaxPool", {"s"}, "y", c.attributes);
      const Image in = bits ? Mapped(x, SignOf) : x;
      ExpectNear(RunGraph(Converted(file).graph, {x.values}, 1),
                 MaxPooled(Padded(in, c.pads, low), 3, 2).values);
    }
  }
}

TEST(ConvertPad, Channels) {
  const Image x = MakeImage(2, 2, 2, 3, 81);
  OnnxFile file;
  file.Input("x", {0, 2, 2, 3})
      .Output("y", 4)
      .Constant("pads", {8}, Ints{0, 1, 0, 0, 0, 2, 1, 0})
      .Constant("v", {}, Floats{7})
      .Node("Pad", {"x", "pads", "v"}, "y");
  Image expected{2, 5, 3, 3, Floats(2 * 5 * 9, 7.0f)};
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t c = 0; c < 2; ++c) {
      for (int64_t h = 0; h < 2; ++h) {
        for (int64_t w = 0; w < 3; ++w) {
          expected.At(b, c + 1, h, w) = x.At(b, c, h, w);
        }
      }
    }
  }
  ExpectNear(RunGraph(Converted(file).graph, {x.values}, 2), expected.values);
}

TEST(ConvertErrors, AllUnsupportedNodesAtOnce) {
  OnnxFile file;
  file.Input("x", {0, 4})
      .Output("y")
      .Node("Sin", {"x"}, "first")
      .Node("Relu", {"first"}, "fine")
      .Node("Erf", {"fine"}, "second")
      .Node("Frobnicate", {"second"}, "y", {}, "com.example")
      .Node("Cos", {"x"}, "unused");
  const auto conversion = Convert(file);
  ASSERT_FALSE(conversion.ok());
  EXPECT_EQ(conversion.status().message(),
            "node 'first' (Sin): op is not supported\n"
            "node 'second' (Erf): op is not supported\n"
            "node 'y' (com.example.Frobnicate): op is not supported");
}

TEST(ConvertErrors, TheBatchStaysTheBatch) {
  const TestAttribute perm{"perm", Ints{1, 0}};
  const OnnxFile files[] = {
      OnnxFile()
          .Input("x", {0, 4})
          .Output("bad")
          .Node("Transpose", {"x"}, "bad", {perm}),
      OnnxFile()
          .Input("x", {0, 4})
          .Output("bad", 1)
          .Constant("shape", {1}, Ints{-1})
          .Node("Reshape", {"x", "shape"}, "bad"),
      OnnxFile()
          .Input("x", {0, 4})
          .Output("bad")
          .Constant("shape", {2}, Ints{-1, 2})
          .Node("Reshape", {"x", "shape"}, "bad"),
      OnnxFile()
          .Input("x", {0, 4})
          .Output("bad")
          .Node("Concat", {"x", "x"}, "bad", {{"axis", int64_t{0}}}),
      OnnxFile()
          .Input("x", {0, 4})
          .Output("bad")
          .Node("Flatten", {"x"}, "bad", {{"axis", int64_t{0}}}),
  };
  for (const OnnxFile& file : files) {
    const auto conversion = Convert(file);
    ASSERT_FALSE(conversion.ok()) << file.proto().DebugString();
    EXPECT_NE(conversion.status().message().find("node 'bad'"),
              std::string::npos)
        << conversion.status().message();
  }
}

TEST(ConvertOptions, PreprocessingAndLabels) {
  OnnxFile file;
  file.Input("x", {0, 3, 2, 2})
      .Output("y", 4)
      .Node("GlobalAveragePool", {"x"}, "y");
  ConvertOptions options;
  options.name = "mean colour";
  options.scale = 1.0f / 255;
  options.mean = {0.1f, 0.2f, 0.3f};
  options.std = {2};
  options.labels = {"r", "g", "b"};
  const Conversion c = Converted(file, options);
  EXPECT_EQ(c.graph.name, "mean colour");
  EXPECT_EQ(c.graph.labels, options.labels);
  EXPECT_EQ(c.graph.inputs[0].preprocess.scale, 1.0f / 255);
  EXPECT_EQ(c.graph.inputs[0].preprocess.mean, options.mean);
  EXPECT_EQ(c.graph.inputs[0].preprocess.std, options.std);
  EXPECT_EQ(c.graph.inputs[0].layout, Layout::kNCHW);
  EXPECT_EQ(c.graph.inputs[0].info.shape, (Shape{kBatch, 2, 2, 3}));
  EXPECT_EQ(c.graph.outputs[0].layout, Layout::kNCHW);

  options.labels = {"too", "few"};
  EXPECT_FALSE(Convert(file, options).ok());
  options.labels.clear();
  options.mean = {0, 0};
  EXPECT_FALSE(Convert(file, options).ok());
}

}  // namespace
}  // namespace bqengine::convert
