// Conv, Gemm and MatMul: what they become, and that they still compute the
// same, layouts, paddings and scales included.
#include <gtest/gtest.h>

#include <cmath>

#include "convert_test_util.h"

namespace bqengine::convert {
namespace {

constexpr float kRounding = 1e-5f;

std::string Reason(const Conversion& conversion) {
  EXPECT_EQ(conversion.float_reasons.size(), 1u);
  return conversion.float_reasons.empty()
             ? ""
             : conversion.float_reasons.begin()->second;
}

TEST(ConvertConv, FloatWithEverything) {
  const Image x = MakeImage(2, 4, 9, 8, 1);
  const ConvShape shape{6, 3, 2, 2, 2, 2};
  const Floats weights = RandomFloats(6 * 2 * 3 * 2, 2);
  const Floats bias = RandomFloats(6, 3);
  OnnxFile file;
  file.Input("x", {0, 4, 9, 8})
      .Output("y", 4)
      .Constant("w", {6, 2, 3, 2}, weights)
      .Constant("b", {6}, bias)
      .Node("Conv", {"x", "w", "b"}, "y",
            {{"kernel_shape", Ints{3, 2}},
             {"strides", Ints{2, 2}},
             {"dilations", Ints{2, 2}},
             {"pads", Ints{1, 0, 2, 3}},
             {"group", int64_t{2}}});
  const Conversion c = Converted(file);
  EXPECT_EQ(CountOps(c.graph, "Conv"), 1);
  EXPECT_EQ(Reason(c),
            "weights take 12 distinct magnitudes in output channel 0");
  const Image expected =
      Convolved(Padded(x, {1, 0, 2, 3}, 0), weights, shape, bias);
  ExpectNear(RunGraph(c.graph, {x.values}, 2), expected.values, kRounding);
}

TEST(ConvertConv, AutoPad) {
  for (const std::string pad : {"SAME_UPPER", "SAME_LOWER", "VALID"}) {
    SCOPED_TRACE(pad);
    const Image x = MakeImage(1, 2, 8, 7, 4);
    const ConvShape shape{3, 4, 4, 2};
    const Floats weights = RandomFloats(3 * 2 * 16, 5);
    OnnxFile file;
    file.Input("x", {0, 2, 8, 7})
        .Output("y", 4)
        .Constant("w", {3, 2, 4, 4}, weights)
        .Node("Conv", {"x", "w"}, "y",
              {{"auto_pad", pad}, {"strides", Ints{2, 2}}});
    // Height: 4 outputs reach over 10 of 8. Width: 4 over 10 of 7.
    const Ints pads = pad == "VALID"        ? Ints{0, 0, 0, 0}
                      : pad == "SAME_UPPER" ? Ints{1, 1, 1, 2}
                                            : Ints{1, 2, 1, 1};
    const Image expected = Convolved(Padded(x, pads, 0), weights, shape);
    ExpectNear(RunGraph(Converted(file).graph, {x.values}, 1), expected.values,
               kRounding);
  }
}

// Sign, padding by a Pad node with each value that bits can have, binary Conv.
TEST(ConvertConv, BinaryWithPadding) {
  for (float value : {-1.0f, 0.0f, 1.0f}) {
    for (int64_t opset : {9, 13}) {
      SCOPED_TRACE(testing::Message()
                   << "pad " << value << ", opset " << opset);
      const Image x = MakeImage(2, 5, 6, 5, 6);
      const Floats weights = RandomChoice(7 * 5 * 9, 7, -1, 1);
      const Ints pads = {0, 0, 1, 2, 0, 0, 3, 1};
      OnnxFile file(opset);
      file.Input("x", {0, 5, 6, 5})
          .Output("y", 4)
          .Constant("w", {7, 5, 3, 3}, weights)
          .Node("Sign", {"x"}, "s");
      if (opset == 9) {
        file.Node("Pad", {"s"}, "p", {{"pads", pads}, {"value", value}});
      } else {
        file.Constant("pads", {8}, pads).Constant("v", {}, Floats{value});
        file.Node("Pad", {"s", "pads", "v"}, "p");
      }
      file.Node("Conv", {"p", "w"}, "y");
      const Conversion c = Converted(file);
      EXPECT_EQ(CountOps(c.graph, "BinaryConv"), 1);
      EXPECT_EQ(c.graph.nodes.size(), 3u);  // two bases, one product
      EXPECT_TRUE(c.float_reasons.empty());
      const Image expected = Convolved(
          Padded(Mapped(x, SignOf), {1, 2, 3, 1}, value), weights, {7, 3, 3});
      ExpectNear(RunGraph(c.graph, {x.values}, 2), expected.values);
    }
  }
}

TEST(ConvertConv, PaddingThatBitsCannotExpressStaysFloat) {
  const Image x = MakeImage(1, 3, 4, 4, 8);
  const Floats weights = RandomChoice(2 * 3 * 9, 9, -1, 1);
  OnnxFile half;  // 0.5 is none of -1, 0, 1
  half.Input("x", {0, 3, 4, 4})
      .Output("y", 4)
      .Constant("w", {2, 3, 3, 3}, weights)
      .Constant("pads", {8}, Ints{0, 0, 1, 1, 0, 0, 1, 1})
      .Constant("v", {}, Floats{0.5f})
      .Node("Sign", {"x"}, "s")
      .Node("Pad", {"s", "pads", "v"}, "p")
      .Node("Conv", {"p", "w"}, "y");
  Conversion c = Converted(half);
  EXPECT_EQ(CountOps(c.graph, "BinaryWeightConv"), 1);
  EXPECT_NE(Reason(c).find("padding with 0.5"), std::string::npos);
  const Image sign = Mapped(x, SignOf);
  ExpectNear(
      RunGraph(c.graph, {x.values}, 1),
      Convolved(Padded(sign, {1, 1, 1, 1}, 0.5f), weights, {2, 3, 3}).values,
      kRounding);

  OnnxFile twice;  // with 1 by Pad, and around it with 0 by Conv
  twice.Input("x", {0, 3, 4, 4})
      .Output("y", 4)
      .Constant("w", {2, 3, 3, 3}, weights)
      .Constant("pads", {8}, Ints{0, 0, 1, 1, 0, 0, 1, 1})
      .Constant("v", {}, Floats{1})
      .Node("Sign", {"x"}, "s")
      .Node("Pad", {"s", "pads", "v"}, "p")
      .Node("Conv", {"p", "w"}, "y", {{"pads", Ints{1, 1, 1, 1}}});
  c = Converted(twice);
  EXPECT_EQ(CountOps(c.graph, "Pad"), 1);  // of what the sign is taken of
  EXPECT_EQ(CountOps(c.graph, "BinaryConv"), 1);
  EXPECT_EQ(CountOps(c.graph, "BinaryWeightConv"), 0);
  ExpectNear(RunGraph(c.graph, {x.values}, 1),
             Convolved(Padded(Padded(sign, {1, 1, 1, 1}, 1), {1, 1, 1, 1}, 0),
                       weights, {2, 3, 3})
                 .values);
}

TEST(ConvertConv, ZeroPaddingAddsUp) {
  const Image x = MakeImage(1, 3, 4, 5, 10);
  for (bool binary : {false, true}) {
    SCOPED_TRACE(binary);
    const Floats weights = binary ? RandomChoice(2 * 3 * 9, 11, -1, 1)
                                  : RandomFloats(2 * 3 * 9, 11);
    OnnxFile file;
    file.Input("x", {0, 3, 4, 5})
        .Output("y", 4)
        .Constant("w", {2, 3, 3, 3}, weights)
        .Constant("pads", {8}, Ints{0, 0, 1, 0, 0, 0, 2, 0})
        .Node(binary ? "Sign" : "Identity", {"x"}, "s")
        .Node("Pad", {"s", "pads"}, "p")
        .Node("Conv", {"p", "w"}, "y", {{"pads", Ints{0, 1, 1, 1}}});
    const Conversion c = Converted(file);
    EXPECT_EQ(CountOps(c.graph, "Pad"), 0);
    EXPECT_EQ(CountOps(c.graph, "BinaryConv"), binary ? 1 : 0);
    const Image in = binary ? Mapped(x, SignOf) : x;
    ExpectNear(
        RunGraph(c.graph, {x.values}, 1),
        Convolved(Padded(in, {1, 1, 3, 1}, 0), weights, {2, 3, 3}).values,
        binary ? 0 : kRounding);
  }
}

TEST(ConvertConv, FloatPaddingOfAnotherValue) {
  const Image x = MakeImage(2, 2, 3, 4, 12);
  const Floats weights = RandomFloats(2 * 2 * 4, 13);
  OnnxFile file;
  file.Input("x", {0, 2, 3, 4})
      .Output("y", 4)
      .Constant("w", {2, 2, 2, 2}, weights)
      .Constant("pads", {8}, Ints{0, 0, 1, 0, 0, 0, 0, 2})
      .Constant("v", {}, Floats{-3})
      .Node("Pad", {"x", "pads", "v"}, "p")
      .Node("Conv", {"p", "w"}, "y");
  const Conversion c = Converted(file);
  EXPECT_EQ(CountOps(c.graph, "Pad"), 1);
  ExpectNear(RunGraph(c.graph, {x.values}, 2),
             Convolved(Padded(x, {1, 0, 0, 2}, -3), weights, {2, 2, 2}).values,
             kRounding);
}

// {0,1} activations (Cast of a comparison) and {0,c} weights.
TEST(ConvertConv, Unipolar) {
  for (bool unipolar_weights : {false, true}) {
    SCOPED_TRACE(unipolar_weights);
    const Image x = MakeImage(2, 3, 5, 5, 14);
    const Floats weights =
        RandomChoice(4 * 3 * 9, 15, unipolar_weights ? 0.0f : -0.5f, 0.5f);
    OnnxFile file;
    file.Input("x", {0, 3, 5, 5})
        .Output("y", 4)
        .Constant("w", {4, 3, 3, 3}, weights)
        .Constant("t", {}, Floats{0.25f})
        .Node("GreaterOrEqual", {"x", "t"}, "g")
        .Node("Cast", {"g"}, "s", {{"to", int64_t{1}}})
        .Node("Conv", {"s", "w"}, "y", {{"pads", Ints{1, 1, 1, 1}}});
    const Conversion c = Converted(file);
    EXPECT_EQ(CountOps(c.graph, "BinaryConv"), 1);
    EXPECT_EQ(c.graph.nodes.size(), 2u);
    const Image in =
        Mapped(x, [](float v) { return v >= 0.25f ? 1.0f : 0.0f; });
    ExpectNear(
        RunGraph(c.graph, {x.values}, 2),
        Convolved(Padded(in, {1, 1, 1, 1}, 0), weights, {4, 3, 3}).values);
  }
}

// What pre-binarized training leaves: another c in each channel, a bias, and
// magnitudes that differ in the last bits.
TEST(ConvertConv, PerChannelScale) {
  const Image x = MakeImage(1, 3, 4, 4, 16);
  Floats weights = RandomChoice(4 * 3 * 9, 17, -1, 1);
  const Floats scale = {0.25f, 3.0f, 0.1f, 1.7f};
  for (size_t i = 0; i < weights.size(); ++i) {
    float c = scale[i / 27];
    if (i % 3 == 1) c = std::nextafter(c, 10.0f);
    if (i % 3 == 2) c = std::nextafter(c, 0.0f);
    weights[i] *= c;
  }
  const Floats bias = {1, -2, 0.5f, 0};
  for (bool binary : {false, true}) {
    SCOPED_TRACE(binary);
    OnnxFile file;
    file.Input("x", {0, 3, 4, 4})
        .Output("y", 4)
        .Constant("w", {4, 3, 3, 3}, weights)
        .Constant("b", {4}, bias)
        .Node(binary ? "Sign" : "Relu", {"x"}, "s")
        .Node("Conv", {"s", "w", "b"}, "y");
    const Conversion c = Converted(file);
    EXPECT_EQ(CountOps(c.graph, binary ? "BinaryConv" : "BinaryWeightConv"), 1);
    EXPECT_EQ(c.float_reasons.empty(), binary);
    if (!binary) {
      EXPECT_EQ(Reason(c), "input is not binary");
    }
    ASSERT_FALSE(c.notes.empty());
    EXPECT_NE(c.notes.back().find("count as one"), std::string::npos);
    const Image in = Mapped(x, binary ? SignOf : ReluOf);
    ExpectNear(RunGraph(c.graph, {x.values}, 1),
               Convolved(in, weights, {4, 3, 3}, bias).values, kRounding);
  }
}

// ONNX's Sign gives 0 for a 0: such weights are ternary. Two bases of bits hold
// them, which pays where the activations are bits, too.
TEST(ConvertConv, TernaryWeights) {
  const Image x = MakeImage(1, 2, 4, 4, 18);
  Floats weights = RandomFloats(3 * 2 * 9, 19);
  for (float& w : weights) w = w == 0 ? 0.5f : w;
  weights[18 + 4] = 0;
  Floats signs = weights;
  for (float& w : signs) w = SignOf(w);
  for (bool binary : {false, true}) {
    SCOPED_TRACE(binary);
    OnnxFile file;
    file.Input("x", {0, 2, 4, 4})
        .Output("y", 4)
        .Constant("w", {3, 2, 3, 3}, weights)
        .Node("Sign", {"w"}, "ws")
        .Node(binary ? "Sign" : "Identity", {"x"}, "s")
        .Node("Conv", {"s", "ws"}, "y");
    const Conversion c = Converted(file);
    EXPECT_EQ(CountOps(c.graph, "Conv"), binary ? 0 : 1);
    EXPECT_EQ(CountOps(c.graph, "BinaryConv"), binary ? 1 : 0);
    if (!binary) {
      EXPECT_NE(Reason(c).find("ternary: output channel 1 has zeros"),
                std::string::npos)
          << Reason(c);
    }
    const Image in = binary ? Mapped(x, SignOf) : x;
    ExpectNear(RunGraph(c.graph, {x.values}, 1),
               Convolved(in, signs, {3, 3, 3}).values, kRounding);
  }
}

TEST(ConvertGemm, AttributesAndBias) {
  const Floats x = RandomFloats(3 * 5, 20);
  const Floats weights = RandomFloats(5 * 4, 21);  // [K, O]
  Floats transposed(20), scaled = weights;
  for (int k = 0; k < 5; ++k) {
    for (int o = 0; o < 4; ++o) transposed[o * 5 + k] = weights[k * 4 + o];
  }
  for (float& w : scaled) w *= 0.5f;
  Floats expected = Multiplied(x, scaled, 5, 4);
  const Floats bias = {1, 2, 3, 4};
  for (size_t i = 0; i < expected.size(); ++i) expected[i] += 3 * bias[i % 4];
  for (int64_t trans_b : {0, 1}) {
    SCOPED_TRACE(trans_b);
    OnnxFile file;
    file.Input("x", {0, 5}).Output("y").Constant("b", {1, 4}, bias);
    file.Constant("w", trans_b ? Ints{4, 5} : Ints{5, 4},
                  trans_b ? transposed : weights);
    file.Node("Gemm", {"x", "w", "b"}, "y",
              {{"alpha", 0.5f}, {"beta", 3.0f}, {"transB", trans_b}});
    ExpectNear(RunGraph(Converted(file).graph, {x}, 3), expected, kRounding);
  }
}

TEST(ConvertGemm, BinaryWithAlpha) {
  const Floats x = RandomFloats(2 * 70, 22);
  const Floats weights = RandomChoice(3 * 70, 23, -2, 2);  // [O, K]
  OnnxFile file;
  file.Input("x", {0, 70})
      .Output("y")
      .Constant("w", {3, 70}, weights)
      .Constant("scale", {}, Floats{0.5f})
      .Node("BipolarQuant", {"x", "scale"}, "s", {}, "onnx.brevitas")
      .Node("Gemm", {"s", "w"}, "y",
            {{"alpha", 0.25f}, {"transB", int64_t{1}}});
  const Conversion c = Converted(file);
  EXPECT_EQ(CountOps(c.graph, "BinaryGemm"), 1);
  Floats expected(2 * 3, 0);
  for (int b = 0; b < 2; ++b) {
    for (int o = 0; o < 3; ++o) {
      for (int k = 0; k < 70; ++k) {
        expected[b * 3 + o] +=
            0.25f * 0.5f * SignOf(x[b * 70 + k]) * weights[o * 70 + k];
      }
    }
  }
  ExpectNear(RunGraph(c.graph, {x}, 2), expected);
}

// Flatten makes [channel, row, column] of what lies as [row, column, channel].
// The weights, and constants on the way, must follow.
TEST(ConvertFlatten, OrderOfFeatures) {
  const Image x = MakeImage(2, 3, 2, 4, 24);
  const Floats weights = RandomFloats(24 * 5, 25);
  const Floats factors = RandomFloats(24, 26);
  const Floats mean = RandomFloats(24, 27);
  const Floats ones(24, 1.0f), zeros(24, 0.0f);
  OnnxFile file;
  file.Input("x", {0, 3, 2, 4})
      .Output("y")
      .Constant("w", {24, 5}, weights)
      .Constant("f", {24}, factors)
      .Constant("mean", {24}, mean)
      .Constant("ones", {24}, ones)
      .Constant("zeros", {24}, zeros)
      .Node("Flatten", {"x"}, "flat")
      .Node("Mul", {"flat", "f"}, "m")
      .Node("BatchNormalization", {"m", "ones", "zeros", "mean", "ones"}, "n",
            {{"epsilon", 0.0f}})
      .Node("Relu", {"n"}, "r")
      .Node("MatMul", {"r", "w"}, "y");
  const Conversion c = Converted(file);
  EXPECT_EQ(CountOps(c.graph, "Transpose"), 0);
  Floats features = x.values;
  for (size_t i = 0; i < features.size(); ++i) {
    features[i] = ReluOf(features[i] * factors[i % 24] - mean[i % 24]);
  }
  ExpectNear(RunGraph(c.graph, {x.values}, 2),
             Multiplied(features, weights, 24, 5), kRounding);
}

// The same for bits, by the shape arithmetic that PyTorch writes for
// x.view(x.size(0), -1), with a sign before and after.
TEST(ConvertFlatten, BitsThroughShapeArithmetic) {
  const Image x = MakeImage(2, 70, 2, 3, 28);
  const Floats weights = RandomChoice(420 * 9, 29, -1, 1);
  const Floats shift = RandomFloats(420, 30);
  for (bool sign_first : {false, true}) {
    SCOPED_TRACE(sign_first);
    OnnxFile file;
    file.Input("x", {0, 70, 2, 3})
        .Output("y")
        .Constant("w", {420, 9}, weights)
        .Constant("shift", {420}, shift)
        .Constant("zero", {}, Ints{0})
        .Constant("axes", {1}, Ints{0})
        .Constant("rest", {1}, Ints{-1})
        .Node(sign_first ? "Sign" : "Identity", {"x"}, "a")
        .Node("Shape", {"a"}, "shape")
        .Node("Gather", {"shape", "zero"}, "size", {{"axis", int64_t{0}}})
        .Node("Unsqueeze", {"size", "axes"}, "size1")
        .Node("Concat", {"size1", "rest"}, "target", {{"axis", int64_t{0}}})
        .Node("Reshape", {"a", "target"}, "flat");
    if (!sign_first) {
      file.Node("Sub", {"flat", "shift"}, "moved").Node("Sign", {"moved"}, "s");
    }
    file.Node("MatMul", {sign_first ? "flat" : "s", "w"}, "y");
    const Conversion c = Converted(file);
    EXPECT_EQ(CountOps(c.graph, "BinaryGemm"), 1);
    EXPECT_EQ(CountOps(c.graph, "Transpose"), 0);
    Floats features = x.values;
    for (size_t i = 0; i < features.size(); ++i) {
      features[i] =
          SignOf(sign_first ? features[i] : features[i] - shift[i % 420]);
    }
    ExpectNear(RunGraph(c.graph, {x.values}, 2),
               Multiplied(features, weights, 420, 9));
  }
}

TEST(ConvertFlatten, BackToAnImage) {
  const Image x = MakeImage(2, 3, 4, 2, 31);
  const Floats weights = RandomFloats(2 * 3 * 4, 32);
  const Floats other = RandomFloats(2 * 4 * 2, 33);
  OnnxFile same;  // [3, 4, 2] again
  same.Input("x", {0, 3, 4, 2})
      .Output("y", 4)
      .Constant("w", {2, 3, 2, 2}, weights)
      .Constant("shape", {4}, Ints{-1, 3, 4, 2})
      .Node("Flatten", {"x"}, "flat")
      .Node("Reshape", {"flat", "shape"}, "image")
      .Node("Conv", {"image", "w"}, "y");
  ExpectNear(RunGraph(Converted(same).graph, {x.values}, 2),
             Convolved(x, weights, {2, 2, 2}).values, kRounding);

  OnnxFile another;  // [4, 3, 2]: elements really change places
  another.Input("x", {0, 3, 4, 2})
      .Output("y", 4)
      .Constant("w", {2, 4, 1, 2}, other)
      .Constant("shape", {4}, Ints{0, 4, 3, 2})
      .Node("Reshape", {"x", "shape"}, "image")
      .Node("Conv", {"image", "w"}, "y");
  const Image reshaped{2, 4, 3, 2, x.values};
  ExpectNear(RunGraph(Converted(another).graph, {x.values}, 2),
             Convolved(reshaped, other, {2, 1, 2}).values, kRounding);
}

TEST(ConvertFlatten, FlatOutputIsInTheOrderOfOnnx) {
  const Image x = MakeImage(2, 3, 4, 2, 34);
  OnnxFile file;
  file.Input("x", {0, 3, 4, 2})
      .Output("flat")
      .Output("image", 4)
      .Node("Relu", {"x"}, "image")
      .Node("Flatten", {"image"}, "flat");
  const Floats expected = Mapped(x, ReluOf).values;
  const Floats both = RunGraph(Converted(file).graph, {x.values}, 2);
  ASSERT_EQ(both.size(), 2 * expected.size());
  ExpectNear(Floats(both.begin(), both.begin() + expected.size()), expected);
  ExpectNear(Floats(both.begin() + expected.size(), both.end()), expected);
}

TEST(ConvertMatMul, RowsOfAnImage) {
  const Image x = MakeImage(2, 3, 4, 5, 35);
  const Floats weights = RandomFloats(5 * 6, 36);
  OnnxFile file;
  file.Input("x", {0, 3, 4, 5})
      .Output("y", 4)
      .Constant("w", {5, 6}, weights)
      .Node("MatMul", {"x", "w"}, "y");
  ExpectNear(RunGraph(Converted(file).graph, {x.values}, 2),
             Multiplied(x.values, weights, 5, 6), kRounding);
}

TEST(ConvertErrors, Products) {
  const struct {
    const char* what;
    OnnxFile file;
  } cases[] = {
      {"transA", OnnxFile()
                     .Input("x", {0, 4})
                     .Output("y")
                     .Constant("w", {4, 4}, Floats(16, 1))
                     .Node("Gemm", {"x", "w"}, "y", {{"transA", int64_t{1}}})},
      {"must be a constant", OnnxFile()
                                 .Input("x", {0, 4})
                                 .Output("y")
                                 .Node("Relu", {"x"}, "w")
                                 .Node("MatMul", {"x", "w"}, "y")},
      {"two dimensions", OnnxFile()
                             .Input("x", {0, 3, 8})
                             .Output("y", 3)
                             .Constant("w", {2, 3, 3}, Floats(18, 1))
                             .Node("Conv", {"x", "w"}, "y")},
  };
  for (const auto& c : cases) {
    const auto conversion = Convert(c.file);
    ASSERT_FALSE(conversion.ok()) << c.what;
    EXPECT_EQ(conversion.status().code(), StatusCode::kInvalidModel);
    EXPECT_NE(conversion.status().message().find(c.what), std::string::npos)
        << conversion.status().message();
    EXPECT_NE(conversion.status().message().find("'y'"), std::string::npos)
        << conversion.status().message();
  }
}

}  // namespace
}  // namespace bqengine::convert
