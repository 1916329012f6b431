// What WriteGraph writes: the same graph again, and the same bytes.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <ostream>
#include <random>

#include "bqengine/model.h"
#include "format_test_util.h"

namespace bqengine {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// A model whose only constant is a float `value` per channel of a 1-pixel
// image.
Graph GraphWithFloats(std::vector<float> values) {
  const auto channels = static_cast<int64_t>(values.size());
  Graph graph;
  graph.inputs.push_back(
      {"x", {DataType::kFloat32, {kBatch, 1, 1, channels}}, {}, {}});
  graph.outputs.push_back({"y", {}});
  Node add = MakeNode("add", "Add", "x", "y");
  add.constants = {{"value", "values"}};
  graph.nodes.push_back(add);
  graph.constants["values"] = Constant::Floats({channels}, std::move(values));
  return graph;
}

Graph WriteAndRead(const Graph& graph, const std::string& path) {
  const Status written = WriteGraph(graph, path);
  EXPECT_TRUE(written.ok()) << written.message();
  auto read = ReadGraph(path);
  EXPECT_TRUE(read.ok()) << read.status().message();
  return read.ok() ? *read : Graph();
}

TEST(RoundTrip, GivesTheSameGraph) {
  ScratchFolder folder;
  ExpectSameGraph(SampleGraph(),
                  WriteAndRead(SampleGraph(), folder.File("model.json")));
  EXPECT_EQ(folder.Names(),
            (std::vector<std::string>{"model.json", "model.safetensors"}));
}

TEST(RoundTrip, GivesTheSameBytes) {
  ScratchFolder a, b;
  const Graph read = WriteAndRead(SampleGraph(), a.File("model.json"));
  ASSERT_TRUE(WriteGraph(read, b.File("model.json")).ok());
  EXPECT_EQ(ReadBytes(a.File("model.json")), ReadBytes(b.File("model.json")));
  EXPECT_EQ(ReadBytes(a.File("model.safetensors")),
            ReadBytes(b.File("model.safetensors")));
}

TEST(RoundTrip, IntegerInputs) {
  for (DataType type : {DataType::kInt8, DataType::kUint8}) {
    SCOPED_TRACE(DataTypeName(type));
    ScratchFolder folder;
    Graph graph;
    graph.inputs.push_back(
        {"x", {type, {kBatch, 3, 2, 4}}, Layout::kNCHW, Preprocess()});
    graph.outputs.push_back({"y", {}});
    graph.nodes.push_back(MakeNode("flat", "Flatten", "x", "z"));
    graph.nodes.push_back(MakeNode("sign", "Binarize", "z", "y"));
    ExpectSameGraph(graph, WriteAndRead(graph, folder.File("model.json")));
  }
}

// Guards the format against changes by accident: files of earlier versions must
// stay readable, and the JSON Schema is tested with this file. The hash in it
// stands for the bytes of the weights file.
TEST(RoundTrip, GivesTheBytesOfEarlierVersions) {
  ScratchFolder folder;
  ASSERT_TRUE(WriteGraph(SampleGraph(), folder.File("sample.json")).ok());
  EXPECT_EQ(ReadBytes(folder.File("sample.json")),
            ReadBytes(BQE_TEST_DATA "/format/sample.json"));
}

TEST(RoundTrip, KeepsStepsAndTwoOutputs) {
  ScratchFolder folder;
  Graph graph = SampleGraph();
  Node& product = graph.nodes.at(4);
  ASSERT_EQ(product.op, "BinaryGemm");
  product.attributes["post"] = std::string("Clip,Relu,Mul");
  product.attributes["output_type"] = std::string("bipolar");
  product.constants["post0"] = "limits";
  product.constants["post2"] = product.constants.at("mul");
  product.outputs.push_back("packed");
  graph.constants["limits"] = Constant::Floats({2}, {-kInf, 6.5f});
  ExpectSameGraph(graph, WriteAndRead(graph, folder.File("model.json")));
}

TEST(RoundTrip, KeepsAnArchitectureWithoutWeights) {
  ScratchFolder folder;
  Graph graph = SampleGraph();
  for (auto& [name, constant] : graph.constants) {
    constant = Constant::Declare(constant.info());
  }
  ExpectSameGraph(graph, WriteAndRead(graph, folder.File("net.json")));
  EXPECT_EQ(folder.Names(), std::vector<std::string>{"net.json"});
}

TEST(RoundTrip, KeepsAnArchitectureWithSomeLargeConstants) {
  ScratchFolder folder;
  Graph graph = SampleGraph();
  Constant& weight = graph.constants["fc1.weight"];
  weight = Constant::Declare(weight.info());
  ExpectSameGraph(graph, WriteAndRead(graph, folder.File("net.json")));
  EXPECT_EQ(folder.Names(), std::vector<std::string>{"net.json"});
}

// The layers of an architecture say how they are to be trained.
Graph TrainedSample() {
  Graph graph = SampleGraph();
  Constant& weight = graph.constants["fc1.weight"];
  weight = Constant::Declare(weight.info());
  graph.nodes[1].training = {{"quantize", int64_t{1}},
                             {"weights", std::string("abcnet")}};
  graph.nodes[3].training = {{"rate", 1.0f},
                             {"bases", std::vector<int64_t>{3, 5}},
                             {"shifts", std::vector<float>{-1.0f, kInf}}};
  return graph;
}

TEST(RoundTrip, KeepsHowToTrain) {
  ScratchFolder a, b;
  const Graph graph = TrainedSample();
  const Graph read = WriteAndRead(graph, a.File("net.json"));
  ExpectSameGraph(graph, read);
  ASSERT_TRUE(WriteGraph(read, b.File("net.json")).ok());
  EXPECT_EQ(ReadBytes(a.File("net.json")), ReadBytes(b.File("net.json")));
}

TEST(RoundTrip, HowToTrainStandsBehindTheAttributes) {
  ScratchFolder folder;
  ASSERT_TRUE(WriteGraph(TrainedSample(), folder.File("net.json")).ok());
  const std::string text = ReadBytes(folder.File("net.json"));
  const size_t conv = text.find("\"name\": \"conv1\"");
  const size_t attributes = text.find("\"attributes\"", conv);
  const size_t training = text.find(
      "\"training\": { \"quantize\": 1, \"weights\": \"abcnet\" }", conv);
  const size_t next = text.find("\"name\": \"flat\"");
  EXPECT_LT(conv, attributes);
  EXPECT_LT(attributes, training);
  EXPECT_LT(training, next);
}

TEST(RoundTrip, KeepsEveryFloatInline) {
  const uint32_t seed = 20240611;
  std::mt19937 random(seed);
  ScratchFolder folder;
  std::vector<float> values = {0.0f,
                               -0.0f,
                               1.0f,
                               16777216.0f,
                               1e-45f,
                               kInf,
                               -kInf,
                               std::numeric_limits<float>::max(),
                               std::numeric_limits<float>::min()};
  for (int round = 0; round < 50; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", round " +
                 std::to_string(round));
    const Graph graph = GraphWithFloats(values);
    ExpectSameGraph(graph, WriteAndRead(graph, folder.File("m.json")));
    EXPECT_EQ(folder.Names(), std::vector<std::string>{"m.json"});
    values.clear();
    while (values.size() < 16) {
      const auto value = std::bit_cast<float>(uint32_t(random()));
      if (!std::isnan(value)) values.push_back(value);
    }
  }
}

