// FuseEpilogue: the blocks of networks become one node each, and every bit of
// every output stays what it was, also where constants and residuals are not
// ordinary numbers.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "passes/passes.h"
#include "passes_test_util.h"
#include "tests/support/graph_maker.h"

namespace bqengine {
namespace {

using testing::BatchNorm;
using testing::FindOp;
using testing::GraphMaker;
using testing::Ops;
using testing::Optimized;
using testing::RunGraph;
using testing::StartProduct;
using Ints = std::vector<int64_t>;
using Names = std::vector<std::string>;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int64_t kSize = 5;       // of images
constexpr int64_t kChannels = 70;  // more than a word

std::string Post(const Node& node) {
  const auto post = node.attributes.find("post");
  return post == node.attributes.end() ? ""
                                       : std::get<std::string>(post->second);
}

void AddNorm(GraphMaker& maker, Graph& graph, const std::string& name,
             const std::string& input) {
  const size_t n = kChannels;
  GraphMaker::Add(graph, "BatchNormalization", name, {input}, {},
                  BatchNorm(maker.Floats(n, -1, 1), maker.Floats(n, -1, 1),
                            maker.Floats(n, -5, 5), maker.Floats(n, 0.1f, 9)));
}

void AddShift(GraphMaker& maker, Graph& graph, const std::string& name,
              const std::string& input) {
  GraphMaker::Add(graph, "Add", name, {input}, {},
                  {{"value", maker.RandomFloats({kChannels}, -1, 1)}});
}

// A 3x3 convolution that keeps the size; "<name>.sign" is its input.
void AddConv(GraphMaker& maker, Graph& graph, const std::string& name,
             const std::string& input) {
  GraphMaker::Add(graph, "Binarize", name + ".sign", {input});
  GraphMaker::Add(
      graph, "BinaryConv", name, {name + ".sign"},
      {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}},
      {{"weight", maker.RandomBits(DataType::kBipolar,
                                   {1, kChannels, 3, 3, kChannels})}});
}

Graph StartImage(GraphMaker& maker) {
  return maker.Start({kBatch, kSize, kSize, kChannels});
}

std::vector<float> Image(GraphMaker& maker) {
  return maker.Floats(2 * kSize * kSize * kChannels, -2, 2);
}

void ExpectSame(const Graph& graph, const Graph& fused,
                const std::vector<float>& input) {
  ASSERT_EQ(graph.outputs.size(), fused.outputs.size());
  EXPECT_TRUE(RunGraph(graph, input) == RunGraph(fused, input));
}

// ------------------------------------------------------------ whole networks

TEST(FuseEpilogue, BiRealBlocksAreOneNodeEach) {
  GraphMaker maker(1);
  Graph graph = StartImage(maker);
  std::string x = "x";
  for (const std::string block : {"a", "b", "c"}) {
    AddConv(maker, graph, block, x);
    AddNorm(maker, graph, block + ".norm", block);
    // The residual is the first operand of every other one.
    GraphMaker::Add(
        graph, "Add", block + ".sum",
        block == "b" ? Names{x, block + ".norm"} : Names{block + ".norm", x});
    x = block + ".sum";
  }
  const Graph fused = Optimized(graph);
  ASSERT_EQ(Ops(fused),
            (Names{"Binarize", "BinaryConv", "BinaryConv", "BinaryConv"}));
  EXPECT_EQ(Post(fused.nodes[1]), "Residual");
  EXPECT_TRUE(fused.nodes[1].constants.contains("mul"));
  EXPECT_EQ(fused.nodes[1].outputs, (Names{"a.sum", "b.sign"}));
  EXPECT_EQ(fused.nodes[2].inputs, (Names{"b.sign", "a.sum"}));
  EXPECT_EQ(fused.nodes[3].outputs, (Names{"c.sum"}));
  ExpectSame(graph, fused, Image(maker));
}

TEST(FuseEpilogue, ReActNetBlocksAreOneNodeEach) {
  GraphMaker maker(2);
  Graph graph = StartImage(maker);
  std::string x = "x";
  for (const std::string block : {"a", "b"}) {
    AddShift(maker, graph, block + ".move", x);  // RSign
    AddConv(maker, graph, block, block + ".move");
    AddNorm(maker, graph, block + ".norm", block);
    GraphMaker::Add(graph, "Add", block + ".sum", {block + ".norm", x});
    AddShift(maker, graph, block + ".left", block + ".sum");  // RPReLU
    GraphMaker::Add(graph, "PRelu", block + ".prelu", {block + ".left"}, {},
                    {{"slope", maker.RandomFloats({kChannels}, -1, 1)}});
    AddShift(maker, graph, block + ".right", block + ".prelu");
    x = block + ".right";
  }
  const Graph fused = Optimized(graph);
  ASSERT_EQ(Ops(fused), (Names{"Binarize", "BinaryConv", "BinaryConv"}));
  EXPECT_EQ(Post(fused.nodes[1]), "Residual,Add,PRelu,Add");
  EXPECT_EQ(fused.nodes[1].outputs, (Names{"a.right", "b.sign"}));
  EXPECT_TRUE(fused.nodes[1].constants.contains("threshold"));
  ExpectSame(graph, fused, Image(maker));
}

TEST(FuseEpilogue, QuickNetBlocksAreOneNodeEach) {
  GraphMaker maker(3);
  Graph graph = StartImage(maker);
  std::string x = "x";
  for (const std::string block : {"a", "b"}) {
    AddConv(maker, graph, block, x);
    GraphMaker::Add(graph, "Relu", block + ".relu", {block});
    AddNorm(maker, graph, block + ".norm", block + ".relu");
    GraphMaker::Add(graph, "Add", block + ".sum", {x, block + ".norm"});
    x = block + ".sum";
  }
  const Graph fused = Optimized(graph);
  ASSERT_EQ(Ops(fused), (Names{"Binarize", "BinaryConv", "BinaryConv"}));
  EXPECT_EQ(Post(fused.nodes[1]), "Relu,Mul,Add,Residual");
  ExpectSame(graph, fused, Image(maker));
}

// --------------------------------------------------------- odd chains, values

// x -> Binarize -> BinaryGemm -> a random chain with one residual -> y, and
// perhaps a sign of y. Constants are drawn from `values`.
Graph RandomChain(GraphMaker& maker, const std::vector<float>& values) {
  const int64_t n = maker.Int(1, 70);
  Graph graph = StartProduct(maker, n, n);
  const auto channels = [&] {
    std::vector<float> drawn(maker.Int(0, 3) == 0 ? 1 : n);
    for (float& value : drawn) {
      value = values[maker.Int(0, static_cast<int64_t>(values.size()) - 1)];
    }
    const int64_t count = static_cast<int64_t>(drawn.size());
    return Constant::Floats({count}, std::move(drawn));
  };
  std::string at = "product";
  const int64_t length = maker.Int(1, 9);
  const int64_t residual = maker.Int(0, length);
  for (int64_t i = 0; i < length; ++i) {
    const std::string next = "n" + std::to_string(i);
    const int64_t kind = i == residual ? 5 : maker.Int(0, 4);
    if (kind == 0) GraphMaker::Add(graph, "Relu", next, {at});
    if (kind == 1) {
      GraphMaker::Add(graph, "PRelu", next, {at}, {}, {{"slope", channels()}});
    }
    if (kind == 2) {
      GraphMaker::Add(
          graph, "Clip", next, {at},
          {{"min", maker.Uniform(-9, 0)}, {"max", maker.Uniform(-2, 9)}});
    }
    if (kind == 3 || kind == 4) {
      GraphMaker::Add(graph, kind == 3 ? "Add" : "Mul", next, {at}, {},
                      {{"value", channels()}});
    }
    if (kind == 5) GraphMaker::Add(graph, "Add", next, {at, "x"});
    at = next;
  }
  const int64_t outputs = maker.Int(0, 2);
  if (outputs != 0) {
    GraphMaker::Add(graph, "Binarize", "sign", {at},
                    {{"encoding", std::string("unipolar")}},
                    {{"threshold", channels()}});
  }
  if (outputs == 2) graph.outputs.push_back({.name = at});
  return graph;
}

TEST(FuseEpilogue, AnyConstantsGiveTheSameBits) {
  const std::vector<float> values = {0.0f,   -0.0f,  1.0f,  -1.0f,
                                     0.3f,   -2.7f,  1e38f, -1e38f,
                                     1e-40f, 1e-20f, kInf,  -kInf};
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    GraphMaker maker(seed);
    const Graph graph = RandomChain(maker, values);
    const Graph fused = Optimized(graph, FuseEpilogue);
    EXPECT_LE(fused.nodes.size(), graph.nodes.size() - 1);
    const int64_t n = graph.inputs[0].info.shape[1];
    ExpectSame(graph, fused, maker.Floats(3 * n, -2, 2));
    ExpectSame(graph, Optimized(fused), maker.Floats(3 * n, -2, 2));
  }
}

