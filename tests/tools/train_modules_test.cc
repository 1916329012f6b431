// Binary layers and networks of bqtrain in evaluation against bqengine running
// what they export. Where activations are bits, given the same bits, both must
// agree to the last bit; elsewhere within what sums of floats in another order
// may differ.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cfloat>
#include <cmath>
#include <limits>

#include "bqengine/quantize.h"
#include "bqtrain/network.h"
#include "tests/support/graph_maker.h"
#include "train_test_util.h"

namespace bqtrain {
namespace {

using bqengine::Attribute;
using bqengine::Constant;
using bqengine::DataType;
using bqengine::Graph;
using bqengine::Shape;
using bqengine::testing::GraphMaker;
using torch::Tensor;
using Ints = std::vector<int64_t>;
using Attributes = std::map<std::string, Attribute>;

Constant Floats(Shape shape) {
  return Constant::Declare({DataType::kFloat32, std::move(shape)});
}

std::shared_ptr<NetworkImpl> Make(const Graph& graph,
                                  std::map<std::string, Quantization> layers) {
  const auto network = NetworkImpl::Make(graph, layers);
  EXPECT_TRUE(network.ok()) << network.status().message();
  return network.ok() ? *network : nullptr;
}

Tensor Evaluate(NetworkImpl& network, const Tensor& x) {
  network.eval();
  const torch::NoGradGuard no_grad;
  return network.forward(x).contiguous();
}

Tensor RunExported(const NetworkImpl& network, const Tensor& x, bool optimize) {
  return RunGraph(network.Export(), x, optimize);
}

void ExpectExportedSameBits(NetworkImpl& network, const Tensor& x) {
  const Tensor y = Evaluate(network, x);
  ExpectSameBits(y, RunExported(network, x, true));
  ExpectSameBits(y, RunExported(network, x, false));
}

// ---------------------------------------------------------------- single
// layers

// All parts that go with each other.
std::vector<Quantization> AllQuantizations() {
  std::vector<Quantization> all;
  for (const char* weights :
       {"float", "binaryconnect", "binaryconnect-stochastic", "bwn", "abcnet",
        "unipolar"}) {
    for (const char* activations : {"float", "sign", "abcnet", "unipolar"}) {
      Quantization q;
      q.weights = *WeightMethodOf(weights);
      q.activations = *ActivationMethodOf(activations);
      if (!Check(q).ok()) continue;
      all.push_back(q);
      const bool many_w = q.weights == WeightMethod::kAbcNet;
      const bool many_a = q.activations == ActivationMethod::kAbcNet;
      for (const auto& [m, n] :
           {std::pair<int64_t, int64_t>{2, 2}, {3, 1}, {1, 4}, {5, 5}}) {
        if (!many_w && !many_a) break;
        q.weight_bases = many_w ? m : 1;
        q.activation_bases = many_a ? n : 1;
        all.push_back(q);
      }
      q.trained_alpha = true;
      q.threshold = 0.25f;
      all.push_back(q);
    }
  }
  return all;
}

std::string Describe(const Quantization& q) {
  return std::string(Name(q.weights)) + " " + std::to_string(q.weight_bases) +
         " x " + Name(q.activations) + " " +
         std::to_string(q.activation_bases) +
         (q.trained_alpha ? ", trained alpha" : "");
}

// Random values in place of those that a layer starts with.
void Shake(BinaryLayer& layer) {
  const torch::NoGradGuard no_grad;
  layer.weight.normal_(0, 0.5);
  for (Tensor* tensor : {&layer.bias, &layer.alpha, &layer.beta,
                         &layer.weight_shifts, &layer.activation_shifts}) {
    if (tensor->defined()) tensor->add_(torch::randn_like(*tensor) * 0.3);
  }
}

// Bounds of the differences by rounding, output by output: the network with
// absolute values, times the number of operations.
Tensor RoundingBound(const Graph& graph, const BinaryLayer& layer,
                     const Tensor& x) {
  const torch::NoGradGuard no_grad;
  const Quantization& q = layer.quantization();
  Tensor weights = layer.weight.abs();
  if (q.weights != WeightMethod::kFloat) {
    const BinaryLayer::Bases bases = layer.WeightBases();
    weights = bases.bits.abs();
    if (bases.alpha.defined()) {
      Ints shape = bases.alpha.sizes().vec();
      shape.resize(static_cast<size_t>(weights.dim()), 1);
      weights = weights * bases.alpha.abs().view(shape);
    }
    weights = weights.sum(0);
  }
  Tensor inputs = x.abs();
  if (q.activations != ActivationMethod::kFloat) {
    inputs = torch::ones_like(x);
    if (q.activations == ActivationMethod::kAbcNet) {
      inputs *= layer.beta.abs().sum();
    }
  }
  const auto plain = Make(graph, {});
  BinaryLayer& plain_layer = *plain->layers()[0].module;
  plain_layer.weight.copy_(weights);
  if (layer.bias.defined()) plain_layer.bias.copy_(layer.bias.abs());
  Tensor magnitude = Evaluate(*plain, inputs);
  if (q.weights == WeightMethod::kUnipolar) {
    magnitude = magnitude + layer.beta.abs();
  }
  const int64_t terms = layer.weight.numel() / layer.weight.size(0) +
                        q.weight_bases * q.activation_bases + 4;
  return magnitude * (2.0 * static_cast<double>(terms) * FLT_EPSILON);
}

void CheckLayer(const Graph& graph, const Quantization& q, Shape input) {
  SCOPED_TRACE(Describe(q));
  const auto network = Make(graph, {{"layer", q}});
  ASSERT_NE(network, nullptr);
  BinaryLayer& layer = *network->layers()[0].module;
  ASSERT_EQ(layer.quantization(), q);
  Shake(layer);
  input[0] = 3;
  Tensor x = torch::randn(input);
  x.flatten()[0] = 0;
  x.flatten()[1] = -0.0;
  x.flatten()[2] = 0.25;

  const Tensor y = Evaluate(*network, x);
  const Tensor bound = RoundingBound(graph, layer, x);
  if (q.activations == ActivationMethod::kFloat) {
    for (const bool optimize : {true, false}) {
      ExpectNear(y, RunExported(*network, x, optimize), bound);
    }
  } else {
    Tensor odd = x.clone();
    odd.flatten()[3] = std::numeric_limits<float>::quiet_NaN();
    odd.flatten()[4] = std::numeric_limits<float>::infinity();
    odd.flatten()[5] = -std::numeric_limits<float>::infinity();
    ExpectExportedSameBits(*network, x);
    ExpectExportedSameBits(*network, odd);
  }
  network->train();
  layer.set_draws_weights(false);
  ExpectNear(network->forward(x).detach(), y, bound);
}

class Modules : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(20261123); }
};

