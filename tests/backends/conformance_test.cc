// Every op on every backend against the reference backend: same bits for what
// is computed from bits, at every block edge, on 1 and 2 threads, with batch 1
// and 7; floats within a bound derived from magnitudes. Outputs lie between
// canaries. Each case comes from a seed, which a failure prints.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "tests/support/graph_maker.h"

namespace bqengine {
namespace {

using testing::GraphMaker;
using Bytes = std::vector<uint8_t>;
using Ints = std::vector<int64_t>;

constexpr int64_t kBatchSize = 7;
constexpr uint8_t kCanary = 0xA5;
constexpr size_t kCanaryBytes = 128;

// Sizes below, at and above those of words, vectors and tiles.
constexpr int64_t kChannels[] = {1,  2,  3,  7,   8,   9,   15,  16,  17,
                                 31, 32, 33, 47,  48,  49,  63,  64,  65,
                                 95, 96, 97, 127, 128, 129, 191, 192, 193};

int64_t Pick(GraphMaker& maker, std::span<const int64_t> values) {
  return values[static_cast<size_t>(
      maker.Int(0, static_cast<int64_t>(values.size()) - 1))];
}

// How far floats may be from the reference: `per_item` bounds the sum of the
// magnitudes that meet in one output, `roundings` how often it is rounded.
struct Tolerance {
  double magnitude = 0;  // 0: the same bits
  double roundings = 0;
};

struct Case {
  Graph graph;
  Tolerance tolerance;
};

Bytes RandomInput(GraphMaker& maker, const TensorInfo& info) {
  Bytes bytes(static_cast<size_t>(*ByteCount(info, kBatchSize)));
  if (info.type == DataType::kFloat32) {
    const auto values = maker.Floats(bytes.size() / sizeof(float), -1, 1);
    std::memcpy(bytes.data(), values.data(), bytes.size());
  } else if (IsInteger(info.type)) {
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(maker.Int(0, 255));
  } else {
    Shape shape = info.shape;
    shape[0] = kBatchSize;
    const Constant bits = maker.RandomBits(info.type, shape);
    std::memcpy(bytes.data(), bits.data(), bytes.size());
  }
  return bytes;
}

// The first `batch` items of all outputs.
std::vector<Bytes> RunCase(const Model& model, const std::string& backend,
                           int threads, int64_t batch,
                           const std::vector<Bytes>& inputs) {
  auto session = Session::Create(model, {.threads = threads,
                                         .max_batch = batch,
                                         .backend = backend,
                                         .optimize = false});
  EXPECT_TRUE(session.ok()) << session.status().message();
  if (!session.ok()) return {};
  std::vector<InputView> views;
  for (const auto& input : inputs) {
    views.push_back(
        {input.data(), input.size() / kBatchSize * static_cast<size_t>(batch)});
  }
  std::vector<Bytes> memories;
  std::vector<OutputView> outputs;
  for (size_t i = 0; i < model.num_outputs(); ++i) {
    const auto bytes = static_cast<size_t>(*ByteCount(model.output(i), batch));
    memories.emplace_back(bytes + 2 * kCanaryBytes, kCanary);
    outputs.push_back({memories.back().data() + kCanaryBytes, bytes});
  }
  const Status status = session->Run(batch, views, outputs);
  EXPECT_TRUE(status.ok()) << status.message();
  for (Bytes& memory : memories) {
    for (size_t i = 0; i < kCanaryBytes; ++i) {
      EXPECT_EQ(memory[i], kCanary) << "wrote before the output";
      EXPECT_EQ(memory[memory.size() - 1 - i], kCanary)
          << "wrote behind the output";
    }
    memory = {memory.begin() + kCanaryBytes, memory.end() - kCanaryBytes};
  }
  return memories;
}

void ExpectClose(const Bytes& actual, const Bytes& expected,
                 const Tolerance& tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  if (tolerance.magnitude == 0) {
    EXPECT_TRUE(actual == expected) << "bits differ";
    return;
  }
  std::vector<float> a(actual.size() / 4), e(a.size());
  std::memcpy(a.data(), actual.data(), actual.size());
  std::memcpy(e.data(), expected.data(), expected.size());
  const double bound = tolerance.magnitude * tolerance.roundings * 0x1p-23;
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], e[i], bound) << "element " << i;
  }
}

