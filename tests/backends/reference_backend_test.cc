// The reference backend through the public API: that every op is there, that
// attributes and constants reach the right argument of the kernels (which
// tests/kernels/ test), and that ops that only move values move them rightly,
// floats and bits alike.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../kernels/naive_conv.h"
#include "bqengine/graph.h"
#include "bqengine/model.h"
#include "bqengine/session.h"
#include "builtin_backends.h"
#include "graph/op_schema.h"
#include "kernels/reference.h"

namespace bqengine {
namespace {

using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;
using kernels::WordsFor;

// An activation with its batch; bits and integers as the values they stand for.
struct Tensor {
  DataType type = DataType::kFloat32;
  Shape shape;
  Floats values;
};

int64_t Count(const Shape& shape) {
  int64_t count = 1;
  for (int64_t dim : shape) count *= dim;
  return count;
}

std::vector<uint64_t> PackValues(const Floats& values, int64_t columns) {
  std::vector<int> bits;
  for (float value : values) bits.push_back(value > 0);
  return kernels::Pack(bits, columns);
}

// Also checks that the padding bits are zero.
Floats UnpackValues(const std::vector<uint64_t>& words, const Tensor& like) {
  const int64_t columns = like.shape.back();
  std::vector<int> bits;
  for (int64_t i = 0; i < Count(like.shape); ++i) {
    const size_t word =
        size_t(i / columns * WordsFor(columns) + i % columns / 64);
    bits.push_back(int(words[word] >> (i % columns % 64)) & 1);
  }
  EXPECT_EQ(kernels::Pack(bits, columns), words) << "padding bits are not zero";
  return kernels::Decode(bits, like.type == DataType::kBipolar
                                   ? kernels::Encoding::kBipolar
                                   : kernels::Encoding::kUnipolar);
}

// Runs one node on the reference backend.
Tensor RunNode(const std::string& op,
               const std::map<std::string, Attribute>& attributes,
               const std::map<std::string, Constant>& constants,
               const std::vector<Tensor>& inputs) {
  Graph graph;
  Node node{.name = "node",
            .op = op,
            .inputs = {},
            .outputs = {"y"},
            .constants = {},
            .attributes = attributes};
  for (size_t i = 0; i < inputs.size(); ++i) {
    Shape shape = inputs[i].shape;
    shape[0] = kBatch;
    node.inputs.push_back("x" + std::to_string(i));
    graph.inputs.push_back(
        {.name = node.inputs.back(), .info = {inputs[i].type, shape}});
  }
  for (const auto& [role, constant] : constants) {
    node.constants[role] = role;
    graph.constants[role] = constant;
  }
  graph.nodes.push_back(node);
  graph.outputs.push_back({.name = "y"});

  const auto model = Model::FromGraph(std::move(graph));
  if (!model.ok()) {
    ADD_FAILURE() << model.status().message();
    return {};
  }
  const int64_t batch = inputs[0].shape[0];
  auto session = Session::Create(
      *model, {.max_batch = batch, .backend = "reference", .optimize = false});
  if (!session.ok()) {
    ADD_FAILURE() << session.status().message();
    return {};
  }

  std::vector<std::vector<uint64_t>> packed(inputs.size());
  std::vector<std::vector<uint8_t>> integers(inputs.size());
  std::vector<InputView> input_views;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Floats& values = inputs[i].values;
    if (inputs[i].type == DataType::kFloat32) {
      input_views.push_back({values.data(), values.size() * sizeof(float)});
    } else if (IsInteger(inputs[i].type)) {
      for (float value : values) integers[i].push_back(uint8_t(int(value)));
      input_views.push_back({integers[i].data(), integers[i].size()});
    } else {
      packed[i] = PackValues(values, inputs[i].shape.back());
      input_views.push_back(
          {packed[i].data(), packed[i].size() * sizeof(uint64_t)});
    }
  }
  Tensor y{model->output(0).type, model->output(0).shape, {}};
  y.shape[0] = batch;
  y.values.resize(size_t(Count(y.shape)));
  const bool bits = IsBits(y.type);
  std::vector<uint64_t> words(
      bits ? size_t(Count(y.shape) / y.shape.back() * WordsFor(y.shape.back()))
           : 0,
      ~uint64_t{0});
  OutputView output{y.values.data(), y.values.size() * sizeof(float)};
  if (bits) output = {words.data(), words.size() * sizeof(uint64_t)};
  std::vector<uint8_t> bytes(IsInteger(y.type) ? y.values.size() : 0);
  if (IsInteger(y.type)) output = {bytes.data(), bytes.size()};
  const Status status = session->Run(batch, input_views, {&output, 1});
  EXPECT_TRUE(status.ok()) << status.message();
  if (bits) y.values = UnpackValues(words, y);
  for (size_t i = 0; i < bytes.size(); ++i) {
    y.values[i] =
        y.type == DataType::kInt8 ? float(int8_t(bytes[i])) : float(bytes[i]);
  }
  return y;
}

Tensor RandomTensor(std::mt19937& random, DataType type, const Shape& shape) {
  Tensor tensor{type, shape, {}};
  for (int64_t i = 0; i < Count(shape); ++i) {
    const bool one = random() & 1;
    tensor.values.push_back(type == DataType::kFloat32   ? float(i + 1)
                            : type == DataType::kInt8    ? float(i % 256 - 128)
                            : type == DataType::kUint8   ? float(i % 256)
                            : one                        ? 1.0f
                            : type == DataType::kBipolar ? -1.0f
                                                         : 0.0f);
  }
  return tensor;
}

int64_t Pick(std::mt19937& random, int64_t from, int64_t to) {
  return std::uniform_int_distribution<int64_t>(from, to)(random);
}

// Channels around the borders of words, small dimensions elsewhere.
Shape RandomShape(std::mt19937& random, size_t rank) {
  constexpr int64_t kChannels[] = {1, 2, 5, 31, 63, 64, 65, 96, 128, 130};
  Shape shape;
  for (size_t d = 0; d + 1 < rank; ++d) shape.push_back(Pick(random, 1, 3));
  shape.push_back(kChannels[Pick(random, 0, 9)]);
  return shape;
}

std::string ShapeName(const Shape& shape) {
  std::string name;
  for (int64_t dim : shape) name += " " + std::to_string(dim);
  return name;
}

// Position of an index in a dense tensor, and back.
int64_t Position(const Shape& shape, const Shape& index) {
  int64_t position = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    position = position * shape[d] + index[d];
  }
  return position;
}

