// What --method and a node's `training` make of an architecture.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "bqengine/model.h"
#include "tests/support/graph_maker.h"
#include "train/architecture/method.h"

namespace bqengine::train {
namespace {

using bqengine::testing::GraphMaker;
using bqtrain::ActivationMethod;
using bqtrain::Quantization;
using bqtrain::WeightMethod;
using Training = std::map<std::string, Attribute>;

Quantization Method(const std::string& name, int64_t weight_bases = 1,
                    int64_t activation_bases = 1) {
  auto method = bqtrain::QuantizationOf(name);
  EXPECT_TRUE(method.ok()) << method.status().message();
  method->weight_bases = weight_bases;
  method->activation_bases = activation_bases;
  return *method;
}

Constant Floats(Shape shape) {
  return Constant::Declare({DataType::kFloat32, std::move(shape)});
}

void AddConv(Graph& graph, const std::string& name, const std::string& input,
             int64_t in, int64_t out) {
  GraphMaker::Add(graph, "Conv", name, {input},
                  {{"kernel_shape", std::vector<int64_t>{3, 3}},
                   {"pads", std::vector<int64_t>{1, 1, 1, 1}}},
                  {{"weight", Floats({out, 3, 3, in})}});
}

void AddPool(Graph& graph, const std::string& name, const std::string& input) {
  GraphMaker::Add(graph, "MaxPool", name, {input},
                  {{"kernel_shape", std::vector<int64_t>{2, 2}},
                   {"strides", std::vector<int64_t>{2, 2}}});
}

void AddDense(Graph& graph, const std::string& name, const std::string& input,
              int64_t in, int64_t out) {
  GraphMaker::Add(graph, "Gemm", name, {input}, {},
                  {{"weight", Floats({out, in})}});
}

// 8x8x3: conv1, Relu, conv2, Relu, MaxPool, Flatten, fc, Relu, logits.
Graph SmallNetwork() {
  Graph graph = GraphMaker(0).Start({kBatch, 8, 8, 3});
  AddConv(graph, "conv1", "x", 3, 16);
  GraphMaker::Add(graph, "Relu", "relu1", {"conv1"});
  AddConv(graph, "conv2", "relu1", 16, 16);
  GraphMaker::Add(graph, "Relu", "relu2", {"conv2"});
  AddPool(graph, "pool2", "relu2");
  GraphMaker::Add(graph, "Flatten", "flat", {"pool2"});
  AddDense(graph, "fc", "flat", 4 * 4 * 16, 32);
  GraphMaker::Add(graph, "Relu", "relu3", {"fc"});
  AddDense(graph, "logits", "relu3", 32, 10);
  return graph;
}

Node& NodeOf(Graph& graph, const std::string& name) {
  return *std::find_if(graph.nodes.begin(), graph.nodes.end(),
                       [&](const Node& node) { return node.name == name; });
}

Graph Trained(const std::string& node, Training training) {
  Graph graph = SmallNetwork();
  NodeOf(graph, node).training = std::move(training);
  return graph;
}

// ApplyMethod, which must work.
Plan Applied(Graph graph, const Quantization& method) {
  auto plan = ApplyMethod(std::move(graph), method);
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  if (!plan.ok()) return {};
  EXPECT_TRUE(InferShapes(plan->graph).ok())
      << InferShapes(plan->graph).status().message();
  return *std::move(plan);
}

void ExpectError(const Result<Plan>& plan, const std::string& message) {
  ASSERT_FALSE(plan.ok()) << message;
  EXPECT_EQ(plan.status().code(), StatusCode::kInvalidModel);
  EXPECT_EQ(plan.status().message(), message);
}

std::vector<std::string> Names(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.push_back(node.name);
  return names;
}

// ---------------------------------------------------------- which layers, what

TEST(Method, FirstAndLastLayerStayFloat) {
  for (const std::string& name : bqtrain::MethodNames()) {
    SCOPED_TRACE(name);
    const Plan plan = Applied(SmallNetwork(), Method(name));
    ASSERT_EQ(plan.layers.size(), 4u);
    EXPECT_EQ(plan.layers.at("conv1"), Quantization());
    EXPECT_EQ(plan.layers.at("conv2"), Method(name));
    EXPECT_EQ(plan.layers.at("fc"), Method(name));
    EXPECT_EQ(plan.layers.at("logits"), Quantization());
  }
}

TEST(Method, FirstAndLastCountInOrderOfExecution) {
  Graph graph = SmallNetwork();
  std::reverse(graph.nodes.begin(), graph.nodes.end());
  const Plan plan = Applied(graph, Method("bnn"));
  EXPECT_EQ(plan.layers, Applied(SmallNetwork(), Method("bnn")).layers);
  EXPECT_EQ(Names(plan.graph),
            Names(Applied(SmallNetwork(), Method("bnn")).graph));
}

// Pixels keep their values, but the weights that meet them are binary.
TEST(Method, QuantizedFirstLayerKeepsItsActivations) {
  const Plan plan = Applied(Trained("conv1", {{"quantize", int64_t{1}}}),
                            Method("abcnet", 3, 5));
  Quantization first = Method("abcnet", 3, 1);
  first.activations = ActivationMethod::kFloat;
  EXPECT_EQ(plan.layers.at("conv1"), first);
  EXPECT_EQ(plan.layers.at("conv2"), Method("abcnet", 3, 5));
}

TEST(Method, FlattenedPixelsArePixels) {
  Graph graph = GraphMaker(0).Start({kBatch, 4, 4, 1});
  GraphMaker::Add(graph, "Flatten", "flat", {"x"});
  AddDense(graph, "fc", "flat", 16, 10);
  graph.nodes[1].training = {{"quantize", int64_t{1}}};
  const Plan plan = Applied(graph, Method("bnn"));
  EXPECT_EQ(plan.layers.at("fc").weights, WeightMethod::kBinaryConnect);
  EXPECT_EQ(plan.layers.at("fc").activations, ActivationMethod::kFloat);
}

TEST(Method, LayersCanBeLeftOutAndTakenIn) {
  Graph graph = Trained("fc", {{"quantize", int64_t{0}}});
  NodeOf(graph, "logits").training = {{"quantize", int64_t{1}}};
  const Plan plan = Applied(graph, Method("xnor"));
  EXPECT_EQ(plan.layers.at("conv2"), Method("xnor"));
  EXPECT_EQ(plan.layers.at("fc"), Quantization());
  EXPECT_EQ(plan.layers.at("logits"), Method("xnor"));
}

TEST(Method, KeysReplacePartsOfTheMethod) {
  const Plan plan =
      Applied(Trained("conv2", {{"weights", std::string("abcnet")},
                                {"activations", std::string("abcnet")},
                                {"weight_bases", int64_t{4}},
                                {"activation_bases", int64_t{2}},
                                {"alpha", std::string("trained")},
                                {"shifts", std::string("fixed")}}),
              Method("bnn"));
  Quantization expected = Method("abcnet", 4, 2);
  expected.trained_alpha = true;
  expected.trained_shifts = false;
  EXPECT_EQ(plan.layers.at("conv2"), expected);
  EXPECT_EQ(plan.layers.at("fc"), Method("bnn"));
  for (const Node& node : plan.graph.nodes) EXPECT_TRUE(node.training.empty());
}

TEST(Method, BasesGoWithTheirHalf) {
  const Plan plan =
      Applied(Trained("conv2", {{"activations", std::string("sign")}}),
              Method("abcnet", 3, 5));
  EXPECT_EQ(plan.layers.at("conv2").weight_bases, 3);
  EXPECT_EQ(plan.layers.at("conv2").activation_bases, 1);
}

TEST(Method, ThresholdOfALayer) {
  const Plan plan =
      Applied(Trained("fc", {{"threshold", 0.25f}}), Method("unipolar"));
  EXPECT_EQ(plan.layers.at("conv2").threshold, 0);
  EXPECT_EQ(plan.layers.at("fc").threshold, 0.25f);
}

TEST(Method, AlphaAndShiftsOfTheMethodReachTheLayers) {
  Quantization method = Method("abcnet", 2, 2);
  method.trained_alpha = true;
  method.trained_shifts = false;
  const Plan plan = Applied(Trained("fc", {{"alpha", std::string("mean")},
                                           {"shifts", std::string("trained")}}),
                            method);
  EXPECT_EQ(plan.layers.at("conv2"), method);
  EXPECT_EQ(plan.layers.at("fc"), Method("abcnet", 2, 2));
}

// ----------------------------------------------------------------------- Relu

TEST(Method, TakesReluFromBehindPoolAndFlatten) {
  const Plan plan = Applied(SmallNetwork(), Method("bnn"));
  // relu3 stands before a float layer.
  EXPECT_EQ(Names(plan.graph),
            (std::vector<std::string>{"conv1", "conv2", "pool2", "flat", "fc",
                                      "relu3", "logits"}));
  EXPECT_EQ(plan.graph.nodes[1].inputs[0], "conv1");
  EXPECT_EQ(plan.graph.nodes[2].inputs[0], "conv2");
}

TEST(Method, FloatActivationsKeepTheirRelu) {
  for (const char* name :
       {"float", "binaryconnect", "binaryconnect-stochastic", "bwn"}) {
    EXPECT_EQ(Names(Applied(SmallNetwork(), Method(name)).graph),
              Names(SmallNetwork()));
  }
}

TEST(Method, TakesOneReluOfTwoLayersOnce) {
  Graph graph = GraphMaker(0).Start({kBatch, 8, 8, 16});
  AddConv(graph, "stem", "x", 16, 16);
  GraphMaker::Add(graph, "BatchNormalization", "bn", {"stem"}, {},
                  {{"scale", Floats({16})},
                   {"bias", Floats({16})},
                   {"mean", Floats({16})},
                   {"var", Floats({16})}});
  GraphMaker::Add(graph, "Relu", "relu", {"bn"});
  AddConv(graph, "conv", "relu", 16, 16);
  GraphMaker::Add(graph, "Relu", "last_relu", {"conv"});
  AddConv(graph, "last", "last_relu", 16, 10);
  const Plan plan = Applied(graph, Method("bnn"));
  EXPECT_EQ(Names(plan.graph), (std::vector<std::string>{"stem", "bn", "conv",
                                                         "last_relu", "last"}));
  EXPECT_EQ(plan.graph.nodes[2].inputs[0], "bn");
}

TEST(Method, ReluThatFeedsOthersIsAnError) {
  Graph graph = GraphMaker(0).Start({kBatch, 8, 8, 16});
  AddConv(graph, "stem", "x", 16, 16);
  GraphMaker::Add(graph, "Relu", "relu", {"stem"});
  AddConv(graph, "conv", "relu", 16, 16);
  GraphMaker::Add(graph, "Add", "sum", {"conv", "relu"});
  AddConv(graph, "last", "sum", 16, 10);
  ExpectError(ApplyMethod(graph, Method("bnn")),
              "node 'relu' (/nodes/1): hides the signs of the activations of "
              "'conv', and cannot be left out, since its output feeds other "
              "nodes too");
  Applied(graph, Method("bwn"));  // whose activations are float
}

// The pool's output, not the Relu's, is what both take.
TEST(Method, ReluBehindASharedPoolIsAnError) {
  Graph graph = GraphMaker(0).Start({kBatch, 8, 8, 16});
  AddConv(graph, "stem", "x", 16, 16);
  GraphMaker::Add(graph, "Relu", "relu", {"stem"});
  AddPool(graph, "pool", "relu");
  AddConv(graph, "conv", "pool", 16, 16);
  GraphMaker::Add(graph, "Add", "sum", {"conv", "pool"});
  AddConv(graph, "last", "sum", 16, 10);
  const auto plan = ApplyMethod(graph, Method("bnn"));
  ASSERT_FALSE(plan.ok());
  EXPECT_TRUE(plan.status().message().starts_with("node 'relu' (/nodes/1): "))
      << plan.status().message();
}

// A shortcut around the layer, from before the Relu, is none of its business.
TEST(Method, ReluGoesBesideAShortcut) {
  Graph graph = GraphMaker(0).Start({kBatch, 8, 8, 16});
  AddConv(graph, "stem", "x", 16, 16);
  GraphMaker::Add(graph, "Relu", "relu", {"stem"});
  AddConv(graph, "conv", "relu", 16, 16);
  GraphMaker::Add(graph, "Add", "sum", {"conv", "stem"});
  AddConv(graph, "last", "sum", 16, 10);
  EXPECT_EQ(Names(Applied(graph, Method("bnn")).graph),
            (std::vector<std::string>{"stem", "conv", "sum", "last"}));
}

// --------------------------------------------------------------------- errors

TEST(Method, ErrorsNameNodeAndKey) {
  struct Case {
    Training training;
    const char* path;
    const char* what;
  };
  const Case cases[] = {
      {{{"quantise", int64_t{1}}}, "quantise", "bq-train knows no such key"},
      {{{"quantize", int64_t{2}}}, "quantize", "must be 0 or 1"},
      {{{"quantize", std::string("yes")}}, "quantize", "has the wrong type"},
      {{{"weights", std::string("bnn")}},
       "weights",
       "unknown method for weights 'bnn': there are float, binaryconnect, "
       "binaryconnect-stochastic, bwn, abcnet, unipolar"},
      {{{"weights", int64_t{1}}}, "weights", "has the wrong type"},
      {{{"activations", std::string("relu")}},
       "activations",
       "unknown method for activations 'relu': there are float, sign, abcnet, "
       "unipolar"},
      {{{"alpha", std::string("median")}},
       "alpha",
       "must be \"mean\" or \"trained\""},
      {{{"shifts", std::string("free")}},
       "shifts",
       "must be \"fixed\" or \"trained\""},
      {{{"threshold", std::string("0")}}, "threshold", "has the wrong type"},
  };
  for (const Case& c : cases) {
    ExpectError(
        ApplyMethod(Trained("fc", c.training), Method("bnn")),
        std::string("node 'fc' (/nodes/6/training/") + c.path + "): " + c.what);
  }
}

TEST(Method, CombinationsThatMakeNoSenseNameTheNode) {
  struct Case {
    const char* method;
    Training training;
    const char* what;
  };
  const Case cases[] = {
      {"bnn",
       {{"weight_bases", int64_t{2}}},
       "weight bases above 1 are for abcnet only"},
      {"bnn",
       {{"activation_bases", int64_t{2}}},
       "activation bases above 1 are for abcnet only"},
      {"abcnet",
       {{"weight_bases", int64_t{0}}},
       "weight bases must be 1 to 64, not 0"},
      {"abcnet",
       {{"activation_bases", int64_t{65}}},
       "activation bases must be 1 to 64, not 65"},
      {"bnn",
       {{"weights", std::string("float")}},
       "binary activations need binary weights"},
      {"unipolar",
       {{"activations", std::string("abcnet")}},
       "abcnet activations do not go with unipolar weights"},
      {"unipolar",
       {{"threshold", std::numeric_limits<float>::infinity()}},
       "the threshold is not finite"},
  };
  for (const Case& c : cases) {
    ExpectError(ApplyMethod(Trained("fc", c.training), Method(c.method)),
                std::string("node 'fc' (/nodes/6/training): ") + c.what);
  }
}

// Paths count nodes as the file does, whatever the order of execution.
TEST(Method, PathsAreThoseOfTheFile) {
  Graph graph = Trained("fc", {{"quantize", int64_t{7}}});
  std::reverse(graph.nodes.begin(), graph.nodes.end());
  ExpectError(ApplyMethod(graph, Method("bnn")),
              "node 'fc' (/nodes/2/training/quantize): must be 0 or 1");
}

TEST(Method, TrainingIsForLayers) {
  ExpectError(
      ApplyMethod(Trained("relu1", {{"quantize", int64_t{1}}}), Method("bnn")),
      "node 'relu1' (/nodes/1/training): is for Conv and Gemm, not for Relu");
}

TEST(Method, NeedsALayer) {
  Graph graph = GraphMaker(0).Start({kBatch, 8});
  GraphMaker::Add(graph, "Relu", "relu", {"x"});
  ExpectError(ApplyMethod(graph, Method("bnn")),
              "there is no Conv and no Gemm to train");
}

TEST(Method, OfABrokenArchitectureIsItsError) {
  Graph graph = SmallNetwork();
  NodeOf(graph, "fc").inputs[0] = "nothing";
  const auto plan = ApplyMethod(graph, Method("bnn"));
  ASSERT_FALSE(plan.ok());
  EXPECT_NE(plan.status().message().find("nothing makes the tensor 'nothing'"),
            std::string::npos)
      << plan.status().message();
}

// ------------------------------------------------------------------ all of
// them

TEST(Method, ShippedArchitecturesTakeEveryMethod) {
  for (const char* name : {"mlp-3x1024", "lenet", "vgg", "bireal"}) {
    const auto graph =
        ReadGraph(BQE_ARCHITECTURES "/" + std::string(name) + ".json");
    ASSERT_TRUE(graph.ok()) << graph.status().message();
    for (const std::string& method : bqtrain::MethodNames()) {
      SCOPED_TRACE(std::string(name) + ", " + method);
      const Plan plan = Applied(*graph, Method(method));
      int quantized = 0;
      for (const auto& [layer, q] : plan.layers) quantized += !q.is_float();
      EXPECT_EQ(quantized > 0, method != "float");
    }
  }
}

}  // namespace
}  // namespace bqengine::train