// Runs one case on every usable backend; counts what it ran.
int Check(GraphMaker& maker, const Case& test) {
  auto model = Model::FromGraph(test.graph);
  EXPECT_TRUE(model.ok()) << model.status().message();
  if (!model.ok()) return 0;
  std::vector<Bytes> inputs;
  for (size_t i = 0; i < model->num_inputs(); ++i) {
    inputs.push_back(RandomInput(maker, model->input(i)));
  }
  const auto expected = RunCase(*model, "reference", 1, kBatchSize, inputs);
  int ran = 0;
  const auto backends = ListBackends();
  for (const BackendInfo& backend : *backends) {
    if (backend.score == 0) continue;
    SCOPED_TRACE(backend.name);
    const auto all = RunCase(*model, backend.name, 1, kBatchSize, inputs);
    for (size_t i = 0; i < all.size(); ++i) {
      ExpectClose(all[i], expected[i], test.tolerance);
    }
    // Threads and batch never change a bit, not even of floats.
    const auto two = RunCase(*model, backend.name, 2, kBatchSize, inputs);
    EXPECT_TRUE(two == all) << "2 threads differ from 1";
    const auto one = RunCase(*model, backend.name, 2, 1, inputs);
    for (size_t i = 0; i < one.size(); ++i) {
      EXPECT_TRUE(std::equal(one[i].begin(), one[i].end(), all[i].begin()))
          << "batch 1 differs from batch 7";
    }
    ++ran;
  }
  return ran;
}

void CheckSeeds(uint32_t first, uint32_t count,
                const std::function<Case(GraphMaker&)>& make) {
  int ran = 0;
  for (uint32_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    GraphMaker maker(seed);
    const Case test = make(maker);
    ran += Check(maker, test);
    if (::testing::Test::HasFailure()) return;  // one case says enough
  }
  EXPECT_GE(ran, static_cast<int>(count)) << "nothing ran";
}

DataType PickInteger(GraphMaker& maker) {
  return maker.Int(0, 1) == 0 ? DataType::kInt8 : DataType::kUint8;
}

DataType PickBits(GraphMaker& maker) {
  return maker.Int(0, 1) == 0 ? DataType::kBipolar : DataType::kUnipolar;
}

Graph StartBits(GraphMaker& maker, DataType type, Shape shape, int64_t inputs) {
  Graph graph = maker.Start(shape);
  graph.inputs.clear();
  for (int64_t i = 0; i < inputs; ++i) {
    graph.inputs.push_back(
        {.name = "x" + std::to_string(i), .info = {type, shape}});
  }
  return graph;
}

std::vector<std::string> InputNames(const Graph& graph) {
  std::vector<std::string> names;
  for (const GraphInput& input : graph.inputs) names.push_back(input.name);
  return names;
}

// A random window that fits into [h, w]; sizes 1 to 17.
struct RandomWindow {
  explicit RandomWindow(GraphMaker& maker, bool padded = true) {
    h = maker.Int(1, 17);
    w = maker.Int(1, 17);
    for (int i = 0; i < 2; ++i) {
      const int64_t size = i == 0 ? h : w;
      const int64_t k = std::min<int64_t>(maker.Int(1, 5), size);
      const int64_t d = (k - 1) * 2 + 1 <= size ? maker.Int(1, 2) : 1;
      kernel.push_back(k);
      dilations.push_back(d);
      strides.push_back(maker.Int(1, 3));
      pads[i] = padded ? maker.Int(0, (k - 1) * d) : 0;
      pads[i + 2] = padded ? maker.Int(0, (k - 1) * d) : 0;
    }
  }
  std::map<std::string, Attribute> Attributes() const {
    return {{"kernel_shape", kernel},
            {"strides", strides},
            {"pads", pads},
            {"dilations", dilations}};
  }
  int64_t h, w;
  Ints kernel, strides, dilations, pads = {0, 0, 0, 0};
};

