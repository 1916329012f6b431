// Whatever floating-point mode the host has set, every function gives the bits
// of the default mode, on every helper thread, and leaves the host its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bqengine/preprocess.h"
#include "bqengine/quantize.h"
#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "runtime/thread_pool.h"
#include "tests/support/float_modes.h"
#include "tests/support/graph_maker.h"
#include "tests/support/one_core.h"

namespace bqengine {
namespace {

using testing::FloatMode;
using testing::GraphMaker;
using testing::HostMode;
using testing::HostModes;
using testing::InMode;

constexpr uint32_t kSeed = 20261127;
constexpr int64_t kBatchSize = 2;

template <typename T>
std::vector<uint8_t> BitsOf(const std::vector<T>& values) {
  std::vector<uint8_t> bits(values.size() * sizeof(T));
  if (!bits.empty()) std::memcpy(bits.data(), values.data(), bits.size());
  return bits;
}

// Values whose sums and products round, and meet subnormals.
std::vector<float> Values(GraphMaker& maker, size_t count) {
  std::vector<float> values = maker.Floats(count, -1, 1);
  for (size_t i = 0; i < count; ++i) {
    if (i % 4 == 1) values[i] *= 1e-38f;
    if (i % 4 == 2) values[i] *= 1e-19f;
    if (i % 16 == 3) values[i] = -0.0f;
  }
  return values;
}

Constant Floats(GraphMaker& maker, Shape shape) {
  const size_t count = static_cast<size_t>(*ElementCount(shape));
  return Constant::Floats(std::move(shape), Values(maker, count));
}

// Large enough to be split among threads.
std::vector<std::pair<std::string, Graph>> Networks() {
  using Ints = std::vector<int64_t>;
  GraphMaker maker(kSeed);
  const Shape image = {kBatch, 41, 39, 37};
  const std::map<std::string, Attribute> window = {{"kernel_shape", Ints{3, 3}},
                                                   {"pads", Ints{1, 0, 1, 1}}};
  const auto norm = [&](int64_t channels) {
    return std::map<std::string, Constant>{
        {"scale", maker.RandomFloats({channels}, -1, 1)},
        {"bias", maker.RandomFloats({channels}, -1, 1)},
        {"mean", maker.RandomFloats({channels}, -1, 1)},
        {"var", maker.RandomFloats({channels}, 1, 2)}};
  };
  std::vector<std::pair<std::string, Graph>> networks;
  const auto start = [&](const char* name, const Shape& shape) -> Graph& {
    return networks.emplace_back(name, maker.Start(shape)).second;
  };
  {
    Graph& graph = start("elementwise", image);
    GraphMaker::Add(graph, "Mul", "m", {"x"}, {},
                    {{"value", Floats(maker, {37})}});
    GraphMaker::Add(graph, "PRelu", "p", {"m"}, {},
                    {{"slope", Floats(maker, {37})}});
    GraphMaker::Add(graph, "Add", "y", {"p", "x"});
  }
  {
    Graph& graph = start("batch norm", image);
    GraphMaker::Add(graph, "BatchNormalization", "y", {"x"}, {}, norm(37));
  }
  {
    // x > 0.
    Graph& graph = start("smallest threshold", {kBatch, 301, 90});
    GraphMaker::Add(
        graph, "Binarize", "b", {"x"}, {},
        {{"threshold",
          Constant::Floats(
              {90}, std::vector<float>(
                        90, std::numeric_limits<float>::denorm_min()))}});
    GraphMaker::Add(
        graph, "BinaryGemm", "y", {"b"}, {},
        {{"weight", maker.RandomBits(DataType::kBipolar, {1, 50, 90})}});
  }
  {
    // Thresholds and folded factors are computed when it is compiled.
    Graph& graph = start("binary", image);
    GraphMaker::Add(graph, "Conv", "c", {"x"}, window,
                    {{"weight", Floats(maker, {70, 3, 3, 37})},
                     {"bias", Floats(maker, {70})}});
    GraphMaker::Add(graph, "BatchNormalization", "n1", {"c"}, {}, norm(70));
    GraphMaker::Add(graph, "Binarize", "b1", {"n1"});
    GraphMaker::Add(
        graph, "BinaryConv", "c2", {"b1"}, window,
        {{"weight", maker.RandomBits(DataType::kBipolar, {1, 40, 3, 3, 70})}});
    GraphMaker::Add(graph, "BatchNormalization", "n2", {"c2"}, {}, norm(40));
    GraphMaker::Add(graph, "Binarize", "b2", {"n2"});
    GraphMaker::Add(
        graph, "BinaryConv", "c3", {"b2"}, window,
        {{"weight", maker.RandomBits(DataType::kBipolar, {2, 30, 3, 3, 40})},
         {"alpha", Floats(maker, {2, 30})}});
    GraphMaker::Add(graph, "BatchNormalization", "y", {"c3"}, {}, norm(30));
  }
  {
    Graph& graph = start("binary weights", image);
    GraphMaker::Add(
        graph, "BinaryWeightConv", "y", {"x"}, window,
        {{"weight", maker.RandomBits(DataType::kBipolar, {1, 70, 3, 3, 37})},
         {"mul", Floats(maker, {70})}});
  }
  {
    Graph& graph = start("average", image);
    GraphMaker::Add(graph, "AveragePool", "a", {"x"}, window);
    GraphMaker::Add(graph, "GlobalAveragePool", "y", {"a"});
  }
  {
    Graph& graph = start("gemm", {kBatch, 301, 90});
    GraphMaker::Add(graph, "Gemm", "g", {"x"}, {},
                    {{"weight", Floats(maker, {101, 90})}});
    GraphMaker::Add(graph, "Softmax", "y", {"g"});
  }
  return networks;
}

// The model, too, is made in the mode.
std::vector<uint8_t> RunNetwork(const Graph& graph, const std::string& backend,
                                int threads, const std::vector<float>& input) {
  auto model = Model::FromGraph(graph);
  if (!model.ok()) return {};
  auto session = Session::Create(
      *model,
      {.threads = threads, .max_batch = kBatchSize, .backend = backend});
  if (!session.ok()) return {};
  std::vector<float> output(
      static_cast<size_t>(*ElementCount(model->output(0).shape, kBatchSize)));
  if (!session->Run(input, output).ok()) return {};
  return BitsOf(output);
}

TEST(FloatMode, OfTheHostChangesNoBitOfARun) {
  SCOPED_TRACE(::testing::Message() << "seed " << kSeed);
  GraphMaker maker(kSeed + 1);
  for (const auto& [name, graph] : Networks()) {
    const auto input =
        Values(maker, static_cast<size_t>(*ElementCount(
                          graph.inputs[0].info.shape, kBatchSize)));
    const auto backends = ListBackends();
    for (const BackendInfo& backend : *backends) {
      if (backend.score == 0) continue;
      const auto want = RunNetwork(graph, backend.name, 1, input);
      ASSERT_FALSE(want.empty());
      for (const HostMode& mode : HostModes()) {
        for (int threads : {1, 2}) {
          // The reference backend has no use for the second, and is slow.
          if (threads > 1 && backend.name == "reference") continue;
          bool kept = false;
          const auto got = InMode(mode, &kept, [&] {
            return RunNetwork(graph, backend.name, threads, input);
          });
          EXPECT_TRUE(got == want) << name << " on " << backend.name << ", "
                                   << threads << " threads, " << mode.name;
          EXPECT_TRUE(kept) << mode.name;
        }
      }
    }
  }
  BQE_SKIP_ON_ONE_CORE();
}

// Errors restore the mode, too.
TEST(FloatMode, IsKeptByCallsThatFail) {
  GraphMaker maker(kSeed + 2);
  Graph graph = maker.Start({kBatch, 4});
  GraphMaker::Add(graph, "Relu", "y", {"x"});
  const auto model = Model::FromGraph(graph);
  ASSERT_TRUE(model.ok());
  auto session = Session::Create(*model);
  ASSERT_TRUE(session.ok());
  Graph broken = graph;
  broken.nodes[0].inputs[0] = "nothing";
  std::vector<float> three(3), four(4);
  for (const HostMode& mode : HostModes()) {
    bool kept = false;
    EXPECT_FALSE(InMode(mode, &kept, [&] {
      return session->Run(three, four).ok() || Model::Load("none.json").ok() ||
             Model::FromGraph(broken).ok() || OptimizeGraph(broken).ok() ||
             LoadPlugin("none.so").ok() ||
             Session::Create(*model, {.threads = -1}).ok();
    }));
    EXPECT_TRUE(kept) << mode.name;
  }
}

// Where both threads are in one loop.
TEST(FloatMode, HelpersHaveTheDefaultOne) {
  BQE_SKIP_ON_ONE_CORE();
  const uint64_t standard = FloatMode();
  for (const HostMode& mode : HostModes()) {
    struct Loop {
      uint64_t standard;
      std::atomic<uint32_t> threads{0};
      std::atomic<int> others{0};
    } loop{standard, {}, {}};
    bool kept = false;
    InMode(mode, &kept, [&] {
      // Its helpers are made here: a library may hand them this thread's mode.
      ThreadPool pool(2);
      for (int i = 0; i < 1'000'000 && loop.threads != 3; ++i) {
        pool.ParallelFor(
            8,
            [](void* argument, int64_t /*index*/, uint32_t thread) {
              Loop& loop = *static_cast<Loop*>(argument);
              loop.threads.fetch_or(1u << thread);
              if (thread > 0 && FloatMode() != loop.standard) ++loop.others;
              std::this_thread::yield();
            },
            &loop);
      }
      return 0;
    });
    EXPECT_EQ(loop.threads, 3u) << "no helper came";
    EXPECT_EQ(loop.others, 0) << mode.name;
  }
}

// Each function of quantize.h and preprocess.h as the bits of all it gives.
std::vector<std::pair<std::string, std::function<std::vector<uint8_t>()>>>
Functions() {
  GraphMaker maker(kSeed + 3);
  const Shape shape = {16, 45};
  const std::vector<float> w = maker.Floats(16 * 45, -1, 1);
  const std::vector<float> small = Values(maker, 16 * 45);
  const auto of_weights = [](const Result<quantize::Weights>& weights) {
    std::vector<uint8_t> bits;
    if (!weights.ok()) return bits;
    for (const Constant* c : {&weights->weight, &weights->alpha}) {
      const auto* data = static_cast<const uint8_t*>(c->data());
      bits.insert(bits.end(), data, data + c->bytes());
    }
    return bits;
  };
  const auto shifts = *quantize::AbcNetShifts(4);
  const auto start =
      *quantize::AbcNet(w, shape, shifts, quantize::Scope::kChannel);
  const float tiny = std::numeric_limits<float>::denorm_min();
  return {
      {"Binarize",
       [=] {
         return BitsOf(*quantize::Binarize(small, tiny, DataType::kBipolar));
       }},
      {"BinarizeToBits",
       [=] {
         const auto bits =
             quantize::BinarizeToBits(small, shape, tiny, DataType::kBipolar);
         const auto words = bits->words();
         return BitsOf(std::vector<uint64_t>(words.begin(), words.end()));
       }},
      {"ScaleAndShift",
       [=] { return BitsOf(*quantize::ScaleAndShift(small, 0.3f, 1e-39f)); }},
      {"Bwn", [=] { return of_weights(quantize::Bwn(w, shape)); }},
      {"AbcNetShifts", [=] { return BitsOf(*quantize::AbcNetShifts(7)); }},
      {"AbcNet",
       [=] {
         return of_weights(
             quantize::AbcNet(w, shape, shifts, quantize::Scope::kChannel));
       }},
      {"Refine",
       [=] { return of_weights(quantize::Refine(w, shape, start, 5)); }},
      {"Reconstruct", [=] { return BitsOf(*quantize::Reconstruct(start)); }},
      {"LeastSquares",
       [=] {
         const std::vector<double> gram = {3, 1, 1, 7}, moments = {0.1, 0.7};
         return BitsOf(*quantize::LeastSquares(gram, moments));
       }},
      {"MeasureError",
       [=] {
         const auto error = quantize::MeasureError(w, small);
         return BitsOf(
             std::vector<double>{error->sum, error->mean, error->relative});
       }},
      {"PixelsToInput", [] {
         GraphInput input = {.name = "x",
                             .info = {DataType::kFloat32, {kBatch, 16, 16, 3}}};
         input.preprocess = {.scale = 1 / 255.0f,
                             .mean = {0.485f, 0.456f, 0.406f},
                             .std = {0.229f, 0.224f, 0.225f}};
         std::vector<uint8_t> pixels(16 * 16 * 3);
         for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = uint8_t(i);
         std::vector<float> values(pixels.size());
         if (!PixelsToInput(input, pixels, values).ok()) values.clear();
         return BitsOf(values);
       }}};
}

TEST(FloatMode, OfTheHostChangesNoBitOfAFunction) {
  for (const auto& [name, function] : Functions()) {
    const auto want = function();
    ASSERT_FALSE(want.empty()) << name;
    for (const HostMode& mode : HostModes()) {
      bool kept = false;
      EXPECT_TRUE(InMode(mode, &kept, function) == want)
          << name << ", " << mode.name;
      EXPECT_TRUE(kept) << name << ", " << mode.name;
    }
  }
}

// Numbers are read and written as decimals.
TEST(FloatMode, OfTheHostChangesNoNumberOfAFile) {
  GraphMaker maker(kSeed + 4);
  Graph graph = maker.Start({kBatch, 15});
  GraphMaker::Add(graph, "Mul", "m", {"x"}, {},
                  {{"value", Floats(maker, {15})}});
  GraphMaker::Add(graph, "Clip", "y", {"m"},
                  {{"min", -0.1f}, {"max", 0.7654321f}});
  const std::string folder =
      ::testing::TempDir() + "/float_mode_test." +
      std::to_string(::testing::UnitTest::GetInstance()->random_seed());
  std::filesystem::create_directories(folder);
  const std::string path = folder + "/model.json";
  const auto write = [&] {
    if (!WriteGraph(graph, path).ok()) return std::string();
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const auto read = [&] {
    const auto model = Model::Load(path);
    if (!model.ok()) return std::vector<uint8_t>();
    const auto& mul = model->graph().constants.at("m.value").floats();
    std::vector<float> values(mul.begin(), mul.end());
    for (const char* name : {"min", "max"}) {
      values.push_back(
          std::get<float>(model->graph().nodes[1].attributes.at(name)));
    }
    return BitsOf(values);
  };
  const std::string text = write();
  ASSERT_FALSE(text.empty());
  const auto values = read();
  ASSERT_FALSE(values.empty());
  for (const HostMode& mode : HostModes()) {
    bool kept = false;
    EXPECT_EQ(InMode(mode, &kept, write), text) << mode.name;
    EXPECT_TRUE(kept) << mode.name;
    EXPECT_TRUE(InMode(mode, &kept, read) == values) << mode.name;
    EXPECT_TRUE(kept) << mode.name;
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace bqengine