Shape IndexOf(const Shape& shape, int64_t position) {
  Shape index(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    index[d] = position % shape[d];
    position /= shape[d];
  }
  return index;
}

const DataType kTypes[] = {DataType::kFloat32, DataType::kBipolar,
                           DataType::kUnipolar, DataType::kInt8,
                           DataType::kUint8};

TEST(ReferenceBackend, Integers) {
  const Tensor x = {DataType::kUint8, {1, 4}, {0, 100, 200, 255}};
  const Tensor bits = RunNode(
      "Binarize", {{"encoding", std::string("unipolar")}},
      {{"threshold", Constant::Floats({4}, {-1.0f, 100.0f, 200.5f, 256.0f})}},
      {x});
  EXPECT_EQ(bits.values, (Floats{1, 1, 0, 0}));
  const Constant weight =
      Constant::Bits(DataType::kBipolar, {1, 2, 4}, {0b1011, 0b0000});
  const Tensor y = RunNode("BinaryWeightGemm", {},
                           {{"weight", weight},
                            {"mul", Constant::Floats({1}, {0.5f})},
                            {"add", Constant::Floats({2}, {1, 2})}},
                           {x});
  EXPECT_EQ(y.values, (Floats{78.5f, -275.5f}));

  const Tensor image = {DataType::kInt8, {1, 1, 2, 1}, {-128, 127}};
  const Constant taps =
      Constant::Bits(DataType::kUnipolar, {1, 1, 1, 3, 1}, {1, 0, 1});
  const Tensor sums =
      RunNode("BinaryWeightConv",
              {{"kernel_shape", Ints{1, 3}}, {"pads", Ints{0, 1, 0, 1}}},
              {{"weight", taps}}, {image});
  EXPECT_EQ(sums.values, (Floats{127, -128}));
}