// mul, add, alpha and beta, each there or not, with negative and zero values.
void AddEpilogue(GraphMaker& maker, int64_t bases, int64_t inputs, int64_t out,
                 bool bits_out, std::map<std::string, Constant>& constants) {
  if (bases > 1 || maker.Int(0, 3) == 0) {
    constants["alpha"] = maker.Int(0, 1) == 0
                             ? maker.RandomFloats({bases}, -1, 1)
                             : maker.RandomFloats({bases, out}, -1, 1);
  }
  if (inputs > 1 || maker.Int(0, 3) == 0) {
    constants["beta"] = maker.RandomFloats({inputs}, -1, 1);
  }
  for (const char* role : {"mul", "add"}) {
    if (maker.Int(0, 2) == 0) continue;
    const int64_t count = maker.Int(0, 3) == 0 ? 1 : out;
    auto values = maker.Floats(static_cast<size_t>(count), -2, 2);
    if (maker.Int(0, 1) == 0) values[0] = 0;
    constants[role] = Constant::Floats({count}, values);
  }
  if (bits_out && maker.Int(0, 3) != 0) {
    auto values = maker.Floats(static_cast<size_t>(out), -9, 9);
    for (float& value : values) value = std::round(value);  // often equal
    constants["threshold"] = Constant::Floats({out}, values);
  }
}

std::string PickOutput(GraphMaker& maker) {
  constexpr const char* kTypes[] = {"float32", "bipolar", "unipolar"};
  return kTypes[maker.Int(0, 2)];
}

// Gives the last node, a binary product, steps behind its affine: any, in any
// order, with a residual among them or not; and a second output.
void AddPost(GraphMaker& maker, Graph& graph) {
  Node& node = graph.nodes.back();
  const TensorInfo output = InferShapes(graph)->at(node.outputs[0]);
  const int64_t out = output.shape.back();
  const int64_t steps = maker.Int(1, 8);
  const int64_t residual = maker.Int(0, 2 * steps);
  std::string post;
  for (int64_t i = 0; i < steps; ++i) {
    constexpr const char* kSteps[] = {"Relu", "PRelu", "Clip", "Add", "Mul"};
    const std::string step =
        i == residual ? "Residual" : kSteps[maker.Int(0, 4)];
    post += (i == 0 ? "" : ",") + step;
    const std::string role = "post" + std::to_string(i);
    if (step == "Clip") {
      graph.constants[role] =
          Constant::Floats({2}, {maker.Uniform(-20, 0), maker.Uniform(-2, 20)});
    } else if (step != "Relu" && step != "Residual") {
      graph.constants[role] =
          maker.RandomFloats({maker.Int(0, 3) == 0 ? 1 : out}, -2, 2);
    } else {
      continue;
    }
    node.constants[role] = role;
  }
  node.attributes["post"] = post;
  if (residual < steps) {
    graph.inputs.push_back(
        {.name = "r", .info = {DataType::kFloat32, output.shape}});
    node.inputs.push_back("r");
  }
  if (output.type != DataType::kFloat32 && maker.Int(0, 1) == 0) {
    node.outputs = {"floats", "y"};
    graph.outputs = {{.name = "y"}, {.name = "floats"}};
  }
}

Case BinaryGemm(GraphMaker& maker, int64_t k, int64_t out) {
  const DataType type = PickBits(maker);
  const int64_t bases = maker.Int(0, 3) == 0 ? maker.Int(2, 3) : 1;
  const int64_t inputs = maker.Int(0, 3) == 0 ? maker.Int(2, 3) : 1;
  const Shape shape = maker.Int(0, 3) == 0 ? Shape{kBatch, maker.Int(1, 5), k}
                                           : Shape{kBatch, k};
  Graph graph = StartBits(maker, type, shape, inputs);
  const std::string output = PickOutput(maker);
  std::map<std::string, Constant> constants = {
      {"weight", maker.RandomBits(PickBits(maker), {bases, out, k})}};
  AddEpilogue(maker, bases, inputs, out, output != "float32", constants);
  GraphMaker::Add(graph, "BinaryGemm", "y", InputNames(graph),
                  {{"output_type", output}}, constants);
  return {graph, {}};
}

TEST(Conformance, BinaryGemmAtEveryDepth) {
  for (int64_t k = 1; k <= 193; ++k) {
    CheckSeeds(1000 + static_cast<uint32_t>(k), 1, [&](GraphMaker& maker) {
      return BinaryGemm(maker, k, Pick(maker, kChannels));
    });
    if (HasFailure()) return;
  }
}

TEST(Conformance, BinaryGemmAtEveryWidth) {
  for (int64_t out = 1; out <= 193; ++out) {
    CheckSeeds(2000 + static_cast<uint32_t>(out), 1, [&](GraphMaker& maker) {
      return BinaryGemm(maker, maker.Int(1, 700), out);
    });
    if (HasFailure()) return;
  }
}

