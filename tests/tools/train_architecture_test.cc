// The shipped architectures, and what --width makes of them and of others.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "bqengine/model.h"
#include "common_test_util.h"
#include "tests/support/graph_maker.h"
#include "train/architecture/width.h"

namespace bqengine::train {
namespace {

using bqengine::testing::GraphMaker;

constexpr const char* kNames[] = {"mlp-3x1024", "lenet", "vgg", "bireal"};

std::string FileOf(const std::string& name) {
  return BQE_ARCHITECTURES "/" + name + ".json";
}

Graph Shipped(const std::string& name) {
  auto graph = ReadGraph(FileOf(name));
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  return graph.ok() ? *std::move(graph) : Graph();
}

class Architectures : public tools::FolderTest,
                      public ::testing::WithParamInterface<const char*> {};

TEST_P(Architectures, AreAsTheWriterWritesThem) {
  const Graph graph = Shipped(GetParam());
  const std::string copy = Path("copy.json");
  const Status written = WriteGraph(graph, copy);
  ASSERT_TRUE(written.ok()) << written.message();
  EXPECT_EQ(Read(FileOf(GetParam())), Read(copy));
}

TEST_P(Architectures, HoldFloatLayersWithoutData) {
  const Graph graph = Shipped(GetParam());
  EXPECT_EQ(graph.name, GetParam());
  const std::set<std::string> known = {
      "Add",     "AveragePool", "BatchNormalization", "Conv",
      "Flatten", "Gemm",        "GlobalAveragePool",  "MaxPool",
      "PRelu",   "Relu"};
  for (const Node& node : graph.nodes) EXPECT_TRUE(known.contains(node.op));
  for (const auto& [name, constant] : graph.constants) {
    EXPECT_EQ(constant.data(), nullptr) << name;
  }
}

// What a user gets who runs the file in place of a model.
TEST_P(Architectures, AreNoModels) {
  const auto model = Model::Load(FileOf(GetParam()));
  ASSERT_FALSE(model.ok());
  tools::ExpectFileError(model.status(), StatusCode::kInvalidModel,
                         FileOf(GetParam()), "architecture");
}

TEST_P(Architectures, HaveTenOutputsAtAnyWidth) {
  const Graph graph = Shipped(GetParam());
  for (double factor : {0.001, 0.3, 0.5, 1.0, 1.7, 2.0}) {
    SCOPED_TRACE(factor);
    const auto scaled = ScaleWidth(graph, factor);
    ASSERT_TRUE(scaled.ok()) << scaled.status().message();
    const auto tensors = InferShapes(*scaled);
    ASSERT_TRUE(tensors.ok()) << tensors.status().message();
    EXPECT_EQ(tensors->at(scaled->outputs[0].name).shape, (Shape{kBatch, 10}));
  }
}

TEST_P(Architectures, StayAtAWidthOfOne) {
  const auto scaled = ScaleWidth(Shipped(GetParam()), 1);
  ASSERT_TRUE(scaled.ok()) << scaled.status().message();
  ASSERT_TRUE(WriteGraph(*scaled, Path("copy.json")).ok());
  EXPECT_EQ(Read(FileOf(GetParam())), Read(Path("copy.json")));
}

INSTANTIATE_TEST_SUITE_P(Shipped, Architectures, ::testing::ValuesIn(kNames),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// ----------------------------------------------------------------------- width

// ScaleWidth, which must work.
Graph Scaled(const Graph& graph, double factor) {
  auto scaled = ScaleWidth(graph, factor);
  EXPECT_TRUE(scaled.ok()) << scaled.status().message();
  return scaled.ok() ? *std::move(scaled) : Graph();
}

Shape ShapeOf(const Graph& graph, const std::string& constant) {
  const auto found = graph.constants.find(constant);
  return found == graph.constants.end() ? Shape() : found->second.shape();
}

Constant Floats(Shape shape) {
  return Constant::Declare({DataType::kFloat32, std::move(shape)});
}

std::vector<int64_t> Window(int64_t size) { return {size, size}; }

void AddConv(Graph& graph, const std::string& name, const std::string& input,
             Shape weight, int64_t group = 1) {
  GraphMaker::Add(graph, "Conv", name, {input},
                  {{"kernel_shape", Window(weight[1])}, {"group", group}},
                  {{"weight", Floats(weight)}, {"bias", Floats({weight[0]})}});
}

// 6x6x3: conv1 of 8 channels and conv2 of 16, both 1x1.
Graph TwoConvolutions() {
  Graph graph = GraphMaker(0).Start({kBatch, 6, 6, 3});
  AddConv(graph, "conv1", "x", {8, 1, 1, 3});
  AddConv(graph, "conv2", "conv1", {16, 1, 1, 8});
  return graph;
}

void AddClasses(Graph& graph, const std::string& input, int64_t features) {
  GraphMaker::Add(graph, "Flatten", "flat", {input});
  GraphMaker::Add(graph, "Gemm", "classes", {"flat"}, {},
                  {{"weight", Floats({10, features})}});
}

void ExpectError(const Result<Graph>& result, StatusCode code,
                 const std::string& what) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), code);
  EXPECT_NE(result.status().message().find(what), std::string::npos)
      << result.status().message();
}