// The registry leaves to this backend whatever no other one takes.
TEST(ReferenceBackend, SupportsEveryOpAndNoUnknownType) {
  bqe_plugin plugin{};
  plugin.struct_size = sizeof(plugin);
  ASSERT_EQ(bqe_reference_init(nullptr, &plugin, nullptr), BQE_OK);
  ASSERT_EQ(plugin.num_backends, 1u);
  const bqe_backend* backend = plugin.backends[0];
  EXPECT_STREQ(backend->name, "reference");
  EXPECT_EQ(backend->score, 1);

  const int64_t dims[] = {BQE_BATCH, 4};
  bqe_tensor tensor{};
  tensor.struct_size = sizeof(tensor);
  tensor.type = BQE_FLOAT32;
  tensor.rank = 2;
  tensor.dims = dims;
  tensor.name = "t";
  const bqe_tensor* const tensors[] = {&tensor};
  bqe_node node{};
  node.struct_size = sizeof(node);
  node.num_inputs = node.num_outputs = 1;
  node.name = "node";
  node.inputs = node.outputs = tensors;
  for (const OpSchema& schema : OpSchemas()) {
    node.op = schema.name;
    tensor.type = BQE_FLOAT32;
    EXPECT_NE(backend->supports(backend, &node), 0) << schema.name;
    tensor.type = BQE_UINT8 + 1;
    EXPECT_EQ(backend->supports(backend, &node), 0) << schema.name;
    const std::set<std::string> take_integers = {
        "Binarize", "BinaryWeightConv", "BinaryWeightGemm", "Concat",
        "Flatten",  "Reshape",          "Transpose"};
    for (bqe_type type : {BQE_INT8, BQE_UINT8}) {
      tensor.type = type;
      EXPECT_EQ(backend->supports(backend, &node) != 0,
                take_integers.contains(schema.name))
          << schema.name;
    }
  }
  tensor.type = BQE_FLOAT32;
  node.op = "Conv2";
  EXPECT_EQ(backend->supports(backend, &node), 0);
  bqe_kernel* kernel = nullptr;
  EXPECT_EQ(backend->compile(backend, &node, &kernel, nullptr),
            BQE_ERROR_UNSUPPORTED);
}

// ------------------------------------------------------------- moving values

TEST(ReferenceBackendMovement, FlattenKeepsTheOrder) {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    std::mt19937 random(seed);
    const Tensor x = RandomTensor(random, kTypes[seed % 5],
                                  RandomShape(random, 2 + seed % 3));
    SCOPED_TRACE("seed " + std::to_string(seed) + ShapeName(x.shape));
    const Tensor y = RunNode("Flatten", {}, {}, {x});
    EXPECT_EQ(y.shape, (Shape{x.shape[0], Count(x.shape) / x.shape[0]}));
    EXPECT_EQ(y.type, x.type);
    EXPECT_EQ(y.values, x.values);
  }
}

TEST(ReferenceBackendMovement, ReshapeKeepsTheOrder) {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    std::mt19937 random(seed);
    const int64_t a = Pick(random, 1, 4), b = Pick(random, 1, 4);
    const int64_t c = 16 * Pick(random, 1, 5) + Pick(random, 0, 1);
    const Tensor x = RandomTensor(random, kTypes[seed % 5], {2, a, b * c});
    SCOPED_TRACE("seed " + std::to_string(seed) + ShapeName(x.shape));
    const Tensor y =
        RunNode("Reshape", {{"shape", Ints{0, b, -1, c}}}, {}, {x});
    EXPECT_EQ(y.shape, (Shape{2, b, a, c}));
    EXPECT_EQ(y.values, x.values);
  }
}

TEST(ReferenceBackendMovement, Transpose) {
  const std::vector<Ints> perms = {
      {0, 1, 2, 3}, {0, 2, 1, 3}, {0, 1, 3, 2},    {0, 2, 3, 1},   {0, 3, 1, 2},
      {0, 3, 2, 1}, {0, 2, 1},    {0, 3, 1, 4, 2}, {0, 3, 2, 1, 4}};
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    std::mt19937 random(seed);
    for (const Ints& perm : perms) {
      for (DataType type : kTypes) {
        const Tensor x =
            RandomTensor(random, type, RandomShape(random, perm.size()));
        SCOPED_TRACE("seed " + std::to_string(seed) + ShapeName(x.shape) +
                     " perm" + ShapeName(perm));
        const Tensor y = RunNode("Transpose", {{"perm", perm}}, {}, {x});
        Floats expected;
        for (int64_t i = 0; i < Count(y.shape); ++i) {
          const Shape to = IndexOf(y.shape, i);
          Shape from(perm.size());
          for (size_t d = 0; d < perm.size(); ++d) {
            from[size_t(perm[d])] = to[d];
          }
          expected.push_back(x.values[size_t(Position(x.shape, from))]);
        }
        ASSERT_EQ(y.values, expected);
      }
    }
  }
}