TEST(FuseEpilogue, AnyResidualGivesTheSameBits) {
  const std::vector<float> odd = {std::nanf(""), kInf,  -kInf,  0.0f,
                                  -0.0f,         1e38f, 1e-40f, 3.0f};
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    GraphMaker maker(seed);
    const Graph graph =
        RandomChain(maker, {0.0f, -0.0f, 1.0f, -1.0f, 0.3f, -2.7f});
    std::vector<float> input(
        static_cast<size_t>(3 * graph.inputs[0].info.shape[1]));
    for (float& value : input) value = odd[maker.Int(0, 7)];
    ExpectSame(graph, Optimized(graph, FuseEpilogue), input);
  }
}

// An infinite scale times a mean of 0 is NaN, which no constant may be.
TEST(FuseEpilogue, BatchNormWithNanIsLeftAlone) {
  GraphMaker maker(4);
  Graph graph = StartProduct(maker, 10, 2);
  GraphMaker::Add(graph, "BatchNormalization", "norm", {"product"}, {},
                  BatchNorm({1, kInf}, {0, 0}, {1, 0}, {1, 1}));
  EXPECT_EQ(Ops(Optimized(graph, FuseEpilogue)),
            (Names{"Binarize", "BinaryGemm", "BatchNormalization"}));
}

