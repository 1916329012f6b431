// The parts of bq-run: predictions, layers' times, runs of several inputs and
// of bits, what disturbs them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/memory.h"
#include "common/statistics.h"
#include "common_test_util.h"
#include "run/inputs.h"
#include "run/interference.h"
#include "run/predict.h"
#include "run/profile.h"
#include "run/provenance.h"
#include "run/runner.h"
#include "tests/support/graph_maker.h"

namespace bqengine::run {
namespace {

using testing::GraphMaker;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<int64_t> Indices(const std::vector<Prediction>& predictions) {
  std::vector<int64_t> indices;
  for (const Prediction& p : predictions) indices.push_back(p.index);
  return indices;
}

TEST(Classify, SortsAndBreaksTiesByIndex) {
  const std::vector<float> scores = {0.5f, 2.5f, -1, 2.5f, 0.25f};
  EXPECT_EQ(Indices(Classify(scores, 3, false)),
            (std::vector<int64_t>{1, 3, 0}));
  EXPECT_EQ(Classify(scores, 99, false).size(), 5u);
  EXPECT_EQ(Indices(Classify(std::vector<float>{kNan, -kInf, 1}, 3, false)),
            (std::vector<int64_t>{2, 0, 1}));
}

TEST(Classify, ConfidenceIsSoftmax) {
  const std::vector<float> scores = {1.5f, 0.25f, -2};
  const double sum = std::exp(1.5) + std::exp(0.25) + std::exp(-2.0);
  const auto top = Classify(scores, 3, false);
  EXPECT_NEAR(*top[0].confidence, std::exp(1.5) / sum, 1e-12);
  EXPECT_NEAR(*top[2].confidence, std::exp(-2.0) / sum, 1e-12);
  // Scores far beyond the range of exp.
  const auto far = Classify(std::vector<float>{5000.5f, -5000}, 2, false);
  EXPECT_EQ(*far[0].confidence, 1);
  EXPECT_EQ(*far[1].confidence, 0);
}

TEST(Classify, ProbabilitiesStayAsTheyAre) {
  const auto top = Classify(std::vector<float>{0.25f, 0.75f}, 2, true);
  EXPECT_EQ(*top[0].confidence, 0.75);
  EXPECT_EQ(*Classify(std::vector<float>{0, 1}, 1, true)[0].confidence, 1);
}

TEST(Classify, MakesUpNoProbability) {
  for (const std::vector<float>& scores : std::vector<std::vector<float>>{
           {3, -17, 44}, {0.5f}, {0.5f, kNan}, {0.5f, kInf}}) {
    EXPECT_FALSE(Classify(scores, 1, false)[0].confidence.has_value());
  }
}

Model MakeModel(Graph graph) {
  auto model = Model::FromGraph(std::move(graph));
  EXPECT_TRUE(model.ok()) << model.status().message();
  return *std::move(model);
}

TEST(Classify, NamesAndText) {
  GraphMaker maker(1);
  Graph graph = maker.Start({kBatch, 2});
  GraphMaker::Add(graph, "Relu", "y", {"x"});
  graph.labels = {"cat", "d\nog"};
  const Model model = MakeModel(graph);
  EXPECT_EQ(ClassName(model, 2, 1), "d?og");
  EXPECT_EQ(ClassName(model, 3, 1), "1");
  EXPECT_EQ(PredictionText(model, 2, {0, 1.5f, 0.998}), "cat (99.8 %)");
  EXPECT_EQ(PredictionText(model, 2, {0, 31, std::nullopt}), "cat (score 31)");
  EXPECT_FALSE(EndsInSoftmax(model, 0));
  GraphMaker::Add(graph, "Softmax", "z", {"y"});
  EXPECT_TRUE(EndsInSoftmax(MakeModel(graph), 0));
}

// x + y, and the sign of it, at once.
Model TwoInTwoOut() {
  GraphMaker maker(1);
  Graph graph = maker.Start({kBatch, 70});
  graph.inputs.push_back(
      {.name = "y", .info = {DataType::kFloat32, {kBatch, 70}}});
  GraphMaker::Add(graph, "Add", "sum", {"x", "y"});
  GraphMaker::Add(graph, "Binarize", "sign", {"sum"},
                  {{"encoding", std::string("bipolar")}});
  GraphMaker::Add(graph, "Binarize", "step", {"sum"},
                  {{"encoding", std::string("unipolar")}});
  graph.outputs = {{.name = "sum"}, {.name = "sign"}, {.name = "step"}};
  return MakeModel(graph);
}

TEST(Runner, SlicesInputsAndExpandsBits) {
  const Model model = TwoInTwoOut();
  GraphMaker maker(2);
  constexpr size_t kItems = 5, kFeatures = 70;
  const std::vector<float> x = maker.Floats(kItems * kFeatures, -1, 1);
  const std::vector<float> y = maker.Floats(kItems * kFeatures, -1, 1);
  const std::vector<Values> inputs = {x, y};
  auto runner = Runner::Create(model, {}, 2);
  ASSERT_TRUE(runner.ok()) << runner.status().message();
  ASSERT_TRUE(runner->Run(3, 2, inputs).ok());
  EXPECT_EQ(runner->last_batch(), 2);
  ASSERT_EQ(runner->output(0).size(), 2 * kFeatures);
  ASSERT_EQ(runner->output(1).size(), 2 * kFeatures);
  ASSERT_EQ(runner->output(2).size(), 2 * kFeatures);
  for (size_t i = 0; i < 2 * kFeatures; ++i) {
    const size_t at = 3 * kFeatures + i;
    const float sum = x[at] + y[at];
    EXPECT_EQ(runner->output(0)[i], sum);
    EXPECT_EQ(runner->output(1)[i], sum >= 0 ? 1 : -1) << i;
    EXPECT_EQ(runner->output(2)[i], sum >= 0 ? 1 : 0) << i;
  }
  // A smaller last run.
  ASSERT_TRUE(runner->Run(0, 1, inputs).ok());
  EXPECT_EQ(runner->output(1).size(), kFeatures);
  EXPECT_EQ(runner->last_batch(), 1);
}

// Out come the integers that went in.
TEST(Runner, TakesAndGivesIntegers) {
  for (const DataType type : {DataType::kInt8, DataType::kUint8}) {
    Graph graph;
    graph.inputs = {{.name = "x", .info = {type, {kBatch, 2, 2}}}};
    GraphMaker::Add(graph, "Flatten", "y", {"x"});
    auto runner = Runner::Create(MakeModel(graph), {}, 1);
    ASSERT_TRUE(runner.ok()) << runner.status().message();
    const std::vector<Values> inputs = {
        std::vector<uint8_t>{9, 9, 9, 9, 0, 1, 127, 200}};
    ASSERT_TRUE(runner->Run(1, 1, inputs).ok());
    const std::vector<float> y(runner->output(0).begin(),
                               runner->output(0).end());
    const float last = type == DataType::kInt8 ? -56 : 200;
    EXPECT_EQ(y, (std::vector<float>{0, 1, 127, last}));
  }
}

TEST(Runner, RefusesInputsOfBits) {
  Graph graph;
  graph.inputs = {
      {.name = "x", .info = {DataType::kBipolar, {kBatch, 4, 4, 8}}}};
  GraphMaker::Add(graph, "BinaryMaxPool", "y", {"x"},
                  {{"kernel_shape", std::vector<int64_t>{2, 2}}});
  const auto runner = Runner::Create(MakeModel(graph), {}, 1);
  EXPECT_EQ(runner.status().code(), StatusCode::kUnsupported);
  EXPECT_NE(runner.status().message().find("'x' takes bipolar"),
            std::string::npos);
}

TEST(Profile, MediansOfFullBatchesSinceTheWarmUp) {
  GraphMaker maker(3);
  Graph graph = maker.Start({kBatch, 100});
  GraphMaker::Add(graph, "Gemm", "y", {"x"}, {},
                  {{"weight", maker.RandomFloats({50, 100}, -1, 1)}});
  GraphMaker::Add(graph, "Relu", "z", {"y"});
  Options options;
  options.profile = "unused";
  auto runner = Runner::Create(MakeModel(graph), options, 4);
  ASSERT_TRUE(runner.ok()) << runner.status().message();
  const std::vector<Values> inputs = {maker.Floats(600, -1, 1)};
  const Result<int64_t> warm_up = runner->WarmUp(6, 0, inputs);
  ASSERT_TRUE(warm_up.ok()) << warm_up.status().message();
  EXPECT_GE(*warm_up, 1);
  EXPECT_TRUE(runner->layer_us().empty());

  std::vector<std::vector<double>> times(2);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(runner->Run(0, 4, inputs).ok());
    const auto nodes = runner->session().profile();
    for (size_t k = 0; k < 2; ++k) times[k].push_back(nodes[k].last_us);
  }
  ASSERT_TRUE(runner->Run(4, 2, inputs).ok());
  EXPECT_EQ(runner->layer_us(), times);