TEST(ReferenceBackendMovement, Concat) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    const size_t rank = 2 + seed % 3;
    const int64_t axis = Pick(random, 1, int64_t(rank) - 1);
    const Shape shape = RandomShape(random, rank);
    std::vector<Tensor> inputs;
    for (int64_t i = 0, count = Pick(random, 2, 4); i < count; ++i) {
      Shape own = shape;
      own[size_t(axis)] = Pick(random, 1, 70);
      inputs.push_back(RandomTensor(random, kTypes[seed / 3 % 5], own));
    }
    SCOPED_TRACE("seed " + std::to_string(seed) + ShapeName(shape) + " axis " +
                 std::to_string(axis));
    const int64_t given = seed % 2 ? axis : axis - int64_t(rank);
    const Tensor y = RunNode("Concat", {{"axis", given}}, {}, inputs);
    Floats expected;
    for (int64_t i = 0; i < Count(y.shape); ++i) {
      Shape index = IndexOf(y.shape, i);
      const Tensor* input = inputs.data();
      while (index[size_t(axis)] >= input->shape[size_t(axis)]) {
        index[size_t(axis)] -= input->shape[size_t(axis)];
        ++input;
      }
      expected.push_back(input->values[size_t(Position(input->shape, index))]);
    }
    ASSERT_EQ(y.values, expected);
  }
}

TEST(ReferenceBackendMovement, Pad) {
  for (uint32_t seed = 1; seed <= 30; ++seed) {
    std::mt19937 random(seed);
    const size_t rank = 2 + seed % 3;
    const Tensor x =
        RandomTensor(random, DataType::kFloat32, RandomShape(random, rank));
    Ints pads(2 * rank, 0);
    for (size_t d = 1; d < rank; ++d) {
      pads[d] = Pick(random, 0, 3);
      pads[rank + d] = Pick(random, 0, 3);
    }
    SCOPED_TRACE("seed " + std::to_string(seed) + ShapeName(x.shape) + " pads" +
                 ShapeName(pads));
    const Tensor y =
        RunNode("Pad", {{"pads", pads}, {"value", -0.5f}}, {}, {x});
    Floats expected;
    for (int64_t i = 0; i < Count(y.shape); ++i) {
      Shape index = IndexOf(y.shape, i);
      bool inside = true;
      for (size_t d = 0; d < rank; ++d) {
        index[d] -= pads[d];
        inside = inside && index[d] >= 0 && index[d] < x.shape[d];
      }
      expected.push_back(inside ? x.values[size_t(Position(x.shape, index))]
                                : -0.5f);
    }
    ASSERT_EQ(y.values, expected);
  }
}

// ----------------------------------------------------------------- binary ops

Constant RandomBitsConstant(std::mt19937& random, DataType type,
                            const Shape& shape) {
  const Tensor tensor = RandomTensor(random, type, shape);
  return Constant::Bits(type, shape, PackValues(tensor.values, shape.back()));
}

