#include "bqengine/session.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <thread>

#include "bqengine/registry.h"
#include "tests/support/graph_maker.h"
#include "tests/support/one_core.h"

namespace bqengine {
namespace {

using testing::GraphMaker;

// Float in, two binary layers, float out.
Model SmallModel(uint32_t seed = 1) {
  GraphMaker maker(seed);
  Graph graph = maker.Start({kBatch, 8, 8, 3});
  GraphMaker::Add(graph, "Binarize", "bits", {"x"});
  GraphMaker::Add(
      graph, "BinaryConv", "conv", {"bits"},
      {{"kernel_shape", std::vector<int64_t>{3, 3}},
       {"pads", std::vector<int64_t>{1, 1, 1, 1}},
       {"output_type", std::string("bipolar")}},
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, 70, 3, 3, 3})},
       {"threshold", maker.RandomFloats({70}, -3, 3)}});
  GraphMaker::Add(graph, "Flatten", "flat", {"conv"});
  GraphMaker::Add(
      graph, "BinaryGemm", "scores", {"flat"}, {},
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, 10, 8 * 8 * 70})},
       {"mul", maker.RandomFloats({10}, -1, 1)}});
  auto model = Model::FromGraph(std::move(graph));
  EXPECT_TRUE(model.ok()) << model.status().message();
  return *std::move(model);
}

std::vector<float> RunModel(const Model& model, const SessionOptions& options,
                            const std::vector<float>& input) {
  auto session = Session::Create(model, options);
  EXPECT_TRUE(session.ok()) << session.status().message();
  if (!session.ok()) return {};
  std::vector<float> output(input.size() / 192 * 10);
  const Status status = session->Run(input, output);
  EXPECT_TRUE(status.ok()) << status.message();
  return output;
}

TEST(Session, SameBitsForEveryBackendThreadCountAndBatch) {
  const Model model = SmallModel();
  const auto input = GraphMaker(2).Floats(7 * 192, -1, 1);
  const auto expected =
      RunModel(model, {.max_batch = 7, .backend = "reference"}, input);
  int usable = 0;
  const auto backends = ListBackends();
  for (const BackendInfo& backend : *backends) {
    if (backend.score == 0) continue;
    ++usable;
    for (int threads : {1, 2, 5}) {
      SCOPED_TRACE(backend.name + ", threads " + std::to_string(threads));
      const SessionOptions options = {
          .threads = threads, .max_batch = 7, .backend = backend.name};
      EXPECT_EQ(RunModel(model, options, input), expected);
      const std::vector<float> first(input.begin(), input.begin() + 192);
      EXPECT_EQ(RunModel(model, options, first),
                std::vector<float>(expected.begin(), expected.begin() + 10));
    }
  }
  EXPECT_GE(usable, 1);
  BQE_SKIP_ON_ONE_CORE();
}

TEST(Session, ForcedBackendDoesTheWork) {
  auto session = Session::Create(SmallModel(), {.backend = "reference"});
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session->backend(), "reference");
  for (const NodeProfile& node : session->profile()) {
    EXPECT_EQ(node.backend, "reference");
  }
}

TEST(Session, EnvironmentForcesABackendUnlessTheCallerDoes) {
  ASSERT_EQ(setenv("BQENGINE_BACKEND", "reference", 1), 0);
  auto session = Session::Create(SmallModel());
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session->backend(), "reference");
  ASSERT_EQ(setenv("BQENGINE_BACKEND", "no such backend", 1), 0);
  EXPECT_EQ(Session::Create(SmallModel()).status().code(),
            StatusCode::kNotFound);
  EXPECT_TRUE(Session::Create(SmallModel(), {.backend = "reference"}).ok());
  unsetenv("BQENGINE_BACKEND");
}

TEST(Session, FamilyMeansItsBestMember) {
  std::string best;
  const auto backends = ListBackends();
  for (const BackendInfo& backend : *backends) {
    if (best.empty() && backend.name.starts_with("cpu:") && backend.score > 0) {
      best = backend.name;
    }
  }
  if (best.empty()) GTEST_SKIP() << "no cpu backend can run on this machine";
  auto session = Session::Create(SmallModel(), {.backend = "cpu"});
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session->backend(), best);
}