struct ConvCase {
  Shape input;  // H, W, C
  int64_t outputs;
  Ints kernel;
  Attributes attributes;
  bool bias;
};

Graph ConvGraph(const ConvCase& c) {
  Graph graph = GraphMaker(0).Start(
      {bqengine::kBatch, c.input[0], c.input[1], c.input[2]});
  Attributes attributes = c.attributes;
  attributes["kernel_shape"] = c.kernel;
  const auto group = attributes.find("group");
  const int64_t groups =
      group == attributes.end() ? 1 : std::get<int64_t>(group->second);
  std::map<std::string, Constant> constants = {
      {"weight",
       Floats({c.outputs, c.kernel[0], c.kernel[1], c.input[2] / groups})}};
  if (c.bias) constants["bias"] = Floats({c.outputs});
  GraphMaker::Add(graph, "Conv", "layer", {"x"}, attributes, constants);
  return graph;
}

TEST_F(Modules, Convolutions) {
  const ConvCase cases[] = {
      {{5, 6, 8}, 7, {3, 3}, {}, true},
      {{7, 5, 70},
       9,
       {3, 2},
       {{"pads", Ints{1, 0, 0, 2}}, {"strides", Ints{2, 1}}},
       false},
      {{9, 8, 6},
       8,
       {3, 3},
       {{"pads", Ints{2, 2, 2, 2}},
        {"dilations", Ints{2, 2}},
        {"group", int64_t{2}}},
       true},
      {{6, 6, 5},
       10,
       {2, 3},
       {{"pads", Ints{0, 1, 1, 0}},
        {"strides", Ints{1, 2}},
        {"dilations", Ints{1, 2}},
        {"group", int64_t{5}}},
       true},
      {{4, 4, 64}, 3, {1, 1}, {}, false},
  };
  int number = 0;
  for (const ConvCase& c : cases) {
    SCOPED_TRACE("case " + std::to_string(number++));
    const Graph graph = ConvGraph(c);
    for (const Quantization& q : AllQuantizations()) {
      CheckLayer(graph, q, graph.inputs[0].info.shape);
    }
  }
}