Case BinaryConv(GraphMaker& maker) {
  const RandomWindow window(maker);
  const int64_t kind = maker.Int(0, 5);
  int64_t group = 1, in = Pick(maker, kChannels), out = Pick(maker, kChannels);
  if (kind == 0) {  // depthwise
    group = in;
    out = in * maker.Int(1, 2);
  } else if (kind == 1) {  // groups that do not start at words
    group = maker.Int(2, 5);
    in = group * maker.Int(1, 70);
    out = group * maker.Int(1, 20);
  }
  const int64_t bases = maker.Int(0, 3) == 0 ? maker.Int(2, 3) : 1;
  const int64_t inputs = maker.Int(0, 3) == 0 ? maker.Int(2, 3) : 1;
  const DataType type = PickBits(maker);
  Graph graph =
      StartBits(maker, type, {kBatch, window.h, window.w, in}, inputs);
  auto attributes = window.Attributes();
  const std::string output = PickOutput(maker);
  attributes["group"] = group;
  attributes["pad_value"] = maker.Int(type == DataType::kBipolar ? -1 : 0, 1);
  attributes["output_type"] = output;
  std::map<std::string, Constant> constants = {
      {"weight",
       maker.RandomBits(PickBits(maker), {bases, out, window.kernel[0],
                                          window.kernel[1], in / group})}};
  AddEpilogue(maker, bases, inputs, out, output != "float32", constants);
  GraphMaker::Add(graph, "BinaryConv", "y", InputNames(graph), attributes,
                  constants);
  return {graph, {}};
}

TEST(Conformance, BinaryConv) { CheckSeeds(3000, 400, BinaryConv); }

TEST(Conformance, BinaryConvWithPost) {
  CheckSeeds(3400, 250, [](GraphMaker& maker) {
    Case test = BinaryConv(maker);
    AddPost(maker, test.graph);
    return test;
  });
}

// Large enough that two threads share it, by pixels and by channels.
TEST(Conformance, BinaryConvWithPostInManyTasks) {
  CheckSeeds(3700, 4, [](GraphMaker& maker) {
    const int64_t size = maker.Int(5, 14);
    Graph graph =
        StartBits(maker, DataType::kBipolar, {kBatch, size, size, 128}, 1);
    GraphMaker::Add(
        graph, "BinaryConv", "y", {"x0"},
        {{"kernel_shape", Ints{3, 3}},
         {"pads", Ints{1, 1, 1, 1}},
         {"output_type", PickOutput(maker)}},
        {{"weight",
          maker.RandomBits(DataType::kBipolar,
                           {1, Pick(maker, kChannels) + 100, 3, 3, 128})}});
    AddPost(maker, graph);
    return Case{graph, {}};
  });
}

TEST(Conformance, BinaryGemmWithPostAtEveryWidth) {
  for (int64_t out = 1; out <= 193; ++out) {
    CheckSeeds(2500 + static_cast<uint32_t>(out), 1, [&](GraphMaker& maker) {
      Case test = BinaryGemm(maker, maker.Int(1, 700), out);
      AddPost(maker, test.graph);
      return test;
    });
    if (HasFailure()) return;
  }
}

// Every size of image under a padded 3x3 window, every way of padding.
TEST(Conformance, BinaryConvAtEverySize) {
  for (int64_t size = 1; size <= 17; ++size) {
    CheckSeeds(
        4000 + 10 * static_cast<uint32_t>(size), 6, [&](GraphMaker& maker) {
          const int64_t in = Pick(maker, kChannels);
          const int64_t out = Pick(maker, kChannels);
          Graph graph = StartBits(maker, DataType::kBipolar,
                                  {kBatch, size, 18 - size, in}, 1);
          GraphMaker::Add(graph, "BinaryConv", "y", {"x0"},
                          {{"kernel_shape", Ints{3, 3}},
                           {"pads", Ints{1, 1, 1, 1}},
                           {"pad_value", maker.Int(-1, 1)}},
                          {{"weight", maker.RandomBits(DataType::kBipolar,
                                                       {1, out, 3, 3, in})}});
          return Case{graph, {}};
        });
    if (HasFailure()) return;
  }
}