TEST(Session, BadOptionsAreRefused) {
  const Model model = SmallModel();
  const auto code = [&](SessionOptions options) {
    return Session::Create(model, options).status().code();
  };
  EXPECT_EQ(code({.threads = -1}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.threads = 1 << 20}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.max_batch = 0}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.max_batch = std::numeric_limits<int64_t>::max()}),
            StatusCode::kOutOfMemory);
  EXPECT_EQ(code({.backend = "tpu"}), StatusCode::kNotFound);
  auto all = Session::Create(model, {.threads = 0});
  auto many = Session::Create(model, {.threads = 1000});
  ASSERT_TRUE(all.ok() && many.ok());
  EXPECT_GE(all->threads(), 1);
  EXPECT_EQ(many->threads(), all->threads());
}

TEST(Session, BadViewsAreRefused) {
  auto session = Session::Create(SmallModel(), {.max_batch = 2});
  ASSERT_TRUE(session.ok());
  std::vector<float> input(2 * 192 + 1), output(2 * 10 + 1);
  const auto run = [&](int64_t batch, const float* in, size_t in_bytes,
                       float* out, size_t out_bytes) {
    const InputView input_view = {in, in_bytes};
    const OutputView output_view = {out, out_bytes};
    return session->Run(batch, {&input_view, 1}, {&output_view, 1}).code();
  };
  float* in = input.data();
  float* out = output.data();
  constexpr auto kInvalid = StatusCode::kInvalidArgument;
  EXPECT_EQ(run(1, in, 768, out, 40), StatusCode::kOk);
  EXPECT_EQ(run(2, in, 1536, out, 80), StatusCode::kOk);
  EXPECT_EQ(run(0, in, 0, out, 0), kInvalid);
  EXPECT_EQ(run(-1, in, 768, out, 40), kInvalid);
  EXPECT_EQ(run(3, in, 2304, out, 120), kInvalid);
  EXPECT_EQ(run(1, in, 767, out, 40), kInvalid);
  EXPECT_EQ(run(1, in, 768, out, 44), kInvalid);
  EXPECT_EQ(run(1, nullptr, 768, out, 40), kInvalid);
  EXPECT_EQ(run(1, in, 768, nullptr, 40), kInvalid);
  EXPECT_EQ(run(1, in, 768, in + 100, 40), kInvalid);
  const auto odd = reinterpret_cast<float*>(reinterpret_cast<char*>(in) + 2);
  EXPECT_EQ(run(1, odd, 768, out, 40), kInvalid);
  EXPECT_EQ(session->Run({}, {}).code(), kInvalid);
  // And it still works.
  EXPECT_EQ(run(2, in, 1536, out, 80), StatusCode::kOk);
}

TEST(Session, ManySessionsOfOneModelRunAtOnce) {
  const Model model = SmallModel();
  const auto input = GraphMaker(3).Floats(192, -1, 1);
  const auto expected = RunModel(model, {}, input);
  std::vector<std::thread> threads;
  std::vector<std::vector<float>> results(6);
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 20; ++k) {
        results[i] =
            RunModel(model, {.threads = static_cast<int>(1 + i % 2)}, input);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, expected);
  BQE_SKIP_ON_ONE_CORE();
}

TEST(Session, OutlivesTheModelHandle) {
  const auto input = GraphMaker(4).Floats(192, -1, 1);
  auto session = Session::Create(SmallModel(4));
  ASSERT_TRUE(session.ok());
  Session moved = *std::move(session);
  std::vector<float> output(10);
  EXPECT_TRUE(moved.Run(input, output).ok());
  EXPECT_EQ(output, RunModel(SmallModel(4), {}, input));
}

