// The attribute `post` of binary products and their second output: what is
// refused and how, and what backends get to see.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "graph/graph_analysis.h"
#include "runtime/backend_node.h"
#include "runtime/backend_registry.h"
#include "tests/support/graph_maker.h"

namespace bqengine {
namespace {

using testing::GraphMaker;

constexpr int64_t kIn = 10;
constexpr int64_t kOut = 3;

// bits [10] -> BinaryGemm -> y [3], with the inputs "r", [3], and "wide", [4],
// beside, for residuals.
struct Product {
  Product() {
    GraphMaker maker(1);
    graph = maker.Start({kBatch, kIn});
    graph.inputs[0].info.type = DataType::kBipolar;
    for (const auto& [name, width] :
         {std::pair("r", kOut), std::pair("wide", kOut + 1)}) {
      graph.inputs.push_back(
          {.name = name, .info = {DataType::kFloat32, {kBatch, width}}});
    }
    GraphMaker::Add(
        graph, "BinaryGemm", "y", {"x"}, {},
        {{"weight", maker.RandomBits(DataType::kBipolar, {1, kOut, kIn})}});
  }
  Node& node() { return graph.nodes[0]; }
  Product& Post(const std::string& steps) {
    node().attributes["post"] = steps;
    return *this;
  }
  Product& With(const std::string& role, std::vector<float> values) {
    const int64_t count = static_cast<int64_t>(values.size());
    graph.constants[role] = Constant::Floats({count}, std::move(values));
    node().constants[role] = role;
    return *this;
  }
  Product& Inputs(std::vector<std::string> names) {
    node().inputs = std::move(names);
    return *this;
  }
  Product& Outputs(std::vector<std::string> names, const std::string& type) {
    node().outputs = std::move(names);
    node().attributes["output_type"] = type;
    return *this;
  }

  // The message, whose beginning is checked; "" if nothing is wrong.
  std::string Problem() const {
    const Status status = InferShapes(graph).status();
    if (status.ok()) return "";
    EXPECT_EQ(status.code(), StatusCode::kInvalidModel);
    const std::string node = "node 'y' (/nodes/0";
    EXPECT_TRUE(status.message().starts_with(node)) << status.message();
    return status.message().substr(node.size());
  }