// Odd sizes put some floats at addresses that a Constant must not have.
TEST(RoundTrip, AlignsWhatItReads) {
  ScratchFolder folder;
  Graph graph = GraphWithFloats(Ramp(17));
  for (const char* name : {"b", "c"}) {
    graph.constants[name] = Constant::Floats({19}, Ramp(19));
  }
  const Graph read = WriteAndRead(graph, folder.File("m.json"));
  ExpectSameGraph(graph, read);
  for (const auto& [name, constant] : read.constants) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(constant.data()) % 8, 0u) << name;
  }
}

TEST(RoundTrip, OutlivesTheFiles) {
  Graph read;
  {
    ScratchFolder folder;
    read = WriteAndRead(SampleGraph(), folder.File("model.json"));
  }
  ExpectSameGraph(SampleGraph(), read);
}

TEST(Write, ReplacesTheFilesItWasReadFrom) {
  ScratchFolder folder;
  Graph graph = WriteAndRead(SampleGraph(), folder.File("model.json"));
  graph.labels = {"x", "y"};
  ExpectSameGraph(graph, WriteAndRead(graph, folder.File("model.json")));
}

// ---------------------------------------------------------- refused beforehand

struct RefusedCase {
  const char* name;
  void (*change)(Graph*);
  const char* expected;
};

