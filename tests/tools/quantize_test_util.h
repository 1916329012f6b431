// Networks, images and runs for the tests of bq-quantize.
#ifndef TESTS_TOOLS_QUANTIZE_TEST_UTIL_H_
#define TESTS_TOOLS_QUANTIZE_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bqengine/model.h"
#include "bqengine/quantize.h"
#include "bqengine/session.h"
#include "quantize/images.h"
#include "quantize/quantizer.h"
#include "tests/support/graph_maker.h"

namespace bqengine::ptq {

using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;
using testing::GraphMaker;

inline Images ImagesOf(Floats values, int64_t count) {
  return {count, {run::Values(std::move(values))}};
}

// The graph's only output.
inline Floats RunGraph(const Graph& graph, const Floats& input, int64_t batch,
                       bool optimize = true) {
  const auto model = Model::FromGraph(graph);
  if (!model.ok()) {
    ADD_FAILURE() << model.status().message();
    return {};
  }
  SessionOptions options;
  options.max_batch = batch;
  options.optimize = optimize;
  auto session = Session::Create(*model, options);
  if (!session.ok()) {
    ADD_FAILURE() << session.status().message();
    return {};
  }
  Floats output(
      static_cast<size_t>(*ElementCount(model->output(0).shape, batch)));
  const Status status = session->Run(input, output);
  EXPECT_TRUE(status.ok()) << status.message();
  return output;
}

// Both are sums of up to `terms` products, in whatever order: they may differ
// by that many roundings of the largest.
inline void ExpectSameSums(const Floats& actual, const Floats& expected,
                           int64_t terms) {
  ASSERT_EQ(actual.size(), expected.size());
  ASSERT_FALSE(expected.empty());
  float largest = 0;
  for (const float value : expected) {
    largest = std::max(largest, std::abs(value));
  }
  const float bound = static_cast<float>(terms) * 0x1p-24f * largest;
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], bound)
        << "element " << i << " of " << expected.size();
  }
}

inline const Node& NodeNamed(const Graph& graph, const std::string& name) {
  for (const Node& node : graph.nodes) {
    if (node.name == name) return node;
  }
  ADD_FAILURE() << "no node " << name;
  return graph.nodes.at(0);
}

inline const Constant& ConstantOf(const Graph& graph, const Node& node,
                                  const std::string& role) {
  return graph.constants.at(node.constants.at(role));
}

// The float weights that a node's bits stand for.
inline Floats WeightsOf(const Graph& graph, const Node& node) {
  const auto sums = quantize::Reconstruct(
      {ConstantOf(graph, node, "weight"), ConstantOf(graph, node, "alpha")});
  EXPECT_TRUE(sums.ok());
  return *sums;
}

// 8x8 -> conv1 (padded) -> Relu -> MaxPool -> conv2 (padded) -> batch norm ->
// Relu -> Flatten -> fc1 -> Relu -> fc2 (10). Of channels, more than fill
// words.
inline Graph SmallNetwork(uint32_t seed, int64_t channels = 3) {
  GraphMaker maker(seed);
  const auto weight = [&maker](Shape shape) {
    return maker.RandomFloats(std::move(shape), -0.3f, 0.3f);
  };
  Graph graph = maker.Start({kBatch, 8, 8, channels});
  const std::map<std::string, Attribute> conv = {{"kernel_shape", Ints{3, 3}},
                                                 {"pads", Ints{1, 1, 1, 1}}};
  maker.Add(graph, "Conv", "conv1", {"x"}, conv,
            {{"weight", weight({24, 3, 3, channels})}, {"bias", weight({24})}});
  maker.Add(graph, "Relu", "relu1", {"conv1"});
  maker.Add(graph, "MaxPool", "pool", {"relu1"},
            {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}});
  maker.Add(graph, "Conv", "conv2", {"pool"}, conv,
            {{"weight", weight({70, 3, 3, 24})}, {"bias", weight({70})}});
  maker.Add(graph, "BatchNormalization", "norm", {"conv2"}, {},
            {{"scale", maker.RandomFloats({70}, 0.5f, 1.5f)},
             {"bias", maker.RandomFloats({70}, -0.5f, 0.5f)},
             {"mean", maker.RandomFloats({70}, -0.2f, 0.2f)},
             {"var", maker.RandomFloats({70}, 0.5f, 2.0f)}});
  maker.Add(graph, "Relu", "relu2", {"norm"});
  maker.Add(graph, "Flatten", "flat", {"relu2"});
  maker.Add(graph, "Gemm", "fc1", {"flat"}, {},
            {{"weight", weight({40, 1120})}, {"bias", weight({40})}});
  maker.Add(graph, "Relu", "relu3", {"fc1"});
  maker.Add(graph, "Gemm", "fc2", {"relu3"}, {},
            {{"weight", weight({10, 40})}, {"bias", weight({10})}});
  return graph;
}

inline Images RandomImages(uint32_t seed, int64_t count, int64_t item = 192) {
  GraphMaker maker(seed);
  return ImagesOf(maker.Floats(static_cast<size_t>(count * item), -1.0f, 1.0f),
                  count);
}

inline const Floats& FloatsOf(const Images& images) {
  return std::get<Floats>(images.values[0]);
}

inline Quantization Quantized(const Graph& graph,
                              const QuantizeOptions& options,
                              const Images* images = nullptr) {
  auto result = QuantizeGraph(graph, options, images);
  EXPECT_TRUE(result.ok()) << result.status().message();
  return result.ok() ? *std::move(result) : Quantization{};
}

}  // namespace bqengine::ptq

#endif  // TESTS_TOOLS_QUANTIZE_TEST_UTIL_H_