TEST(Conformance, Binarize) {
  for (int64_t channels = 1; channels <= 193; ++channels) {
    CheckSeeds(
        5000 + static_cast<uint32_t>(channels), 1, [&](GraphMaker& maker) {
          Graph graph = maker.Start({kBatch, maker.Int(1, 9), channels});
          std::map<std::string, Constant> constants;
          const int64_t kind = maker.Int(0, 3);
          if (kind == 1)
            constants["threshold"] = maker.RandomFloats({1}, -1, 1);
          if (kind > 1) {
            auto values = maker.Floats(static_cast<size_t>(channels), -1, 1);
            values[0] = std::numeric_limits<float>::infinity();
            constants["threshold"] = Constant::Floats({channels}, values);
          }
          GraphMaker::Add(
              graph, "Binarize", "y", {"x"},
              {{"encoding", maker.Int(0, 1) == 0 ? std::string("bipolar")
                                                 : std::string("unipolar")}},
              constants);
          return Case{graph, {}};
        });
    if (HasFailure()) return;
  }
}

// NaN gives the smaller value, infinities are ordinary, -0 is 0.
TEST(Conformance, BinarizeOddValues) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const std::vector<float> odd = {
      std::nanf(""), -std::nanf(""), kInf,    -kInf, 0.0f,
      -0.0f,         1e-45f,         -1e-45f, 1.0f,  -1.0f};
  GraphMaker maker(1);
  Graph graph = maker.Start({kBatch, 10});
  GraphMaker::Add(graph, "Binarize", "y", {"x"});
  auto model = Model::FromGraph(graph);
  ASSERT_TRUE(model.ok());
  const auto backends = ListBackends();
  for (const BackendInfo& backend : *backends) {
    if (backend.score == 0) continue;
    auto session = Session::Create(*model, {.backend = backend.name});
    ASSERT_TRUE(session.ok());
    uint64_t bits = ~uint64_t{0};
    const InputView input = {odd.data(), 40};
    const OutputView output = {&bits, 8};
    ASSERT_TRUE(session->Run(1, {&input, 1}, {&output, 1}).ok());
    EXPECT_EQ(bits, 0b0101110100u) << backend.name;
  }
}

Case Pool(GraphMaker& maker, const std::string& op) {
  const RandomWindow window(maker);
  auto attributes = window.Attributes();
  const Shape shape = {kBatch, window.h, window.w, Pick(maker, kChannels)};
  attributes["ceil_mode"] = maker.Int(0, 1);
  Tolerance tolerance;
  if (op == "AveragePool") {
    attributes.erase("dilations");
    Ints pads = window.pads;  // no wider than a window without dilation
    for (int i = 0; i < 4; ++i) {
      pads[i] = std::min(pads[i], window.kernel[i % 2] - 1);
    }
    attributes["pads"] = pads;
    attributes["count_include_pad"] = maker.Int(0, 1);
    tolerance = {1, 27};  // at most 25 values of at most 1, and a division
  }
  Graph graph = op == "BinaryMaxPool"
                    ? StartBits(maker, PickBits(maker), shape, 1)
                    : maker.Start(shape);
  GraphMaker::Add(graph, op, "y", InputNames(graph), attributes);
  return {graph, tolerance};
}

TEST(Conformance, BinaryMaxPool) {
  CheckSeeds(6000, 100, [](GraphMaker& m) { return Pool(m, "BinaryMaxPool"); });
}
TEST(Conformance, MaxPool) {
  CheckSeeds(6200, 60, [](GraphMaker& m) { return Pool(m, "MaxPool"); });
}
TEST(Conformance, AveragePool) {
  CheckSeeds(6400, 60, [](GraphMaker& m) { return Pool(m, "AveragePool"); });
}
TEST(Conformance, GlobalAveragePool) {
  CheckSeeds(6600, 30, [](GraphMaker& maker) {
    Graph graph = maker.Start(
        {kBatch, maker.Int(1, 9), maker.Int(1, 9), Pick(maker, kChannels)});
    GraphMaker::Add(graph, "GlobalAveragePool", "y", {"x"});
    return Case{graph, {1, 83}};
  });
}