// Here LibTorch may choose Winograd's or Fourier's algorithm, if it is built
// with them; their sums of +-1 would not be exact.
TEST_F(Modules, LargeConvolutions) {
  const ConvCase cases[] = {
      {{12, 12, 64}, 64, {3, 3}, {{"pads", Ints{1, 1, 1, 1}}}, false},
      {{12, 12, 32}, 64, {5, 5}, {}, false},
  };
  for (const ConvCase& c : cases) {
    const Graph graph = ConvGraph(c);
    for (const Quantization& q :
         {Method("bnn"), Method("abcnet", 2, 2), Method("unipolar")}) {
      SCOPED_TRACE(Describe(q));
      const auto network = Make(graph, {{"layer", q}});
      ASSERT_NE(network, nullptr);
      ExpectExportedSameBits(*network, torch::randn({32, 12, 12, c.input[2]}));
    }
  }
}

TEST_F(Modules, DenseLayers) {
  for (const auto& [inputs, outputs, bias] :
       {std::tuple<int64_t, int64_t, bool>{70, 9, true}, {64, 10, false}}) {
    Graph graph = GraphMaker(0).Start({bqengine::kBatch, inputs});
    std::map<std::string, Constant> constants = {
        {"weight", Floats({outputs, inputs})}};
    if (bias) constants["bias"] = Floats({outputs});
    GraphMaker::Add(graph, "Gemm", "layer", {"x"}, {}, constants);
    for (const Quantization& q : AllQuantizations()) {
      CheckLayer(graph, q, {1, inputs});
    }
  }
}

// A dense layer takes the channels of each pixel.
TEST_F(Modules, DenseLayersOnImages) {
  Graph graph = GraphMaker(0).Start({bqengine::kBatch, 3, 4, 6});
  GraphMaker::Add(graph, "Gemm", "layer", {"x"}, {},
                  {{"weight", Floats({5, 6})}, {"bias", Floats({5})}});
  for (const char* method : {"float", "bwn", "xnor"}) {
    CheckLayer(graph, Method(method), {1, 3, 4, 6});
  }
}

TEST_F(Modules, WeightsAreClippedWhereThePapersDo) {
  for (const std::string& name : MethodNames()) {
    SCOPED_TRACE(name);
    BinaryLinear layer(BinaryLinearOptions(10, 10).quantization(Method(name)));
    const torch::NoGradGuard no_grad;
    layer->weight.normal_(0, 2);
    const Tensor before = layer->weight.clone();
    layer->ClipWeights();
    const bool clips = name == "bnn" || name == "binaryconnect" ||
                       name == "binaryconnect-stochastic";
    EXPECT_TRUE(layer->weight.equal(clips ? before.clamp(-1, 1) : before));
  }
}