  const auto layers = LayerTimes(*runner);
  ASSERT_EQ(layers.size(), 2u);
  EXPECT_EQ(layers[0].op, "Gemm");
  for (size_t k = 0; k < 2; ++k) {
    EXPECT_EQ(layers[k].us, tools::Summarize(times[k]).median);
  }
  EXPECT_NEAR(layers[0].share + layers[1].share, 1, 1e-12);
  EXPECT_EQ(layers[1].macs_per_second, 0);
  // Four items of 5000 multiply-adds in this time, though the last run had two.
  EXPECT_NEAR(layers[0].macs_per_second, 4 * 5000 / layers[0].us * 1e6,
              1e-6 * layers[0].macs_per_second);
}

TEST(Profile, TracesTheRunNearestToTheMedian) {
  GraphMaker maker(4);
  Graph graph = maker.Start({kBatch, 64});
  GraphMaker::Add(graph, "Relu", "y", {"x"});
  GraphMaker::Add(graph, "Relu", "z", {"y"});
  Options options;
  options.profile = "unused";
  auto runner = Runner::Create(MakeModel(graph), options, 1);
  ASSERT_TRUE(runner.ok()) << runner.status().message();
  const std::vector<Values> inputs = {maker.Floats(64, -1, 1)};
  std::vector<std::vector<NodeProfile>> runs;
  std::vector<double> run_us;
  const double cpu_start_us = ProcessCpuUs();
  for (int i = 0; i < 101; ++i) {
    ASSERT_TRUE(runner->Run(0, 1, inputs).ok());
    runs.push_back(runner->session().profile());
    run_us.push_back(runner->last_us());
  }
  const double all_cpu_us = ProcessCpuUs() - cpu_start_us;
  EXPECT_EQ(runner->run_us(), run_us);
  EXPECT_GT(runner->cpu_us(), 0);
  EXPECT_LE(runner->cpu_us() * 101, all_cpu_us * 1.001);

  // An odd number of runs: one has the median.
  const double median = tools::Summarize(run_us).median;
  const auto at = static_cast<size_t>(
      std::find(run_us.begin(), run_us.end(), median) - run_us.begin());
  ASSERT_LT(at, runs.size());
  const std::vector<NodeProfile> typical = runner->TypicalRun();
  ASSERT_EQ(typical.size(), 2u);
  for (size_t k = 0; k < 2; ++k) {
    EXPECT_EQ(typical[k].name, runs[at][k].name);
    EXPECT_EQ(typical[k].last_us, runs[at][k].last_us);
    EXPECT_EQ(typical[k].last_start_us, runs[at][k].last_start_us);
  }
}

TEST(Interference, ReadsWhatAllCoresDid) {
  Usage usage;
  ParseProcStat(
      "cpu  100 20 30 4000 500 6 7 8 900 0\n"
      "cpu0 50 10 15 2000 250 3 3 4 450 0\n"
      "cpu1 50 10 15 2000 250 3 4 4 450 0\nintr 5 cpu\n",
      100, &usage);
  // Neither idle nor waiting for disks; what guests used is in user already.
  ASSERT_TRUE(usage.busy_us);
  EXPECT_DOUBLE_EQ(*usage.busy_us, (100 + 20 + 30 + 6 + 7 + 8) * 1e4);
  EXPECT_EQ(usage.cores, 2);
  for (const char* text : {"", "cpu 1 2", "x"}) {
    Usage none;
    ParseProcStat(text, 100, &none);
    EXPECT_FALSE(none.busy_us) << text;
  }
}

TEST(Interference, TellsAQuietMachineFromABusyOne) {
  const Usage before = {.wall_us = 5e6,
                        .cpu_us = 1e6,
                        .waited_us = 3e5,
                        .busy_us = 80e6,
                        .cores = 2};
  // One second of work of our own, and nothing else.
  Usage after = {.wall_us = 6e6,
                 .cpu_us = 2e6,
                 .waited_us = 3e5,
                 .busy_us = 81.05e6,
                 .cores = 2};
  Interference quiet = InterferenceBetween(before, after);
  EXPECT_EQ(quiet.waited_share, 0);
  EXPECT_NEAR(*quiet.others_cores, 0.05, 1e-9);
  EXPECT_FALSE(quiet.disturbed());

  // Somebody on the other core.
  after.busy_us = 82e6;
  const Interference beside = InterferenceBetween(before, after);
  EXPECT_NEAR(*beside.others_cores, 1, 1e-9);
  EXPECT_TRUE(beside.disturbed());
  EXPECT_NE(beside.Text().find("others use the machine: runs waited for a core "
                               "0 % of the time, others kept 1.0 of 2 cores "
                               "busy"),
            std::string::npos)
      << beside.Text();

  // Somebody on ours: half a second each.
  after.cpu_us = 1.5e6;
  after.waited_us = 8e5;
  after.busy_us = 81e6;
  const Interference before_us = InterferenceBetween(before, after);
  EXPECT_NEAR(*before_us.waited_share, 0.5, 1e-9);
  EXPECT_TRUE(before_us.disturbed());

  // Too short for ticks; and a system that tells nothing.
  after.wall_us = before.wall_us + 1e5;
  EXPECT_FALSE(InterferenceBetween(before, after).others_cores);
  EXPECT_TRUE(InterferenceBetween(before, after).disturbed());
  after.waited_us.reset();
  EXPECT_FALSE(InterferenceBetween(before, after).waited_share);
  EXPECT_FALSE(InterferenceBetween(before, after).disturbed());
}

TEST(Provenance, SaysWhatWhereAndWhen) {
  const Provenance here = ProvenanceNow();
  EXPECT_FALSE(here.version.empty());
  EXPECT_FALSE(here.cpu.empty());
  EXPECT_EQ(here.date.size(), std::string("2026-11-27T17:20:25Z").size());
  EXPECT_EQ(here.date[10], 'T');
  EXPECT_EQ(here.date.back(), 'Z');
  const std::string commit = here.commit.substr(0, here.commit.find('-'));
  EXPECT_TRUE(
      commit == "unknown" ||
      (commit.size() == 40 &&
       commit.find_first_not_of("0123456789abcdef") == std::string::npos))
      << here.commit;
}

TEST(Profile, TableAndShortLines) {
  std::vector<LayerTime> layers = {
      {"conv1", "BinaryConv", "28x28x32", "cpu:avx2", 12.34, 0.75, 2.5e12},
      {"relu", "Relu", "28x28x32", "reference", 4, 0.25, 0}};
  EXPECT_EQ(LayerTable(layers, 80),
            "layer  op          output    median us      %   MAC/s  backend\n"
            "conv1  BinaryConv  28x28x32       12.3   75.0  2.50 T  cpu:avx2\n"
            "relu   Relu        28x28x32        4.0   25.0       -  reference\n"
            "sum                               16.3  100.0\n");
  EXPECT_EQ(LayerTable(layers, 40),
            "conv1\n  median 12.3 us, 75.0 %\n  2.50 TMAC/s\n"
            "  BinaryConv 28x28x32\n  cpu:avx2\n"
            "relu\n  median 4.00 us, 25.0 %\n  Relu 28x28x32\n  reference\n"
            "sum\n  16.3 us\n");
  // Without times, as for a model that is only looked at.
  for (LayerTime& layer : layers) layer.us = layer.macs_per_second = 0;
  EXPECT_EQ(LayerTable(layers, 80),
            "layer  op          output    backend\n"
            "conv1  BinaryConv  28x28x32  cpu:avx2\n"
            "relu   Relu        28x28x32  reference\n");
  EXPECT_EQ(LayerTable(layers, 20),
            "conv1\n  BinaryConv 28x28x32\n  cpu:avx2\n"
            "relu\n  Relu 28x28x32\n  reference\n");
}

TEST(MakeVector, SaysWhatDoesNotFit) {
  const auto good = tools::MakeVector<float>(3, "x");
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, std::vector<float>(3));
  std::vector<int64_t> counts = {int64_t{1} << 62};  // more than a vector holds
#if !defined(__SANITIZE_ADDRESS__)     // which ends a program that asks for it
  counts.push_back(int64_t{1} << 58);  // more than there is
#endif
  for (const int64_t count : counts) {
    const auto bad = tools::MakeVector<float>(count, "x");
    EXPECT_EQ(bad.status().code(), StatusCode::kOutOfMemory);
    EXPECT_EQ(bad.status().message(),
              "x: no memory for " + std::to_string(count) + " times 4 bytes");
  }
}