TEST(Width, HalvesVgg) {
  const Graph half = Scaled(Shipped("vgg"), 0.5);
  EXPECT_EQ(ShapeOf(half, "conv1.weight"), (Shape{64, 3, 3, 3}));
  EXPECT_EQ(ShapeOf(half, "conv6.weight"), (Shape{256, 3, 3, 256}));
  EXPECT_EQ(ShapeOf(half, "bn6.var"), (Shape{256}));
  EXPECT_EQ(ShapeOf(half, "fc7.weight"), (Shape{512, 4 * 4 * 256}));
  EXPECT_EQ(ShapeOf(half, "fc9.weight"), (Shape{10, 512}));
  EXPECT_EQ(ShapeOf(half, "logits.scale"), (Shape{10}));
}

TEST(Width, KeepsShortcutsTogether) {
  const Graph net =
      Scaled(Shipped("bireal"), 0.3);  // 9.6, 19.2 and 38.4 channels
  EXPECT_EQ(ShapeOf(net, "stem.conv.weight"), (Shape{10, 3, 3, 3}));
  EXPECT_EQ(ShapeOf(net, "block3.shortcut.conv.weight"), (Shape{19, 1, 1, 10}));
  EXPECT_EQ(ShapeOf(net, "block3.sign_shift.value"), (Shape{10}));
  EXPECT_EQ(ShapeOf(net, "block3.conv.weight"), (Shape{19, 3, 3, 10}));
  EXPECT_EQ(ShapeOf(net, "block6.prelu.slope"), (Shape{38}));
  EXPECT_EQ(ShapeOf(net, "logits.weight"), (Shape{10, 38}));
}

TEST(Width, KeepsHowToTrain) {
  const Graph net = Scaled(Shipped("mlp-3x1024"), 2);
  ASSERT_EQ(net.nodes[1].name, "fc1");
  EXPECT_EQ(net.nodes[1].training,
            (std::map<std::string, Attribute>{{"quantize", int64_t{1}}}));
}

TEST(Width, IsAtLeastOneChannel) {
  const Graph net = Scaled(TwoConvolutions(), 1e-9);
  EXPECT_EQ(ShapeOf(net, "conv1.weight"), (Shape{1, 1, 1, 3}));
  EXPECT_EQ(ShapeOf(net, "conv1.bias"), (Shape{1}));
  EXPECT_EQ(ShapeOf(net, "conv2.weight"), (Shape{16, 1, 1, 1}));
}

TEST(Width, DoesNotDependOnTheOrderOfNodes) {
  Graph graph = Shipped("bireal");
  const Graph expected = Scaled(graph, 0.5);
  std::reverse(graph.nodes.begin(), graph.nodes.end());
  const Graph net = Scaled(graph, 0.5);
  ASSERT_EQ(net.constants.size(), expected.constants.size());
  for (const auto& [name, constant] : expected.constants) {
    EXPECT_EQ(ShapeOf(net, name), constant.shape()) << name;
  }
}

TEST(Width, DepthwiseFollowsItsInput) {
  Graph graph = TwoConvolutions();
  AddConv(graph, "depthwise", "conv2", {32, 3, 3, 1}, 16);
  AddClasses(graph, "depthwise", 4 * 4 * 32);
  const Graph net = Scaled(graph, 0.25);
  EXPECT_EQ(ShapeOf(net, "depthwise.weight"), (Shape{8, 3, 3, 1}));
  EXPECT_EQ(ShapeOf(net, "depthwise.bias"), (Shape{8}));
  EXPECT_EQ(net.nodes[2].attributes.at("group"), Attribute(int64_t{4}));
  EXPECT_EQ(ShapeOf(net, "classes.weight"), (Shape{10, 4 * 4 * 8}));
}

TEST(Width, GroupsStay) {
  Graph graph = TwoConvolutions();
  AddConv(graph, "grouped", "conv2", {8, 3, 3, 4}, 4);
  AddClasses(graph, "grouped", 4 * 4 * 8);
  EXPECT_EQ(ShapeOf(Scaled(graph, 0.5), "grouped.weight"), (Shape{4, 3, 3, 2}));
  ExpectError(ScaleWidth(graph, 0.1), StatusCode::kInvalidModel,
              "node 'grouped' (/nodes/2/attributes/group): 4 does not divide");
}