// Bases and scales are those of bqengine's own formulas.
TEST_F(Modules, BasesAreTheEngines) {
  for (const int64_t bases : {1, 2, 3, 5}) {
    SCOPED_TRACE(bases);
    BinaryConv2d layer(
        BinaryConv2dOptions(8, 6, 3).quantization(Method("abcnet", bases, 1)));
    const torch::NoGradGuard no_grad;
    layer->weight.normal_(0.1, 0.5);
    const BinaryLayer::Bases ours = layer->WeightBases();
    const std::span<const float> values(
        layer->weight.data_ptr<float>(),
        static_cast<size_t>(layer->weight.numel()));
    const auto theirs = bqengine::quantize::AbcNet(
        values, {6, 8, 3, 3}, *bqengine::quantize::AbcNetShifts(bases),
        bqengine::quantize::Scope::kChannel);
    ASSERT_TRUE(theirs.ok()) << theirs.status().message();
    const std::vector<float> bits = *bqengine::quantize::Unpack(theirs->weight);
    EXPECT_TRUE(ours.bits.flatten().equal(torch::tensor(bits)));

    // Scales of bases that are nearly alike may differ, not what they add up
    // to.
    const std::vector<float> sum = *bqengine::quantize::Reconstruct(*theirs);
    const Tensor error =
        layer->QuantizedWeight().flatten() - torch::tensor(sum);
    EXPECT_LT(error.abs().max().item<float>(), 1e-4);
  }
}

TEST_F(Modules, BwnScalesAreTheEngines) {
  BinaryLinear layer(BinaryLinearOptions(100, 6).quantization(Method("bwn")));
  const std::span<const float> values(layer->weight.data_ptr<float>(), 600);
  const auto theirs = bqengine::quantize::Bwn(values, {6, 100});
  ASSERT_TRUE(theirs.ok());
  const BinaryLayer::Bases ours = layer->WeightBases();
  for (int64_t o = 0; o < 6; ++o) {
    EXPECT_FLOAT_EQ(ours.alpha[0][o].item<float>(),
                    theirs->alpha.floats()[static_cast<size_t>(o)]);
  }
}

// Equal weights make equal bases, of which one does all the work.
TEST_F(Modules, EqualWeightsHaveScales) {
  BinaryLinear layer(
      BinaryLinearOptions(20, 3).quantization(Method("abcnet", 3, 1)));
  {
    const torch::NoGradGuard no_grad;
    layer->weight.fill_(0.5);
  }
  const Tensor error = layer->QuantizedWeight() - layer->weight;
  EXPECT_LT(error.abs().max().item<float>(), 1e-4);
}

TEST_F(Modules, NonsenseThrows) {
  EXPECT_THROW(Method("ternary"), c10::Error);
  EXPECT_THROW(Method("bnn", 2, 1), c10::Error);
  EXPECT_THROW(Method("abcnet", 65, 1), c10::Error);
  EXPECT_THROW(BinaryConv2d(BinaryConv2dOptions(5, 4, 3).groups(2)),
               c10::Error);
}

// -------------------------------------------------------------------- networks

void AddNorm(Graph& graph, const std::string& name, const std::string& input,
             int64_t channels) {
  GraphMaker::Add(graph, "BatchNormalization", name, {input}, {},
                  {{"scale", Floats({channels})},
                   {"bias", Floats({channels})},
                   {"mean", Floats({channels})},
                   {"var", Floats({channels})}});
}

void AddConv(Graph& graph, const std::string& name, const std::string& input,
             Shape weight, int64_t stride, const Ints& pads) {
  GraphMaker::Add(graph, "Conv", name, {input},
                  {{"kernel_shape", Ints{weight[1], weight[2]}},
                   {"strides", Ints{stride, stride}},
                   {"pads", pads}},
                  {{"weight", Floats(weight)}});
}