// ---------------------------------------------------------- what is not fused

TEST(FuseEpilogue, StopsAtEightStepsAndOneResidual) {
  GraphMaker maker(5);
  for (const bool residuals : {false, true}) {
    Graph graph = StartProduct(maker, 20, 20);
    std::string at = "product";
    for (int i = 0; i < 10; ++i) {
      const std::string next = "n" + std::to_string(i);
      if (residuals) {
        GraphMaker::Add(graph, "Add", next, {at, "x"});
      } else {
        GraphMaker::Add(graph, "Mul", next, {at}, {},
                        {{"value", maker.RandomFloats({20}, -2, 2)}});
      }
      at = next;
    }
    const Graph fused = Optimized(graph, FuseEpilogue);
    EXPECT_EQ(fused.nodes.size(), residuals ? 11u : 4u);
    const Graph again = Optimized(fused, FuseEpilogue);
    EXPECT_EQ(Ops(again), Ops(fused));
    ExpectSame(graph, again, maker.Floats(60, -1, 1));
  }
}

// A BatchNormalization is two steps, or none.
TEST(FuseEpilogue, BatchNormNeedsRoomForTwoSteps) {
  GraphMaker maker(6);
  Graph graph = StartProduct(maker, kChannels, kChannels);
  std::string at = "product";
  for (int i = 0; i < 7; ++i) {
    const std::string next = "n" + std::to_string(i);
    AddShift(maker, graph, next, at);
    at = next;
  }
  AddNorm(maker, graph, "norm", at);
  EXPECT_EQ(Ops(Optimized(graph, FuseEpilogue)),
            (Names{"Binarize", "BinaryGemm", "BatchNormalization"}));
}

TEST(FuseEpilogue, OthersWhoNeedTheFloatsKeepThem) {
  GraphMaker maker(7);
  Graph graph = StartProduct(maker, 20, 20);
  GraphMaker::Add(graph, "Relu", "relu", {"product"});
  graph.outputs = {{.name = "relu"}, {.name = "product"}};
  EXPECT_EQ(Ops(Optimized(graph, FuseEpilogue)).size(), 3u);

  graph = StartProduct(maker, 20, 20);
  GraphMaker::Add(graph, "Add", "twice", {"product", "product"});
  EXPECT_EQ(Ops(Optimized(graph, FuseEpilogue)).size(), 3u);
}

TEST(FuseEpilogue, GroupsAreLeftToTheirOwnKernels) {
  GraphMaker maker(14);
  Graph graph = StartImage(maker);
  GraphMaker::Add(graph, "Binarize", "bits", {"x"});
  GraphMaker::Add(graph, "BinaryConv", "conv", {"bits"},
                  {{"kernel_shape", Ints{3, 3}}, {"group", kChannels}},
                  {{"weight", maker.RandomBits(DataType::kBipolar,
                                               {1, kChannels, 3, 3, 1})}});
  GraphMaker::Add(graph, "Relu", "relu", {"conv"});
  EXPECT_EQ(Ops(Optimized(graph)), (Names{"Binarize", "BinaryConv", "Relu"}));
}

TEST(FuseEpilogue, OtherOpsAndUntrainedConstantsAreLeftAlone) {
  GraphMaker maker(8);
  Graph graph = StartProduct(maker, 20, 20);
  GraphMaker::Add(graph, "Mul", "y", {"product", "x"});
  EXPECT_EQ(Ops(Optimized(graph, FuseEpilogue)).size(), 3u);

  graph = StartProduct(maker, 20, 20);
  GraphMaker::Add(graph, "Mul", "y", {"product"}, {},
                  {{"value", Constant::Declare({DataType::kFloat32, {20}})}});
  EXPECT_EQ(Ops(Optimized(graph, FuseEpilogue)).size(), 3u);
}

// ------------------------------------------------------------ signs behind it

