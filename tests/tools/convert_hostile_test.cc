// Files that are broken or meant to break something: always an error that says
// what is wrong, never a crash, a hang or a full memory.
#include <gtest/gtest.h>

#include <limits>

#include "bqengine/model.h"
#include "convert_test_util.h"
#include "fold.h"
#include "source_model.h"

namespace bqengine::convert {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int64_t kLarge = int64_t{1} << 31;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

void ExpectRefused(const OnnxFile& file, const std::string& why) {
  const auto conversion = Convert(file);
  ASSERT_FALSE(conversion.ok()) << "expected: " << why;
  EXPECT_NE(conversion.status().message().find(why), std::string::npos)
      << conversion.status().message() << "\ninstead of: " << why;
}

OnnxFile Image() {
  OnnxFile file;
  file.Input("x", {0, 3, 8, 8}).Output("y", 4);
  return file;
}

OnnxFile Normalized(const Floats& scale, const Floats& var) {
  OnnxFile file = Image();
  file.Constant("scale", {3}, scale)
      .Constant("other", {3}, Floats{1, 2, 3})
      .Constant("var", {3}, var)
      .Node("BatchNormalization", {"x", "scale", "other", "other", "var"}, "y");
  return file;
}

TEST(Hostile, NanInParameters) {
  ExpectRefused(Normalized({1, kNan, 1}, {1, 1, 1}),
                "node 'y' (BatchNormalization): constant 'scale' has NaN");
  ExpectRefused(Normalized({1, 1, 1}, Floats(3, kNan)), "constant 'var'");
  OnnxFile conv = Image();
  conv.Constant("w", {1, 3, 1, 1}, Floats{1, kNan, 1})
      .Node("Conv", {"x", "w"}, "y");
  ExpectRefused(conv, "node 'y' (Conv): constant 'w' has NaN");
  // By a scalar after a sign, which is applied to its two values.
  OnnxFile sign = Image();
  sign.Constant("c", {}, Floats{kNan})
      .Node("Sign", {"x"}, "s")
      .Node("Mul", {"s", "c"}, "y");
  ExpectRefused(sign, "node 'y' (Mul): constant 'c' has NaN");
}

TEST(Hostile, TwoValuesMustBeFinite) {
  OnnxFile file = Image();
  file.Constant("zero", {}, Floats{0})
      .Node("Sign", {"x"}, "s")
      .Node("Div", {"s", "zero"}, "y");
  ExpectRefused(file, "node 'y' (Div): its output takes the values -inf");
}

TEST(Hostile, VarianceMustBePositive) {
  ASSERT_TRUE(Convert(Normalized({1, 2, 3}, {1, 0, 1})).ok());
  ExpectRefused(Normalized({1, 2, 3}, {1, -1, 1}),
                "node 'y' (BatchNormalization): var + epsilon is -0.99999");
}

TEST(Hostile, EmptyWeights) {
  const struct {
    Ints conv, matrix;
  } cases[] = {{{0, 3, 3, 3}, {64, 0}}, {{3, 3, 0, 0}, {0, 64}}};
  for (const auto& c : cases) {
    OnnxFile conv = Image();
    conv.Constant("w", c.conv, Floats{}).Node("Conv", {"x", "w"}, "y");
    ExpectRefused(conv, "node 'y' (Conv): ");
    OnnxFile matrix;
    matrix.Input("x", {0, 64}).Output("y").Constant("w", c.matrix, Floats{});
    matrix.Node("MatMul", {"x", "w"}, "y");
    ExpectRefused(matrix, "node 'y' (MatMul): ");
  }
  OnnxFile add = Image();
  add.Constant("c", {0}, Floats{}).Node("Add", {"x", "c"}, "y");
  ExpectRefused(add, "node 'y' (Add): ");
  OnnxFile clip = Image();
  clip.Constant("c", {0}, Floats{}).Node("Clip", {"x", "c"}, "y");
  ExpectRefused(clip, "node 'y' (Clip): one number expected, not 0");
}

TEST(Hostile, SizesOfWindows) {
  for (int64_t size : {int64_t{0}, int64_t{-1}, kLarge, kMax, kMin}) {
    SCOPED_TRACE(size);
    const Ints both = {size, size};
    for (const char* attribute : {"strides", "dilations", "kernel_shape"}) {
      SCOPED_TRACE(attribute);
      OnnxFile conv = Image();
      conv.Constant("w", {3, 3, 3, 3}, Floats(81, 0.5f))
          .Node("Conv", {"x", "w"}, "y", {{attribute, both}});
      ExpectRefused(conv, "node 'y' (Conv): ");
      for (const char* op : {"MaxPool", "AveragePool"}) {
        for (const char* pad : {"NOTSET", "SAME_UPPER", "SAME_LOWER"}) {
          // AveragePool has no dilations; libonnx's checker says so.
          std::vector<TestAttribute> attributes = {
              {attribute, both}, {"auto_pad", std::string(pad)}};
          if (std::string(attribute) != "kernel_shape") {
            attributes.push_back({"kernel_shape", Ints{3, 3}});
          }
          OnnxFile pool = Image();
          pool.Node(op, {"x"}, "y", attributes);
          ExpectRefused(pool, "");
        }
      }
    }
    OnnxFile group = Image();
    group.Constant("w", {3, 3, 3, 3}, Floats(81, 0.5f))
        .Node("Conv", {"x", "w"}, "y", {{"group", size}});
    ExpectRefused(group, "node 'y' (Conv): ");
    if (size == 0) continue;
    OnnxFile pads = Image();
    pads.Constant("w", {3, 3, 3, 3}, Floats(81, 0.5f))
        .Node("Conv", {"x", "w"}, "y", {{"pads", Ints(4, size)}});
    ExpectRefused(pads, "node 'y' (Conv): pads");
    OnnxFile pad = Image();
    pad.Constant("p", {8}, Ints{0, 0, size, size, 0, 0, size, size})
        .Node("Pad", {"x", "p"}, "y");
    ExpectRefused(pad, "node 'y' (Pad): pads");
  }
  OnnxFile reach = Image();  // each is allowed, but not both
  reach.Node("MaxPool", {"x"}, "y",
             {{"kernel_shape", Ints(2, kLarge - 1)},
              {"dilations", Ints(2, kLarge - 1)}});
  ExpectRefused(reach, "node 'y' (MaxPool): the kernel is too large");
}

TEST(Hostile, FunctionsOfTheModel) {
  onnx::ModelProto proto = Image().proto();
  auto* function = proto.add_functions();  // calls itself
  function->set_name("f");
  function->set_domain("d");
  function->add_input("a");
  function->add_output("b");
  auto* inner = function->add_node();
  for (onnx::NodeProto* node : {inner, proto.mutable_graph()->add_node()}) {
    node->set_op_type("f");
    node->set_domain("d");
    node->add_input(node == inner ? "a" : "x");
    node->add_output(node == inner ? "b" : "y");
  }
  for (auto* import :
       {proto.add_opset_import(), function->add_opset_import()}) {
    import->set_domain("d");
    import->set_version(1);
  }
  const TestFile file("functions.onnx", proto.SerializeAsString());
  const auto source = ReadOnnx(file.path());
  ASSERT_FALSE(source.ok());
  EXPECT_NE(source.status().message().find("functions of its own ('f')"),
            std::string::npos)
      << source.status().message();
}

TEST(Hostile, ConstantsThatGrow) {
  const auto refused = [](const Ints& dims, const Floats& values,
                          const std::string& op,
                          const std::vector<Ints>& arguments,
                          const std::string& why) {
    OnnxFile file = Image();
    std::vector<std::string> inputs;
    if (!dims.empty()) {
      file.Constant("c", dims, values);
      inputs.push_back("c");
    }
    for (size_t i = 0; i < arguments.size(); ++i) {
      inputs.push_back("a" + std::to_string(i));
      file.Constant(inputs.back(), {static_cast<int64_t>(arguments[i].size())},
                    arguments[i]);
    }
    file.Node(op, inputs, "d").Node("Add", {"x", "d"}, "y");
    ExpectRefused(file, why);
  };
  refused({}, {}, "ConstantOfShape", {{kLarge}}, "constant of shape");
  refused({}, {}, "ConstantOfShape", {{1 << 15, 1 << 14}}, "node 'd'");
  refused({}, {}, "ConstantOfShape", {{kMax, 0}}, "too many elements");
  refused({1}, {1}, "Expand", {{1 << 13, 1 << 13}}, "constant of shape");
  const int64_t wide = int64_t{1} << 40;
  refused({0, wide}, {}, "Slice", {{0}, {wide}, {1}}, "too many elements");
  refused({0, kLarge}, {}, "Slice", {{0}, {kLarge}, {1}}, "node 'd'");
  refused({0, kMax}, {}, "Identity", {}, "initializer 'c': too many elements");
  refused({0, kLarge, kLarge}, {}, "Transpose", {}, "too many elements");
}

TEST(Hostile, ConcatOfNothing) {
  OnnxFile file = Image();
  file.Constant("c", {0, kLarge}, Floats{})
      .Node("Concat", {"c", "c"}, "d", {{"axis", int64_t{1}}})
      .Node("Add", {"x", "d"}, "y");
  ExpectRefused(file, "node 'd' (Concat): too many elements");
}

// Each small enough, but there are many.
TEST(Hostile, ConstantsAltogether) {
  OnnxFile file = Image();
  file.Constant("shape", {1}, Ints{1 << 24});
  std::string sum = "x";
  for (int i = 0; i < 6; ++i) {
    const std::string n = std::to_string(i);
    file.Node("ConstantOfShape", {"shape"}, "d" + n)
        .Node("ReduceMax", {"d" + n}, "e" + n, {{"keepdims", int64_t{0}}})
        .Node("Add", {sum, "e" + n}, i == 5 ? "y" : "t" + n);
    sum = "t" + n;
  }
  ExpectRefused(file, "too large all together");
}

// What has many elements may be computed from, as weights of large networks
// are.
TEST(Hostile, LargeWeightsAreNotRefused) {
  EXPECT_NO_THROW(CheckFolded({1 << 14, 1 << 13}, int64_t{1} << 27));
  EXPECT_THROW(CheckFolded({1 << 14, 1 << 13}, (int64_t{1} << 27) - 1),
               ConvertError);
}

TEST(Hostile, InputsThatAreTooLarge) {
  for (int64_t size : {kLarge, kMax}) {
    OnnxFile file;
    file.Input("x", {0, 3, size, 8}).Output("y", 4);
    file.Node("Relu", {"x"}, "y");
    ExpectRefused(file, "input 'x': too many elements");
  }
}

OnnxFile Chain(int nodes) {
  OnnxFile file = Image();
  for (int i = 0; i < nodes; ++i) {
    const std::string in = i == 0 ? "x" : "t" + std::to_string(i - 1);
    file.Node("Relu", {in}, i == nodes - 1 ? "y" : "t" + std::to_string(i));
  }
  return file;
}

TEST(Hostile, TooManyNodes) {
  const TestFile most("most.onnx", Chain(65536).Bytes());
  EXPECT_TRUE(ReadOnnx(most.path()).ok());
  ExpectRefused(Chain(65537), "has 65537 nodes; 65536 are the most");
}

TEST(Hostile, TooManyOutputs) {
  OnnxFile file = Image();
  file.Node("Relu", {"x"}, "y");
  for (int i = 0; i < 1024; ++i) {
    const std::string name = "y" + std::to_string(i);
    file.Output(name, 4).Node("Relu", {"x"}, name);
  }
  ExpectRefused(file, "has 1025 outputs; 1024 are the most");
}

// The same tensor reshaped again and again asks for one name: the copies are
// numbered on, and stay unique.
TEST(Hostile, NamesOfCopies) {
  OnnxFile file;
  file.Input("x", {0, 4, 4}).Output("y", 2).Constant("s", {2}, Ints{0, 16});
  std::string sum;
  for (int i = 0; i < 20000; ++i) {
    const std::string n = std::to_string(i);
    file.Node("Reshape", {"x", "s"}, "f" + n);
  }
  for (int i = 1; i < 20000; ++i) {
    const std::string n = std::to_string(i);
    file.Node("Add", {i == 1 ? "f0" : "t" + std::to_string(i - 1), "f" + n},
              i == 19999 ? "y" : "t" + n);
  }
  const auto conversion = Convert(file);
  ASSERT_TRUE(conversion.ok()) << conversion.status().message();
  EXPECT_EQ(CountOps(conversion->graph, "Flatten"), 20000);
}

}  // namespace
}  // namespace bqengine::convert