// How GoogleTest shows a case.
void PrintTo(const RefusedCase& test_case, std::ostream* out) {
  *out << test_case.name;
}

class Refused : public testing::TestWithParam<RefusedCase> {};

TEST_P(Refused, AndWritesNothing) {
  ScratchFolder folder;
  Graph graph = SampleGraph();
  GetParam().change(&graph);
  const Status status = WriteGraph(graph, folder.File("m.json"));
  EXPECT_EQ(status.code(), StatusCode::kInvalidModel);
  EXPECT_NE(status.message().find(folder.File("m.json")), std::string::npos)
      << status.message();
  EXPECT_NE(status.message().find(GetParam().expected), std::string::npos)
      << status.message();
  EXPECT_TRUE(folder.Names().empty());
}

const RefusedCase kRefused[] = {
    {"NotUtf8", [](Graph* g) { g->labels[0] = "\xFF"; }, "UTF-8"},
    {"LineBreakInName", [](Graph* g) { g->nodes[1].name = "conv\n1"; },
     "control character"},
    {"EmptyConstantName",
     [](Graph* g) { g->constants[""] = g->constants["fc2.mul"]; },
     "name is empty"},
    {"ReservedConstantName",
     [](Graph* g) { g->constants["__metadata__"] = g->constants["fc2.mul"]; },
     "reserved"},
    {"NaN",
     [](Graph* g) {
       g->constants["fc2.mul"] = Constant::Floats({1}, {std::nanf("")});
     },
     "NaN"},
    {"NaNAttribute",
     [](Graph* g) { g->nodes[5].attributes["min"] = std::nanf(""); },
     "'clip', attribute 'min': is NaN"},
    {"PaddingBits",
     [](Graph* g) {
       g->constants["fc2.weight"] =
           Constant::Bits(DataType::kBipolar, {1, 2, 2}, {1, 4});
     },
     "bits beyond its end"},
    {"TooFewBytes",
     [](Graph* g) {
       static const uint64_t kWord = 0;
       g->constants["fc2.weight"] = Constant::View(
           {DataType::kBipolar, {1, 2, 2}}, &kWord, sizeof(kWord), nullptr);
     },
     "/constants/fc2.weight: has 8 bytes"},
    {"TooManyNodes", [](Graph* g) { g->nodes.resize(65537, g->nodes.back()); },
     "/nodes: has 65537 nodes"},
    {"TrainingOfAWholeModel",
     [](Graph* g) { g->nodes[5].training["quantize"] = int64_t{0}; },
     "node 'clip' (/nodes/5/training)"},
    {"NaNInTraining",
     [](Graph* g) { g->nodes[5].training["rate"] = std::nanf(""); },
     "'clip', training 'rate': is NaN"},
    {"EmptyNameInTraining",
     [](Graph* g) { g->nodes[5].training[""] = int64_t{0}; },
     "'clip', training: the name is empty"},
    {"UnknownOp", [](Graph* g) { g->nodes[0].op = "Guess"; }, "Guess"},
};
INSTANTIATE_TEST_SUITE_P(Write, Refused, testing::ValuesIn(kRefused),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace bqengine