TEST(FuseEpilogue, SharedProductGivesFloatsAndBits) {
  GraphMaker maker(9);
  Graph graph = StartProduct(maker, 30, 2);
  GraphMaker::Add(graph, "Binarize", "sign", {"product"});
  graph.outputs = {{.name = "sign"}, {.name = "product"}};
  const Graph fused = Optimized(graph);
  ASSERT_EQ(Ops(fused), (Names{"Binarize", "BinaryGemm"}));
  EXPECT_EQ(fused.nodes[1].outputs, (Names{"product", "sign"}));
  ExpectSame(graph, fused, maker.Floats(90, -1, 1));
}

// Bases of an ABC-Net: one sign joins the product, the others read its floats.
TEST(FuseEpilogue, OneOfSeveralSignsJoins) {
  GraphMaker maker(10);
  Graph graph = StartProduct(maker, 30, 30);
  GraphMaker::Add(graph, "Relu", "relu", {"product"});
  for (const std::string name : {"s0", "s1"}) {
    GraphMaker::Add(graph, "Binarize", name, {"relu"}, {},
                    {{"threshold", maker.RandomFloats({30}, 0, 9)}});
  }
  graph.outputs = {{.name = "s0"}, {.name = "s1"}};
  const Graph fused = Optimized(graph);
  ASSERT_EQ(Ops(fused), (Names{"Binarize", "BinaryGemm", "Binarize"}));
  EXPECT_EQ(fused.nodes[1].outputs, (Names{"relu", "s0"}));
  ExpectSame(graph, fused, maker.Floats(90, -1, 1));
}

TEST(FuseEpilogue, SignOfAChainThatIsNotMonotoneNeedsNoFloats) {
  GraphMaker maker(11);
  Graph graph = StartProduct(maker, 30, 30);
  GraphMaker::Add(graph, "PRelu", "prelu", {"product"}, {},
                  {{"slope", Constant::Floats({1}, {-0.5f})}});
  GraphMaker::Add(graph, "Add", "sum", {"prelu", "x"});
  GraphMaker::Add(graph, "Binarize", "sign", {"sum"}, {},
                  {{"threshold", Constant::Floats({1}, {3})}});
  const Graph fused = Optimized(graph);
  ASSERT_EQ(Ops(fused), (Names{"Binarize", "BinaryGemm"}));
  EXPECT_EQ(fused.nodes[1].outputs, (Names{"sign"}));
  EXPECT_EQ(Post(fused.nodes[1]), "PRelu,Residual");
  ExpectSame(graph, fused, maker.Floats(90, -1, 1));
}

// A sign that is a comparison of integers stays one.
TEST(FuseEpilogue, LeavesSignsToFuseBinarize) {
  GraphMaker maker(12);
  Graph graph = StartProduct(maker, kChannels, kChannels);
  AddNorm(maker, graph, "norm", "product");
  GraphMaker::Add(graph, "Relu", "relu", {"norm"});
  GraphMaker::Add(graph, "Binarize", "sign", {"relu"}, {},
                  {{"threshold", Constant::Floats({1}, {0.5f})}});
  const Graph fused = Optimized(graph);
  ASSERT_EQ(Ops(fused), (Names{"Binarize", "BinaryGemm"}));
  EXPECT_EQ(Post(fused.nodes[1]), "");
  EXPECT_EQ(fused.nodes[1].outputs, (Names{"sign"}));
}

// Models that were written with steps go through all passes again.
TEST(FuseEpilogue, OtherPassesKnowThatStepsAreNoAffine) {
  GraphMaker maker(13);
  Graph graph = StartImage(maker);
  AddConv(maker, graph, "conv", "x");
  GraphMaker::Add(graph, "Relu", "relu", {"conv"});
  GraphMaker::Add(graph, "Add", "sum", {"relu", "x"});
  Graph written = Optimized(graph);
  ASSERT_EQ(Post(written.nodes[1]), "Relu,Residual");
  for (Graph* both : {&graph, &written}) {
    AddNorm(maker, *both, "norm", "sum");
    GraphMaker::Add(*both, "MaxPool", "pool", {"norm"},
                    {{"kernel_shape", Ints{2, 2}}});
    GraphMaker::Add(*both, "Binarize", "sign", {"pool"});
    maker = GraphMaker(13);
  }
  for (const auto& [name, constant] : graph.constants) {
    if (name.starts_with("norm.")) written.constants[name] = constant;
  }
  const Graph fused = Optimized(written);
  EXPECT_EQ(Ops(fused),
            (Names{"Binarize", "BinaryConv", "MaxPool", "Binarize"}));
  EXPECT_EQ(Post(*FindOp(fused, "BinaryConv")), "Relu,Residual,Mul,Add");
  ExpectSame(graph, fused, Image(maker));
}

}  // namespace
}  // namespace bqengine