TEST(Session, OutputsInTheMiddleOfTheGraphAndViewsOfThem) {
  GraphMaker maker(5);
  Graph graph = maker.Start({kBatch, 2, 2, 3});
  GraphMaker::Add(graph, "Flatten", "flat_x", {"x"});
  GraphMaker::Add(graph, "Relu", "relu", {"x"});
  GraphMaker::Add(graph, "Flatten", "flat", {"relu"});
  GraphMaker::Add(graph, "Reshape", "again", {"flat"},
                  {{"shape", std::vector<int64_t>{0, 4, -1}}});
  GraphMaker::Add(graph, "Mul", "twice", {"again"}, {},
                  {{"value", Constant::Floats({1}, {2})}});
  graph.outputs = {{.name = "twice"}, {.name = "relu"}, {.name = "flat_x"}};
  auto model = Model::FromGraph(graph);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->output(0).shape, (Shape{kBatch, 4, 3}));
  auto session = Session::Create(*model, {.max_batch = 2});
  ASSERT_TRUE(session.ok());
  const auto x = maker.Floats(24, -1, 1);
  std::vector<float> twice(24), relu(24), flat(24);
  const InputView input = {x.data(), 96};
  const OutputView outputs[] = {
      {twice.data(), 96}, {relu.data(), 96}, {flat.data(), 96}};
  ASSERT_TRUE(session->Run(2, {&input, 1}, outputs).ok());
  for (int i = 0; i < 24; ++i) {
    EXPECT_EQ(relu[i], x[i] < 0 ? 0 : x[i]);
    EXPECT_EQ(twice[i], 2 * relu[i]);
    EXPECT_EQ(flat[i], x[i]);
  }
}

TEST(Session, OutputsMustNotOverlap) {
  GraphMaker maker(6);
  Graph graph = maker.Start({kBatch, 8});
  GraphMaker::Add(graph, "Relu", "a", {"x"});
  GraphMaker::Add(graph, "Softmax", "b", {"a"});
  graph.outputs = {{.name = "a"}, {.name = "b"}};
  auto model = Model::FromGraph(graph);
  ASSERT_TRUE(model.ok());
  auto session = Session::Create(*model);
  ASSERT_TRUE(session.ok());
  const std::vector<float> x(8);
  std::vector<float> y(16);
  const InputView input = {x.data(), 32};
  for (int offset : {0, 1, 7, 8}) {
    const OutputView outputs[] = {{y.data(), 32}, {y.data() + offset, 32}};
    EXPECT_EQ(session->Run(1, {&input, 1}, outputs).ok(), offset == 8);
  }
}

TEST(Session, FloatsAreNotReadAsBits) {
  GraphMaker maker(7);
  Graph graph = maker.Start({kBatch, 64});
  graph.inputs[0].info.type = DataType::kBipolar;
  GraphMaker::Add(
      graph, "BinaryGemm", "y", {"x"}, {},
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, 2, 64})}});
  auto model = Model::FromGraph(graph);
  ASSERT_TRUE(model.ok());
  auto session = Session::Create(*model);
  ASSERT_TRUE(session.ok());
  const std::vector<float> x(2);
  std::vector<float> y(2);
  EXPECT_EQ(session->Run(x, y).code(), StatusCode::kInvalidArgument);
}

// Kernels count whole words: a bit beyond a row's end would be counted.
TEST(Session, StrayBitsOfInputsAreRefused) {
  for (DataType type : {DataType::kBipolar, DataType::kUnipolar}) {
    for (int64_t k : {1, 63, 64, 65, 130}) {
      SCOPED_TRACE(std::string(DataTypeName(type)) + " " + std::to_string(k));
      GraphMaker maker(10);
      Graph graph = maker.Start({kBatch, 2, k});
      graph.inputs[0].info.type = type;
      GraphMaker::Add(graph, "BinaryGemm", "y", {"x"}, {},
                      {{"weight", maker.RandomBits(type, {1, 3, k})}});
      auto model = Model::FromGraph(graph);
      ASSERT_TRUE(model.ok()) << model.status().message();
      const size_t row_words = static_cast<size_t>((k + 63) / 64);
      for (const char* backend : {"reference", "cpu"}) {
        auto session =
            Session::Create(*model, {.max_batch = 2, .backend = backend});
        ASSERT_TRUE(session.ok()) << session.status().message();
        std::vector<uint64_t> x(2 * 2 * row_words);
        std::vector<float> y(2 * 2 * 3);
        const InputView input = {x.data(), x.size() * 8};
        const OutputView output = {y.data(), y.size() * 4};
        EXPECT_TRUE(session->Run(2, {&input, 1}, {&output, 1}).ok());
        if (k % 64 == 0) continue;
        x[4 * row_words - 1] = uint64_t{1} << (k % 64);
        const Status status = session->Run(2, {&input, 1}, {&output, 1});
        EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
        EXPECT_NE(status.message().find("'x': row 3"), std::string::npos)
            << status.message();
      }
    }
  }
}