// Two activation bases, three weight bases, every attribute and constant other
// than its default.
TEST(ReferenceBackendBinary, ConvPassesEverything) {
  std::mt19937 random(21);
  const Shape shape = {2, 5, 6, 70};
  const std::vector<Tensor> x = {
      RandomTensor(random, DataType::kBipolar, shape),
      RandomTensor(random, DataType::kBipolar, shape)};
  const Constant weight =
      RandomBitsConstant(random, DataType::kUnipolar, {3, 4, 3, 2, 35});
  const Floats alpha = kernels::RandomFloats(random, 12);
  const Floats beta = kernels::RandomFloats(random, 2);
  const Floats mul = kernels::RandomFloats(random, 4);
  const Floats add = kernels::RandomFloats(random, 1);
  const Floats threshold = kernels::RandomFloats(random, 4);
  const std::map<std::string, Attribute> attributes = {
      {"kernel_shape", Ints{3, 2}},
      {"strides", Ints{2, 1}},
      {"pads", Ints{1, 0, 2, 3}},
      {"dilations", Ints{1, 2}},
      {"group", int64_t{2}},
      {"pad_value", int64_t{-1}},
      {"output_type", std::string("bipolar")}};
  const Tensor y = RunNode("BinaryConv", attributes,
                           {{"weight", weight},
                            {"alpha", Constant::Floats({3, 4}, alpha)},
                            {"beta", Constant::Floats({2}, beta)},
                            {"mul", Constant::Floats({4}, mul)},
                            {"add", Constant::Floats({1}, add)},
                            {"threshold", Constant::Floats({4}, threshold)}},
                           x);
  ASSERT_EQ(y.shape, (Shape{2, 3, 7, 4}));
  ASSERT_EQ(y.type, DataType::kBipolar);

  const kernels::ConvShape conv = {.window = {.batch = 2,
                                              .in_h = 5,
                                              .in_w = 6,
                                              .out_h = 3,
                                              .out_w = 7,
                                              .kernel_h = 3,
                                              .kernel_w = 2,
                                              .stride_h = 2,
                                              .stride_w = 1,
                                              .dilation_h = 1,
                                              .dilation_w = 2,
                                              .pad_top = 1,
                                              .pad_left = 0},
                                   .in_channels = 70,
                                   .out_channels = 4,
                                   .groups = 2};
  const kernels::Epilogue epilogue = {.weight_bases = 3,
                                      .activation_bases = 2,
                                      .alpha = alpha.data(),
                                      .alpha_per_channel = true,
                                      .beta = beta.data(),
                                      .mul = mul.data(),
                                      .mul_stride = 1,
                                      .add = add.data(),
                                      .add_stride = 0,
                                      .threshold = threshold.data(),
                                      .threshold_stride = 1};
  const std::vector<uint64_t> first = PackValues(x[0].values, 70);
  const std::vector<uint64_t> second = PackValues(x[1].values, 70);
  const uint64_t* const inputs[] = {first.data(), second.data()};
  std::vector<uint64_t> expected(2 * 3 * 7);
  kernels::reference::BinaryConv(
      conv, {kernels::Encoding::kBipolar, kernels::Encoding::kUnipolar, -1},
      inputs, weight.words().data(), epilogue, {.y_bits = expected.data()});
  EXPECT_EQ(y.values, UnpackValues(expected, y));
}

TEST(ReferenceBackendBinary, GemmOfRowsToFloat) {
  std::mt19937 random(22);
  const Tensor x = RandomTensor(random, DataType::kUnipolar, {2, 3, 65});
  const Tensor w = RandomTensor(random, DataType::kBipolar, {1, 4, 65});
  const Tensor y = RunNode(
      "BinaryGemm", {},
      {{"weight", Constant::Bits(w.type, w.shape, PackValues(w.values, 65))},
       {"add", Constant::Floats({4}, {0, 100, 200, 300})}},
      {x});
  ASSERT_EQ(y.shape, (Shape{2, 3, 4}));
  for (size_t i = 0; i < y.values.size(); ++i) {
    float sum = 0;
    for (size_t k = 0; k < 65; ++k) {
      sum += x.values[i / 4 * 65 + k] * w.values[i % 4 * 65 + k];
    }
    EXPECT_EQ(y.values[i], sum + 100.0f * float(i % 4)) << i;
  }
}

TEST(ReferenceBackendBinary, BinarizePoolAndBinaryWeights) {
  const Tensor x = {DataType::kFloat32, {1, 2, 2, 1}, {0.5f, -1, 2, 3}};
  Tensor bits = RunNode("Binarize", {{"encoding", std::string("unipolar")}},
                        {{"threshold", Constant::Floats({1}, {2})}}, {x});
  EXPECT_EQ(bits.type, DataType::kUnipolar);
  EXPECT_EQ(bits.values, (Floats{0, 0, 1, 1}));
  EXPECT_EQ(RunNode("BinaryMaxPool", {{"kernel_shape", Ints{1, 2}}}, {}, {bits})
                .values,
            (Floats{0, 1}));
  // Weights +1 -1 / -1 +1.
  const Constant conv =
      Constant::Bits(DataType::kBipolar, {1, 1, 2, 2, 1}, {1, 0, 0, 1});
  EXPECT_EQ(
      RunNode("BinaryWeightConv", {{"kernel_shape", Ints{2, 2}}},
              {{"weight", conv}, {"mul", Constant::Floats({1}, {2})}}, {x})
          .values,
      (Floats{2 * (0.5f + 1 - 2 + 3)}));
  const Tensor row = {DataType::kFloat32, {1, 3}, {1, 2, 4}};
  const Constant gemm =
      Constant::Bits(DataType::kUnipolar, {1, 2, 3}, {0b101, 0b010});
  EXPECT_EQ(RunNode("BinaryWeightGemm", {}, {{"weight", gemm}}, {row}).values,
            (Floats{5, 2}));
}

// ------------------------------------------------------------------ float ops

