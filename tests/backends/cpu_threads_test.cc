// Ops with float activations, and convolutions of bits in groups, large enough
// to be split among threads: every cpu backend gives the same bits on any
// number of them.
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "tests/support/graph_maker.h"
#include "tests/support/one_core.h"

namespace bqengine {
namespace {

using testing::GraphMaker;

constexpr uint32_t kSeed = 20250814;

struct LargeOp {
  std::string op;
  Shape input;
  std::map<std::string, Attribute> attributes;
  std::map<std::string, Constant> constants;
};

std::vector<LargeOp> LargeOps(GraphMaker& maker) {
  const std::vector<int64_t> k3 = {3, 3}, pads = {1, 0, 1, 1};
  const std::map<std::string, Attribute> window = {{"kernel_shape", k3},
                                                   {"pads", pads}};
  std::map<std::string, Attribute> grouped = window;
  grouped["group"] = int64_t{2};
  std::map<std::string, Attribute> depthwise = window;
  depthwise["group"] = int64_t{40};
  std::map<std::string, Attribute> narrow = window;
  narrow["group"] = int64_t{100};
  const auto floats = [&](Shape shape) {
    return maker.RandomFloats(std::move(shape), -1, 1);
  };
  const auto bits = [&](Shape shape) {
    return maker.RandomBits(DataType::kBipolar, std::move(shape));
  };
  return {
      // One row: split by channels. Many rows: by rows.
      {"Gemm", {kBatch, 900}, {}, {{"weight", floats({2001, 900})}}},
      {"Gemm", {kBatch, 301, 90}, {}, {{"weight", floats({101, 90})}}},
      {"BinaryWeightGemm",
       {kBatch, 900},
       {},
       {{"weight", bits({2, 2001, 900})}, {"alpha", floats({2, 2001})}}},
      {"BinaryWeightGemm",
       {kBatch, 301, 90},
       {},
       {{"weight", bits({1, 101, 90})}}},
      {"Conv",
       {kBatch, 31, 29, 40},
       window,
       {{"weight", floats({70, 3, 3, 40})}, {"bias", floats({70})}}},
      {"Conv",
       {kBatch, 31, 29, 40},
       grouped,
       {{"weight", floats({70, 3, 3, 20})}}},
      {"Conv",
       {kBatch, 31, 29, 40},
       depthwise,
       {{"weight", floats({40, 3, 3, 1})}}},
      {"BinaryWeightConv",
       {kBatch, 31, 29, 40},
       grouped,
       {{"weight", bits({1, 70, 3, 3, 20})}, {"mul", floats({70})}}},
      {"BinaryConv",
       {kBatch, 61, 59, 400},
       narrow,
       {{"weight", bits({1, 400, 3, 3, 4})}}},
      // Packed output, split by channels at cache lines.
      {"BinaryGemm",
       {kBatch, 4096},
       {{"output_type", std::string("bipolar")}},
       {{"weight", bits({1, 1100, 4096})}}},
      {"MaxPool", {kBatch, 61, 59, 37}, window, {}},
      {"AveragePool", {kBatch, 61, 59, 37}, window, {}},
      {"GlobalAveragePool", {kBatch, 61, 59, 37}, {}, {}},
      {"Relu", {kBatch, 61, 59, 37}, {}, {}},
      {"Add", {kBatch, 61, 59, 10}, {}, {{"value", floats({10})}}},
      {"PRelu", {kBatch, 61, 59, 37}, {}, {{"slope", floats({37})}}},
      {"Softmax", {kBatch, 301, 91}, {}, {}},
  };
}

std::vector<float> RunOp(const Model& model, const std::string& backend,
                         int threads, const std::vector<float>& input,
                         int64_t batch) {
  auto session = Session::Create(
      model, {.threads = threads, .max_batch = batch, .backend = backend});
  EXPECT_TRUE(session.ok()) << session.status().message();
  if (!session.ok()) return {};
  EXPECT_EQ(session->backend(), backend);
  const auto count = ElementCount(model.output(0).shape, batch);
  std::vector<float> output(static_cast<size_t>(*count));
  const Status status = session->Run(input, output);
  EXPECT_TRUE(status.ok()) << status.message();
  return output;
}

TEST(CpuThreads, NeverChangeABit) {
  constexpr int64_t kBatchSize = 2;
  SCOPED_TRACE(::testing::Message() << "seed " << kSeed);
  GraphMaker maker(kSeed);
  int ran = 0;
  for (const LargeOp& large : LargeOps(maker)) {
    Graph graph = maker.Start(large.input);
    std::string from = "x";
    if (large.op == "BinaryConv" || large.op == "BinaryGemm") {
      from = "bits";
      GraphMaker::Add(graph, "Binarize", from, {"x"}, {}, {});
    }
    GraphMaker::Add(graph, large.op, "y", {from}, large.attributes,
                    large.constants);
    if (large.attributes.contains("output_type")) {
      GraphMaker::Add(
          graph, "BinaryGemm", "sums", {"y"}, {},
          {{"weight", maker.RandomBits(DataType::kBipolar, {1, 50, 1100})}});
    }
    auto model = Model::FromGraph(std::move(graph));
    ASSERT_TRUE(model.ok()) << model.status().message();
    const auto count = ElementCount(large.input, kBatchSize);
    const std::vector<float> input =
        maker.Floats(static_cast<size_t>(*count), -1, 1);
    const auto backends = ListBackends();
    for (const BackendInfo& backend : *backends) {
      if (backend.score == 0 || !backend.name.starts_with("cpu:")) continue;
      SCOPED_TRACE(large.op + " on " + backend.name);
      const auto want = RunOp(*model, backend.name, 1, input, kBatchSize);
      for (int threads : {2, 5}) {
        EXPECT_TRUE(RunOp(*model, backend.name, threads, input, kBatchSize) ==
                    want)
            << threads << " threads";
      }
      ++ran;
    }
  }
  EXPECT_GT(ran, 0) << "no cpu backend";
  BQE_SKIP_ON_ONE_CORE();
}

}  // namespace
}  // namespace bqengine