  Graph graph;
};

TEST(Post, EveryStepIsTaken) {
  Product p;
  p.Post("Relu,PRelu,Clip,Add,Mul,Residual,Add,Relu")
      .With("post1", {0.5f})
      .With("post2", {-1, 1})
      .With("post3", {1, 2, 3})
      .With("post4", {2})
      .With("post6", {1})
      .Inputs({"x", "r"});
  EXPECT_EQ(p.Problem(), "");
  p.Outputs({"y", "bits"}, "unipolar").With("threshold", {1, 2, 3});
  const auto tensors = InferShapes(p.graph);
  ASSERT_TRUE(tensors.ok()) << tensors.status().message();
  EXPECT_EQ(tensors->at("y"), (TensorInfo{DataType::kFloat32, {kBatch, kOut}}));
  EXPECT_EQ(tensors->at("bits"),
            (TensorInfo{DataType::kUnipolar, {kBatch, kOut}}));
}

TEST(Post, BrokenStepsAreNamed) {
  const std::string post = "/attributes/post): ";
  EXPECT_EQ(Product().Post("Relu,Sigmoid").Problem(),
            post + "step 1, 'Sigmoid', is unknown");
  EXPECT_EQ(Product().Post("Relu,").Problem(), post + "step 1, '', is unknown");
  EXPECT_EQ(Product().Post("Relu, Relu").Problem(),
            post + "step 1, ' Relu', is unknown");
  EXPECT_EQ(
      Product().Post("Relu,Relu,Relu,Relu,Relu,Relu,Relu,Relu,Relu").Problem(),
      post + "has 9 steps, but at most 8 are allowed");
  EXPECT_EQ(Product().Post("Residual,Residual").Inputs({"x", "r"}).Problem(),
            post + "has more than one residual");
}

TEST(Post, BrokenConstantsAreNamed) {
  EXPECT_EQ(Product().Post("Relu,PRelu").Problem(),
            "/constants): step 1, 'PRelu', needs the constant 'post1'");
  EXPECT_EQ(Product().Post("Relu").With("post0", {1}).Problem(),
            "/constants/post0): step 0, 'Relu', takes no constant");
  EXPECT_EQ(Product().Post("Relu").With("post1", {1}).Problem(),
            "/constants/post1): 'post' has only 1 steps");
  EXPECT_TRUE(Product()
                  .Post("Mul")
                  .With("post0", {1, 2})
                  .Problem()
                  .starts_with("/constants/post0): "));
  EXPECT_TRUE(Product()
                  .Post("Clip")
                  .With("post0", {1, 2, 3})
                  .Problem()
                  .starts_with("/constants/post0): "));
}

TEST(Post, BrokenResidualsAreNamed) {
  EXPECT_EQ(Product().Post("Residual").Inputs({"x", "wide"}).Problem(),
            "/inputs/1): the residual must be float32, Nx3, not float32, Nx4");
  EXPECT_EQ(Product().Post("Residual").Inputs({"x", "x"}).Problem(),
            "/inputs/1): the residual must be float32, Nx3, not bipolar, Nx10");
  EXPECT_EQ(Product().Post("Residual").Problem(),
            "/inputs): only a residual is there");
  EXPECT_EQ(Product().Inputs({"x", "r"}).Problem(),
            "/inputs/1): BinaryGemm takes bits, not float32");
}

TEST(Post, BrokenOutputsAreNamed) {
  EXPECT_EQ(Product().Outputs({"y", "bits"}, "float32").Problem(),
            "/attributes/output_type): the second output must be bipolar or "
            "unipolar");
  EXPECT_EQ(Product().Outputs({"y", "b", "c"}, "bipolar").Problem(),
            "/outputs): BinaryGemm has one output or two, not 3");
  Product relu;
  relu.node() = {.name = "y",
                 .op = "Relu",
                 .inputs = {"r"},
                 .outputs = {"y", "z"},
                 .constants = {},
                 .attributes = {}};
  EXPECT_EQ(relu.Problem(), "/outputs): Relu has one output, not 2");
}

// ----------------------------------------------------------- backends' view

struct Seen {
  explicit Seen(const Graph& graph)
      : checked(*CheckGraph(graph)), node(checked.nodes[0], checked.tensors) {}
  const bqe_attribute* Attribute(const std::string& name) const {
    for (uint32_t i = 0; i < node.get().num_attributes; ++i) {
      if (name == node.get().attributes[i]->name) {
        return node.get().attributes[i];
      }
    }
    return nullptr;
  }
  CheckedGraph checked;
  BackendNode node;
};

TEST(Post, BackendsSeeItOnlyWhereItIsSet) {
  Product p;
  EXPECT_EQ(Seen(p.graph).Attribute("post"), nullptr);
  p.Post("");
  EXPECT_EQ(Seen(p.graph).Attribute("post"), nullptr);
  p.Post("Relu,Residual").Inputs({"x", "r"}).Outputs({"y", "bits"}, "bipolar");
  const Seen seen(p.graph);
  ASSERT_NE(seen.Attribute("post"), nullptr);
  EXPECT_STREQ(seen.Attribute("post")->string, "Relu,Residual");
  EXPECT_EQ(seen.node.get().num_inputs, 2u);
  ASSERT_EQ(seen.node.get().num_outputs, 2u);
  EXPECT_EQ(seen.node.get().outputs[0]->type, BQE_FLOAT32);
  EXPECT_EQ(seen.node.get().outputs[1]->type, BQE_BIPOLAR);
}

// Of a host that is younger than the backend.
TEST(Post, UnknownStepsAndOutputsAreRefused) {
  Product p;
  p.Post("Relu,Residual").Inputs({"x", "r"}).Outputs({"y", "bits"}, "bipolar");
  const Seen seen(p.graph);
  const auto backends = BackendsInOrder("reference");
  ASSERT_TRUE(backends.ok());
  const bqe_backend* backend = (*backends)[0];
  ASSERT_STREQ(backend->name, "reference");
  bqe_node node = seen.node.get();
  EXPECT_NE(backend->supports(backend, &node), 0);

  bqe_attribute post = *seen.Attribute("post");
  std::vector<const bqe_attribute*> attributes(
      node.attributes, node.attributes + node.num_attributes);
  for (const bqe_attribute*& attribute : attributes) {
    if (attribute->name == std::string("post")) attribute = &post;
  }
  node.attributes = attributes.data();
  for (const char* steps : {"Relu,Sigmoid", "Relu,Residual,", ",",
                            "Relu,Relu,Relu,Relu,Relu,Relu,Relu,Relu,Relu"}) {
    post.string = steps;
    EXPECT_EQ(backend->supports(backend, &node), 0) << steps;
  }

  node = seen.node.get();
  const bqe_tensor* outputs[] = {node.outputs[0], node.outputs[1],
                                 node.outputs[1]};
  node.outputs = outputs;
  node.num_outputs = 3;
  EXPECT_EQ(backend->supports(backend, &node), 0);
}

}  // namespace
}  // namespace bqengine