// A convolution with float activations, and weights of floats or bits.
Case FloatConv(GraphMaker& maker, bool binary_weights,
               DataType input = DataType::kFloat32) {
  const RandomWindow window(maker);
  int64_t group = 1, in = maker.Int(1, 70), out = maker.Int(1, 70);
  if (maker.Int(0, 3) == 0) {
    group = maker.Int(2, 5);
    in = group * maker.Int(1, 20);
    out = group * maker.Int(1, 20);
  }
  Graph graph = maker.Start({kBatch, window.h, window.w, in});
  graph.inputs[0].info.type = input;
  auto attributes = window.Attributes();
  attributes["group"] = group;
  const int64_t taps = window.kernel[0] * window.kernel[1] * in / group;
  const double k = static_cast<double>(taps);
  if (!binary_weights) {
    std::map<std::string, Constant> constants = {
        {"weight",
         maker.RandomFloats(
             {out, window.kernel[0], window.kernel[1], in / group}, -1, 1)}};
    if (maker.Int(0, 1) == 0) {
      constants["bias"] = maker.RandomFloats({out}, -1, 1);
    }
    GraphMaker::Add(graph, "Conv", "y", {"x"}, attributes, constants);
    return {graph, {k + 1, k + 1}};
  }
  const int64_t bases = maker.Int(1, 3);
  std::map<std::string, Constant> constants = {
      {"weight",
       maker.RandomBits(PickBits(maker), {bases, out, window.kernel[0],
                                          window.kernel[1], in / group})}};
  AddEpilogue(maker, bases, 1, out, false, constants);
  constants.erase("beta");
  GraphMaker::Add(graph, "BinaryWeightConv", "y", {"x"}, attributes, constants);
  if (IsInteger(input)) return {graph, {}};
  return {graph, {3.0 * k * 2 + 2, k + 5}};
}

TEST(Conformance, Conv) {
  CheckSeeds(7000, 120, [](GraphMaker& m) { return FloatConv(m, false); });
}
TEST(Conformance, BinaryWeightConv) {
  CheckSeeds(7200, 120, [](GraphMaker& m) { return FloatConv(m, true); });
}

// Sums of integers are exact: the same bits.
TEST(Conformance, BinaryWeightConvOfIntegers) {
  CheckSeeds(7300, 200,
             [](GraphMaker& m) { return FloatConv(m, true, PickInteger(m)); });
}
TEST(Conformance, BinaryWeightGemmOfIntegers) {
  CheckSeeds(7800, 200, [](GraphMaker& maker) {
    const int64_t k = maker.Int(1, 1000), out = Pick(maker, kChannels);
    const int64_t bases = maker.Int(1, 3);
    Graph graph =
        maker.Start(maker.Int(0, 3) == 0 ? Shape{kBatch, maker.Int(1, 9), k}
                                         : Shape{kBatch, k});
    graph.inputs[0].info.type = PickInteger(maker);
    std::map<std::string, Constant> constants = {
        {"weight", maker.RandomBits(PickBits(maker), {bases, out, k})}};
    AddEpilogue(maker, bases, 1, out, false, constants);
    constants.erase("beta");
    GraphMaker::Add(graph, "BinaryWeightGemm", "y", {"x"}, {}, constants);
    return Case{graph, {}};
  });
}

// Thresholds within the range of the type and beyond it, equal to integers or
// between them.
TEST(Conformance, BinarizeIntegers) {
  for (int64_t channels = 1; channels <= 193; ++channels) {
    CheckSeeds(
        5500 + static_cast<uint32_t>(channels), 1, [&](GraphMaker& maker) {
          Graph graph = maker.Start({kBatch, maker.Int(1, 9), channels});
          graph.inputs[0].info.type = PickInteger(maker);
          std::map<std::string, Constant> constants;
          if (maker.Int(0, 3) != 0) {
            const int64_t count = maker.Int(0, 1) == 0 ? 1 : channels;
            auto values = maker.Floats(static_cast<size_t>(count), -160, 290);
            for (float& value : values) {
              if (maker.Int(0, 1) == 0) value = std::round(value);
            }
            constants["threshold"] = Constant::Floats({count}, values);
          }
          GraphMaker::Add(graph, "Binarize", "y", {"x"}, {}, constants);
          return Case{graph, {}};
        });
    if (HasFailure()) return;
  }
}

TEST(Conformance, Gemm) {
  CheckSeeds(7400, 80, [](GraphMaker& maker) {
    const int64_t k = maker.Int(1, 300), out = maker.Int(1, 70);
    Graph graph = maker.Start({kBatch, k});
    std::map<std::string, Constant> constants = {
        {"weight", maker.RandomFloats({out, k}, -1, 1)}};
    if (maker.Int(0, 1) == 0) {
      constants["bias"] = maker.RandomFloats({out}, -1, 1);
    }
    GraphMaker::Add(graph, "Gemm", "y", {"x"}, {}, constants);
    return Case{graph,
                {static_cast<double>(k + 1), static_cast<double>(k + 1)}};
  });
}