// A picture of bytes: no alignment, no other size; passes change nothing.
TEST(Session, TakesIntegers) {
  GraphMaker maker(8);
  Graph graph = maker.Start({kBatch, 4, 4, 16});
  graph.inputs[0].info.type = DataType::kUint8;
  GraphMaker::Add(graph, "Flatten", "flat", {"x"});
  GraphMaker::Add(graph, "Binarize", "bits", {"flat"}, {},
                  {{"threshold", Constant::Floats({1}, {127.5f})}});
  GraphMaker::Add(
      graph, "BinaryGemm", "y", {"bits"}, {},
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, 5, 256})}});
  auto model = Model::FromGraph(graph);
  ASSERT_TRUE(model.ok()) << model.status().message();
  std::vector<uint8_t> memory(1 + 256);
  for (uint8_t& value : memory) value = uint8_t(maker.Int(0, 255));
  const InputView input = {memory.data() + 1, 256};
  std::vector<std::vector<float>> results;
  for (bool optimize : {false, true}) {
    auto session = Session::Create(*model, {.optimize = optimize});
    ASSERT_TRUE(session.ok()) << session.status().message();
    std::vector<float> y(5);
    const OutputView output = {y.data(), 20};
    const Status status = session->Run(1, {&input, 1}, {&output, 1});
    ASSERT_TRUE(status.ok()) << status.message();
    results.push_back(y);
    const InputView floats = {memory.data(), 4 * 256};
    EXPECT_EQ(session->Run(1, {&floats, 1}, {&output, 1}).code(),
              StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(Session, IntegersGoOnlyWhereTheyCan) {
  const auto expect = [](const std::string& wanted, const std::string& op,
                         int64_t k, std::map<std::string, Constant> constants) {
    Graph graph = GraphMaker(9).Start({kBatch, k});
    graph.inputs[0].info.type = DataType::kInt8;
    GraphMaker::Add(graph, op, "y", {"x"}, {}, std::move(constants));
    const auto shapes = InferShapes(graph);
    EXPECT_EQ(shapes.ok(), wanted.empty());
    if (shapes.ok()) return;
    EXPECT_NE(shapes.status().message().find(wanted), std::string::npos)
        << shapes.status().message();
  };
  const auto weight = [](int64_t k) {
    return std::map<std::string, Constant>{
        {"weight", Constant::Declare({DataType::kBipolar, {1, 2, k}})}};
  };
  expect("Relu takes float32, not int8", "Relu", 4, {});
  expect("BinaryGemm takes bits, not int8", "BinaryGemm", 4, weight(4));
  constexpr int64_t kMost = int64_t{1} << 23;
  expect("", "BinaryWeightGemm", kMost, weight(kMost));
  expect("more than 2^23 weights", "BinaryWeightGemm", kMost + 1,
         weight(kMost + 1));
  expect("int8 is a type of inputs, not of constants", "Add", 4,
         {{"value", Constant::Declare({DataType::kInt8, {4}})}});
}

// A forced instruction set must not be helped by another of its family.
TEST(Session, ForcedTargetDoesEveryNodeThatItsFamilyCan) {
  const auto backends = ListBackends();
  for (const BackendInfo& backend : *backends) {
    if (backend.score == 0 || !backend.name.starts_with("cpu:")) continue;
    auto session = Session::Create(SmallModel(), {.backend = backend.name});
    ASSERT_TRUE(session.ok());
    for (const NodeProfile& node : session->profile()) {
      EXPECT_TRUE(node.backend == backend.name || node.backend == "reference")
          << node.name << " went to " << node.backend;
    }
  }
}

TEST(Session, ProfileCountsRunsAndWork) {
  auto session =
      Session::Create(SmallModel(), {.max_batch = 2, .profile = true});
  ASSERT_TRUE(session.ok());
  const std::vector<float> input(2 * 192);
  std::vector<float> output(20);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(session->Run(input, output).ok());
  const auto profile = session->profile();
  ASSERT_EQ(profile.size(), 4u);
  double start = -1;
  for (const NodeProfile& node : profile) {
    EXPECT_EQ(node.runs, 3);
    EXPECT_GT(node.total_us, 0);
    EXPECT_GT(node.last_start_us, start);
    start = node.last_start_us;
  }
  EXPECT_EQ(profile[1].name, "conv");
  EXPECT_EQ(profile[1].macs, 2.0 * 8 * 8 * 70 * 27);
  EXPECT_EQ(profile[1].output_shape, "8x8x70");
}

}  // namespace
}  // namespace bqengine