TEST(Profile, ChromeTraceHasOneEventForEachLayer) {
  std::vector<NodeProfile> nodes(2);
  nodes[0] = {.name = "a\"\xff",
              .op = "Conv",
              .backend = "b",
              .output_shape = "3",
              .macs = 7,
              .last_start_us = 1.5,
              .last_us = 2.5,
              .total_us = 9,
              .runs = 3};
  nodes[1].name = "second";
  const auto trace = nlohmann::json::parse(ChromeTrace(nodes, "net"));
  std::vector<nlohmann::json> complete;
  for (const auto& event : trace.at("traceEvents")) {
    EXPECT_TRUE(event.contains("pid") && event.contains("tid"));
    if (event.at("ph") == "X") complete.push_back(event);
  }
  ASSERT_EQ(complete.size(), 2u);
  EXPECT_EQ(complete[0].at("ts"), 1.5);
  EXPECT_EQ(complete[0].at("dur"), 2.5);
  EXPECT_EQ(complete[0].at("cat"), "Conv");
  EXPECT_EQ(complete[0].at("args").at("macs"), 7);
  EXPECT_EQ(complete[1].at("name"), "second");
  for (const char* key : {"version", "commit", "cpu", "date"}) {
    EXPECT_FALSE(trace.at("otherData").at(key).get<std::string>().empty());
  }
}