// Every op that trains, up to the last binary layer; `tail` adds the pools and
// the float layer behind it.
Graph ResidualNetwork(bool tail) {
  Graph graph = GraphMaker(0).Start({bqengine::kBatch, 12, 12, 3});
  AddConv(graph, "stem", "x", {16, 3, 3, 3}, 1, {1, 1, 1, 1});
  AddNorm(graph, "stem_norm", "stem", 16);
  GraphMaker::Add(graph, "PRelu", "prelu", {"stem_norm"}, {},
                  {{"slope", Floats({16})}});
  GraphMaker::Add(graph, "MaxPool", "pool", {"prelu"},
                  {{"kernel_shape", Ints{3, 2}},
                   {"strides", Ints{2, 2}},
                   {"pads", Ints{1, 0, 0, 1}}});
  GraphMaker::Add(graph, "Add", "moved", {"pool"}, {},
                  {{"value", Floats({16})}});
  AddConv(graph, "conv1", "moved", {16, 3, 3, 16}, 1, {1, 1, 1, 1});
  AddNorm(graph, "norm1", "conv1", 16);
  GraphMaker::Add(graph, "Add", "sum1", {"norm1", "pool"});
  GraphMaker::Add(graph, "Mul", "scaled", {"sum1"}, {},
                  {{"value", Floats({1})}});
  GraphMaker::Add(graph, "Clip", "clip", {"scaled"},
                  {{"min", -2.0f}, {"max", 3.0f}});
  AddConv(graph, "conv2", "clip", {24, 3, 3, 16}, 2, {0, 0, 1, 1});
  AddNorm(graph, "norm2", "conv2", 24);
  if (!tail) return graph;
  GraphMaker::Add(graph, "AveragePool", "average", {"norm2"},
                  {{"kernel_shape", Ints{2, 2}}});
  GraphMaker::Add(graph, "Relu", "relu", {"average"});
  GraphMaker::Add(graph, "GlobalAveragePool", "global", {"relu"});
  GraphMaker::Add(graph, "Flatten", "flat", {"global"});
  GraphMaker::Add(graph, "Gemm", "last", {"flat"}, {},
                  {{"weight", Floats({10, 24})}, {"bias", Floats({10})}});
  return graph;
}

// Multiples of 1/8, of which sums of products are exact in float.
Tensor Eighths(torch::IntArrayRef shape) {
  return torch::randint(-8, 9, shape).div(8);
}

// A few steps, for means, variances and slopes that are not those of the start;
// then a stem whose sums no order of summation changes.
void TrainALittle(NetworkImpl& network) {
  network.train();
  torch::optim::SGD sgd(network.parameters(), 0.05);
  for (int step = 0; step < 5; ++step) {
    const Tensor y = network.forward(Eighths({8, 12, 12, 3}));
    sgd.zero_grad();
    (y - torch::randn_like(y)).square().mean().backward();
    sgd.step();
    network.ClipWeights();
  }
  const torch::NoGradGuard no_grad;
  Tensor& stem = network.layers()[0].module->weight;
  stem.copy_(Eighths(stem.sizes()));
}

TEST_F(Modules, ResidualNetworksRunAsTheyWereEvaluated) {
  for (const Quantization& q : {Method("bnn"), Method("xnor"),
                                Method("abcnet", 3, 3), Method("unipolar")}) {
    SCOPED_TRACE(Describe(q));
    const auto network =
        Make(ResidualNetwork(false), {{"conv1", q}, {"conv2", q}});
    TrainALittle(*network);
    ExpectExportedSameBits(*network, Eighths({3, 12, 12, 3}));
  }
}

TEST_F(Modules, PoolsAndFloatLayersDifferByRounding) {
  const auto network = Make(ResidualNetwork(true), {{"conv1", Method("bnn")},
                                                    {"conv2", Method("xnor")}});
  TrainALittle(*network);
  const Tensor x = Eighths({3, 12, 12, 3});
  const Tensor y = Evaluate(*network, x);
  // At most 9 and 24 terms; 64 units in the last place of what they add up to.
  const Tensor bound = (y.abs() + 10) * (64 * FLT_EPSILON);
  for (const bool optimize : {true, false}) {
    ExpectNear(y, RunExported(*network, x, optimize), bound);
  }
}