TEST(ReferenceBackendFloat, ByHand) {
  const Tensor x = {DataType::kFloat32,
                    {1, 2, 2, 2},
                    {1, -2, 3, -4,  //
                     5, -6, 7, -8}};
  const Constant two = Constant::Floats({2}, {10, 100});
  const Constant one = Constant::Floats({1}, {-1});
  struct Case {
    const char* op;
    std::map<std::string, Attribute> attributes;
    std::map<std::string, Constant> constants;
    std::vector<Tensor> inputs;
    Floats expected;
  };
  const Ints kernel = {2, 2};
  const std::vector<Case> cases = {
      {"Relu", {}, {}, {x}, {1, 0, 3, 0, 5, 0, 7, 0}},
      {"PRelu",
       {},
       {{"slope", two}},
       {x},
       {1, -200, 3, -400, 5, -600, 7, -800}},
      {"Clip",
       {{"min", -3.5f}, {"max", 4.0f}},
       {},
       {x},
       {1, -2, 3, -3.5f, 4, -3.5f, 4, -3.5f}},
      {"Floor", {}, {}, {{DataType::kFloat32, {1, 2}, {-0.5f, 1.5f}}}, {-1, 1}},
      {"Add", {}, {{"value", two}}, {x}, {11, 98, 13, 96, 15, 94, 17, 92}},
      {"Add", {}, {}, {x, x}, {2, -4, 6, -8, 10, -12, 14, -16}},
      {"Mul", {}, {{"value", one}}, {x}, {-1, 2, -3, 4, -5, 6, -7, 8}},
      {"Mul", {}, {}, {x, x}, {1, 4, 9, 16, 25, 36, 49, 64}},
      {"BatchNormalization",
       {{"epsilon", 1.0f}},
       {{"scale", Constant::Floats({2}, {4, 2})},
        {"bias", Constant::Floats({2}, {0.5f, -1})},
        {"mean", Constant::Floats({2}, {1, -2})},
        {"var", Constant::Floats({2}, {3, 0})}},
       {x},
       {0.5f, -1, 4.5f, -5, 8.5f, -9, 12.5f, -13}},
      {"MaxPool", {{"kernel_shape", kernel}}, {}, {x}, {7, -2}},
      {"MaxPool",
       {{"kernel_shape", kernel},
        {"dilations", kernel},
        {"pads", Ints{1, 1, 0, 0}}},
       {},
       {x},
       {7, -8}},
      {"AveragePool", {{"kernel_shape", kernel}}, {}, {x}, {4, -5}},
      {"AveragePool",
       {{"kernel_shape", kernel},
        {"pads", Ints{0, 0, 0, 1}},
        {"count_include_pad", int64_t{1}}},
       {},
       {x},
       {4, -5, 2.5f, -3}},
      {"GlobalAveragePool", {}, {}, {x}, {4, -5}},
      {"Gemm",
       {},
       {{"weight", Constant::Floats({1, 2}, {2, 1})},
        {"bias", Constant::Floats({1}, {0.5f})}},
       {x},
       {0.5f, 2.5f, 4.5f, 6.5f}},
      {"Conv",
       {{"kernel_shape", kernel}, {"group", int64_t{2}}},
       {{"weight", Constant::Floats({2, 2, 2, 1}, {1, 0, 0, 1, 0, 1, 1, 0})},
        {"bias", Constant::Floats({2}, {100, 200})}},
       {x},
       {108, 190}},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    const Case& c = cases[i];
    SCOPED_TRACE("case " + std::to_string(i) + " " + c.op);
    EXPECT_EQ(RunNode(c.op, c.attributes, c.constants, c.inputs).values,
              c.expected);
  }
}

TEST(ReferenceBackendFloat, SoftmaxAlongEachAxis) {
  const Tensor x = {DataType::kFloat32, {1, 2, 2}, {0, 0, 0, std::log(3.0f)}};
  const Floats last = RunNode("Softmax", {}, {}, {x}).values;
  const Floats first =
      RunNode("Softmax", {{"axis", int64_t{1}}}, {}, {x}).values;
  const Floats expected_last = {0.5f, 0.5f, 0.25f, 0.75f};
  const Floats expected_first = {0.5f, 0.25f, 0.5f, 0.75f};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(last[i], expected_last[i], 1e-6f);
    EXPECT_NEAR(first[i], expected_first[i], 1e-6f);
  }
}

}  // namespace
}  // namespace bqengine