// Both operands of the last sum are the outputs' channels.
TEST(Width, OutputsKeepTheirChannels) {
  Graph graph = TwoConvolutions();
  AddConv(graph, "conv3", "conv2", {16, 1, 1, 16});
  GraphMaker::Add(graph, "Add", "sum", {"conv3", "conv2"});
  AddConv(graph, "depthwise", "sum", {16, 3, 3, 1}, 16);
  const Graph net = Scaled(graph, 0.5);
  EXPECT_EQ(ShapeOf(net, "conv1.weight"), (Shape{4, 1, 1, 3}));
  EXPECT_EQ(ShapeOf(net, "conv2.weight"), (Shape{16, 1, 1, 4}));
  EXPECT_EQ(ShapeOf(net, "conv3.weight"), (Shape{16, 1, 1, 16}));
  EXPECT_EQ(ShapeOf(net, "depthwise.weight"), (Shape{16, 3, 3, 1}));
}

TEST(Width, OneValueForAllChannelsStays) {
  Graph graph = TwoConvolutions();
  GraphMaker::Add(graph, "PRelu", "prelu", {"conv2"}, {},
                  {{"slope", Floats({1})}});
  AddClasses(graph, "prelu", 6 * 6 * 16);
  EXPECT_EQ(ShapeOf(Scaled(graph, 0.5), "prelu.slope"), (Shape{1}));
}

TEST(Width, OfJoinedChannels) {
  Graph graph = TwoConvolutions();
  GraphMaker::Add(graph, "Concat", "both", {"conv1", "conv2"},
                  {{"axis", int64_t{3}}});
  AddClasses(graph, "both", 6 * 6 * 24);
  EXPECT_EQ(ShapeOf(Scaled(graph, 0.5), "classes.weight"),
            (Shape{10, 6 * 6 * 12}));
}

TEST(Width, AReshapeToFixedChannelsIsAnError) {
  Graph graph = TwoConvolutions();
  GraphMaker::Add(graph, "Reshape", "rows", {"conv2"},
                  {{"shape", std::vector<int64_t>{0, 36, 16}}});
  AddClasses(graph, "rows", 36 * 16);
  ExpectError(ScaleWidth(graph, 0.5), StatusCode::kInvalidModel,
              "node 'rows' (/nodes/2");
}

TEST(Width, OneConstantForTwoWidthsIsAnError) {
  Graph graph = TwoConvolutions();
  AddConv(graph, "conv3", "conv2", {16, 1, 1, 16});
  graph.nodes[2].constants["bias"] = "conv2.bias";
  AddClasses(graph, "conv3", 6 * 6 * 16);
  EXPECT_EQ(ShapeOf(Scaled(graph, 0.5), "conv2.bias"), (Shape{8}));
  graph.nodes[2].outputs[0] = "y";  // now an output, which keeps its 16
  graph.nodes.resize(3);
  graph.outputs = {{.name = "y"}};
  EXPECT_EQ(ShapeOf(Scaled(graph, 1), "conv2.bias"), (Shape{16}));
  ExpectError(ScaleWidth(graph, 0.5), StatusCode::kInvalidModel,
              "node 'conv2' (/nodes/1/constants/bias)");
}

TEST(Width, OfAConstantWithValuesIsAnError) {
  Graph graph = TwoConvolutions();
  AddClasses(graph, "conv2", 6 * 6 * 16);
  graph.constants["conv1.bias"] =
      Constant::Floats({8}, std::vector<float>(8, 0.0f));
  EXPECT_EQ(Scaled(graph, 1).constants.at("conv1.bias").floats().size(), 8u);
  ExpectError(ScaleWidth(graph, 2), StatusCode::kInvalidModel,
              "node 'conv1' (/nodes/0/constants/bias): has values");
}

TEST(Width, MustBeANumberAboveZero) {
  for (double factor : {0.0, -1.0, std::numeric_limits<double>::infinity(),
                        std::numeric_limits<double>::quiet_NaN()}) {
    ExpectError(ScaleWidth(TwoConvolutions(), factor),
                StatusCode::kInvalidArgument, "above 0");
  }
}

TEST(Width, BeyondTheLargestDimensionIsAnError) {
  for (double factor : {1e9, 1e300}) {
    ExpectError(ScaleWidth(TwoConvolutions(), factor),
                StatusCode::kInvalidModel, "conv1");
  }
}

TEST(Width, OfABrokenArchitectureIsItsError) {
  Graph graph = TwoConvolutions();
  graph.nodes[1].inputs[0] = "nothing";
  ExpectError(ScaleWidth(graph, 0.5), StatusCode::kInvalidModel,
              "nothing makes the tensor 'nothing'");
}

}  // namespace
}  // namespace bqengine::train