TEST(Conformance, BinaryWeightGemm) {
  CheckSeeds(7600, 120, [](GraphMaker& maker) {
    const int64_t k = maker.Int(1, 300), out = Pick(maker, kChannels);
    const int64_t bases = maker.Int(1, 3);
    Graph graph = maker.Start({kBatch, k});
    std::map<std::string, Constant> constants = {
        {"weight", maker.RandomBits(PickBits(maker), {bases, out, k})}};
    AddEpilogue(maker, bases, 1, out, false, constants);
    constants.erase("beta");
    GraphMaker::Add(graph, "BinaryWeightGemm", "y", {"x"}, {}, constants);
    return Case{graph,
                {6.0 * static_cast<double>(k) + 2, static_cast<double>(k + 5)}};
  });
}

// Elementwise ops round in one way only, so they agree to the bit.
TEST(Conformance, Elementwise) {
  CheckSeeds(8000, 150, [](GraphMaker& maker) {
    const int64_t c = Pick(maker, kChannels);
    const Shape shape = {kBatch, maker.Int(1, 7), c};
    Graph graph = maker.Start(shape);
    graph.inputs.push_back({.name = "z", .info = {DataType::kFloat32, shape}});
    const auto channel = [&](float low) {
      return maker.RandomFloats({maker.Int(0, 1) == 0 ? 1 : c}, low, 2);
    };
    std::map<std::string, Constant> norm;
    for (const char* role : {"scale", "bias", "mean"}) {
      norm[role] = maker.RandomFloats({c}, -2, 2);
    }
    norm["var"] = maker.RandomFloats({c}, 0, 2);
    using G = GraphMaker;
    G::Add(graph, "BatchNormalization", "a", {"x"}, {}, norm);
    G::Add(graph, "Add", "b", {"a", "z"});
    G::Add(graph, "Mul", "d", {"b", "x"});
    G::Add(graph, "Mul", "e", {"d"}, {}, {{"value", channel(-2)}});
    G::Add(graph, "Add", "f", {"e"}, {}, {{"value", channel(-2)}});
    G::Add(graph, "PRelu", "g", {"f"}, {}, {{"slope", channel(-2)}});
    G::Add(graph, "Clip", "h", {"g"}, {{"min", -1.5f}, {"max", 2.5f}});
    G::Add(graph, "Relu", "i", {"h"});
    G::Add(graph, "Floor", "j", {"e"});
    G::Add(graph, "Add", "y", {"i", "j"});
    return Case{graph, {}};
  });
}

TEST(Conformance, Softmax) {
  CheckSeeds(8200, 40, [](GraphMaker& maker) {
    Graph graph =
        maker.Start({kBatch, maker.Int(1, 5), Pick(maker, kChannels)});
    GraphMaker::Add(
        graph, "Softmax", "y", {"x"},
        {{"axis", maker.Int(0, 1) == 0 ? int64_t{-1} : int64_t{1}}});
    // exp to a few ulps, a sum of up to 193 values, a division; all at most 1.
    return Case{graph, {1, 210}};
  });
}

TEST(Conformance, DataMovement) {
  CheckSeeds(8400, 120, [](GraphMaker& maker) {
    const int64_t h = maker.Int(1, 4), w = maker.Int(1, 4);
    const int64_t c = Pick(maker, kChannels);
    const DataType type = static_cast<DataType>(maker.Int(1, 5));
    Graph graph = StartBits(maker, type, {kBatch, h, w, c}, 2);
    GraphMaker::Add(graph, "Concat", "a", InputNames(graph),
                    {{"axis", maker.Int(1, 3)}});
    GraphMaker::Add(
        graph, "Transpose", "b", {"a"},
        {{"perm", maker.Int(0, 1) == 0 ? Ints{0, 3, 1, 2} : Ints{0, 2, 1, 3}}});
    GraphMaker::Add(graph, "Reshape", "d", {"b"},
                    {{"shape", Ints{0, maker.Int(0, 1) == 0 ? 1 : 2, -1}}});
    if (type == DataType::kFloat32) {
      GraphMaker::Add(graph, "Pad", "p", {"d"},
                      {{"pads", Ints{0, 1, 2, 0, 0, 3}}, {"value", 0.5f}});
    }
    GraphMaker::Add(graph, "Flatten", "y", {graph.outputs[0].name});
    return Case{graph, {}};
  });
}

}  // namespace
}  // namespace bqengine
