// What tests of passes have in common.
#ifndef TESTS_ENGINE_PASSES_TEST_UTIL_H_
#define TESTS_ENGINE_PASSES_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "bqengine/model.h"
#include "bqengine/session.h"
#include "passes/passes.h"
#include "tests/support/graph_maker.h"

namespace bqengine::testing {

inline std::vector<std::string> Ops(const Graph& graph) {
  std::vector<std::string> ops;
  for (const Node& node : graph.nodes) ops.push_back(node.op);
  return ops;
}

inline const Node* FindOp(const Graph& graph, const std::string& op) {
  for (const Node& node : graph.nodes) {
    if (node.op == op) return &node;
  }
  return nullptr;
}

// The bytes of all outputs, from the reference backend, without further passes.
inline std::vector<uint64_t> RunGraph(const Graph& graph,
                                      const std::vector<float>& input) {
  auto model = Model::FromGraph(graph);
  EXPECT_TRUE(model.ok()) << model.status().message();
  if (!model.ok()) return {};
  auto session = Session::Create(
      *model, {.max_batch = 3, .backend = "reference", .optimize = false});
  EXPECT_TRUE(session.ok()) << session.status().message();
  const int64_t batch =
      static_cast<int64_t>(input.size()) / *ElementCount(model->input(0).shape);
  size_t words = 0;
  std::vector<OutputView> views;
  for (size_t i = 0; i < model->num_outputs(); ++i) {
    const auto bytes = static_cast<size_t>(*ByteCount(model->output(i), batch));
    views.push_back({nullptr, bytes});
    words += (bytes + 7) / 8;
  }
  std::vector<uint64_t> output(words);
  words = 0;
  for (OutputView& view : views) {
    view.data = output.data() + words;
    words += (view.bytes + 7) / 8;
  }
  const InputView in = {input.data(), input.size() * sizeof(float)};
  Status status = session->Run(batch, {&in, 1}, views);
  EXPECT_TRUE(status.ok()) << status.message();
  return output;
}

// After one pass, or after all.
inline Graph Optimized(Graph graph, Pass pass = nullptr) {
  const Status status =
      pass == nullptr ? RunPasses(graph) : RunPasses(graph, {{pass}});
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(InferShapes(graph).ok()) << InferShapes(graph).status().message();
  return graph;
}

// x -> Binarize -> BinaryGemm over `k` features, named "product".
inline Graph StartProduct(GraphMaker& maker, int64_t k, int64_t out) {
  Graph graph = maker.Start({kBatch, k});
  GraphMaker::Add(graph, "Binarize", "bits", {"x"});
  GraphMaker::Add(
      graph, "BinaryGemm", "product", {"bits"}, {},
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, out, k})}});
  return graph;
}

inline std::map<std::string, Constant> BatchNorm(
    const std::vector<float>& scale, const std::vector<float>& bias,
    const std::vector<float>& mean, const std::vector<float>& var) {
  const int64_t n = static_cast<int64_t>(scale.size());
  return {{"scale", Constant::Floats({n}, scale)},
          {"bias", Constant::Floats({n}, bias)},
          {"mean", Constant::Floats({n}, mean)},
          {"var", Constant::Floats({n}, var)}};
}

}  // namespace bqengine::testing

#endif  // TESTS_ENGINE_PASSES_TEST_UTIL_H_