// Pixels into models of pictures and of vectors.
TEST(Inputs, PixelsFitTheModelOrAreRefused) {
  GraphMaker maker(1);
  const auto model_of = [&maker](Shape shape) {
    Graph graph = maker.Start(std::move(shape));
    graph.inputs[0].preprocess.scale = 0.5f;
    GraphMaker::Add(graph, "Relu", "y", {"x"});
    return MakeModel(graph);
  };
  std::vector<std::string> notes;
  const auto note = [&notes](const std::string& line) {
    notes.push_back(line);
  };
  const tools::PixelBatch gray{1, 2, 2, 1, {2, 4, 6, 8}};
  const std::vector<float> halves = {1, 2, 3, 4};
  for (const Shape& shape : {Shape{kBatch, 2, 2, 1}, Shape{kBatch, 4}}) {
    const auto values = PixelsToValues(model_of(shape), gray, "g", note);
    ASSERT_TRUE(values.ok()) << values.status().message();
    EXPECT_EQ(std::get<std::vector<float>>(*values), halves);
  }
  EXPECT_TRUE(notes.empty());
  Graph integers = maker.Start({kBatch, 2, 2, 1});
  GraphMaker::Add(integers, "Flatten", "y", {"x"});
  integers.inputs[0].info.type = DataType::kUint8;
  const auto as_they_are = PixelsToValues(MakeModel(integers), gray, "g", note);
  ASSERT_TRUE(as_they_are.ok()) << as_they_are.status().message();
  EXPECT_EQ(std::get<std::vector<uint8_t>>(*as_they_are), gray.pixels);
  integers.inputs[0].info.type = DataType::kInt8;
  tools::ExpectFileError(
      PixelsToValues(MakeModel(integers), gray, "g", note).status(),
      StatusCode::kInvalidArgument, "g", "takes int8, not pixels");
  const auto resized =
      PixelsToValues(model_of({kBatch, 4, 3, 1}), gray, "g", note);
  ASSERT_TRUE(resized.ok()) << resized.status().message();
  EXPECT_EQ(std::get<std::vector<float>>(*resized).size(), 12u);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0], "g: resized from 2x2 to 3x4");

  for (const Shape& shape : {Shape{kBatch, 2, 2, 3}, Shape{kBatch, 2, 2, 2},
                             Shape{kBatch, 5}, Shape{kBatch, 4, 1}}) {
    const auto values = PixelsToValues(model_of(shape), gray, "g", note);
    tools::ExpectFileError(values.status(), StatusCode::kInvalidArgument, "g",
                           "");
  }
  tools::ExpectFileError(
      PixelsToValues(TwoInTwoOut(), gray, "g", note).status(),
      StatusCode::kInvalidArgument, "g", "one input");
}

}  // namespace
}  // namespace bqengine::run