// From a published network: floats give a batch norm of 0 where it is below 0
// exactly, and evaluation goes by the exact value, as the engine does.
TEST_F(Modules, SignsOfBatchNormsAreExact) {
  constexpr int64_t kFeatures = 1153;
  Graph graph = GraphMaker(0).Start({bqengine::kBatch, kFeatures});
  GraphMaker::Add(graph, "Gemm", "first", {"x"}, {},
                  {{"weight", Floats({1, kFeatures})}});
  GraphMaker::Add(graph, "BatchNormalization", "norm", {"first"},
                  {{"epsilon", 2e-5f}},
                  {{"scale", Floats({1})},
                   {"bias", Floats({1})},
                   {"mean", Floats({1})},
                   {"var", Floats({1})}});
  GraphMaker::Add(graph, "Gemm", "second", {"norm"}, {},
                  {{"weight", Floats({1, 1})}});
  const auto network =
      Make(graph, {{"first", Method("bnn")}, {"second", Method("bnn")}});
  ASSERT_NE(network, nullptr);
  const torch::NoGradGuard no_grad;
  for (const auto& layer : network->layers()) layer.module->weight.fill_(1);
  for (const auto& parameter : network->named_parameters()) {
    if (parameter.key() == "norm.scale") parameter.value().fill_(0.81096435f);
    if (parameter.key() == "norm.bias") parameter.value().fill_(-0.06873564f);
  }
  for (const auto& buffer : network->named_buffers()) {
    if (buffer.key() == "norm.mean") buffer.value().fill_(584.83264f);
    if (buffer.key() == "norm.var") buffer.value().fill_(653.917f);
  }
  Tensor x = torch::ones({2, kFeatures});
  x.slice(1, 0, (kFeatures - 587) / 2).fill_(-1);
  x[1][0] = 1;  // sums of 587 and 589
  const Tensor y = Evaluate(*network, x);
  EXPECT_EQ(y[0].item<float>(), -1);
  EXPECT_EQ(y[1].item<float>(), 1);
  ExpectExportedSameBits(*network, x);
}

// The engine's order of pixels and channels, not torch's, is what weights
// behind Flatten have.
TEST_F(Modules, FlattenKeepsTheEnginesOrder) {
  Graph graph = GraphMaker(0).Start({bqengine::kBatch, 4, 5, 3});
  GraphMaker::Add(graph, "Flatten", "flat", {"x"});
  GraphMaker::Add(graph, "Gemm", "layer", {"flat"}, {},
                  {{"weight", Floats({10, 60})}});
  const auto network = Make(graph, {{"layer", Method("xnor")}});
  ExpectExportedSameBits(*network, torch::randn({3, 4, 5, 3}));
}

TEST_F(Modules, EvaluationLeavesTheNetworkAlone) {
  const auto network = Make(ResidualNetwork(true), {{"conv1", Method("bnn")}});
  TrainALittle(*network);
  std::vector<Tensor> before;
  for (const Tensor& t : network->parameters()) before.push_back(t.clone());
  for (const Tensor& t : network->buffers()) before.push_back(t.clone());
  Evaluate(*network, torch::randn({3, 12, 12, 3}));
  std::vector<Tensor> after = network->parameters();
  for (const Tensor& t : network->buffers()) after.push_back(t);
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(before[i].equal(after[i])) << i;
  }
}

TEST_F(Modules, ErrorsNameTheNode) {
  const auto expect = [](const Graph& graph, const std::string& what) {
    const auto network = NetworkImpl::Make(graph, {});
    ASSERT_FALSE(network.ok()) << what;
    EXPECT_NE(network.status().message().find(what), std::string::npos)
        << network.status().message();
  };
  Graph graph = ResidualNetwork(true);
  GraphMaker::Add(graph, "Softmax", "soft", {"last"});
  expect(graph, "node 'soft': bq-train does not train Softmax, only Add, ");

  graph = ResidualNetwork(true);
  for (bqengine::Node& node : graph.nodes) {
    if (node.op == "AveragePool") node.attributes["pads"] = Ints{1, 1, 1, 1};
  }
  expect(graph, "node 'average': pads and ceil_mode of AveragePool");

  graph = ResidualNetwork(true);
  for (bqengine::Node& node : graph.nodes) {
    if (node.op == "MaxPool") node.attributes["ceil_mode"] = int64_t{1};
  }
  expect(graph, "node 'pool': ceil_mode is not trained");

  graph = ResidualNetwork(true);
  std::swap(graph.nodes[0], graph.nodes[1]);
  expect(graph, "node 'stem_norm' comes before its input");

  graph = GraphMaker(0).Start({bqengine::kBatch, 2, 3, 4, 5});
  GraphMaker::Add(graph, "Relu", "relu", {"x"});
  expect(graph, "/inputs/0/shape: must be");
}

}  // namespace
}  // namespace bqtrain
