// What Model::Load and Model::LoadFromMemory hold on to: copies that nobody
// else can change, of files that nobody changed meanwhile.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <span>
#include <thread>

#include "bqengine/session.h"
#include "format_test_util.h"
#include "tests/support/graph_maker.h"

namespace bqengine {
namespace {

using testing::GraphMaker;

constexpr int64_t kInputs = 2048;
constexpr int64_t kOutputs = 256;
constexpr char kJson[] = "m.json";
constexpr char kWeights[] = "m.safetensors";

// Weights of two megabytes; all else is the same for every seed.
Graph LargeGraph(uint32_t seed) {
  GraphMaker maker(seed);
  Graph graph = maker.Start({kBatch, kInputs});
  GraphMaker::Add(graph, "Gemm", "y", {"x"}, {},
                  {{"weight", maker.RandomFloats({kOutputs, kInputs}, -1, 1)}});
  return graph;
}

struct ModelFiles {
  std::string json, weights;
};

ModelFiles MakeFiles(const Graph& graph, bool with_hash) {
  const ScratchFolder folder;
  EXPECT_TRUE(WriteGraph(graph, folder.File(kJson)).ok());
  ModelFiles files = {ReadBytes(folder.File(kJson)),
                      ReadBytes(folder.File(kWeights))};
  if (!with_hash) {
    const size_t begin = files.json.find("  \"weights_hash\"");
    files.json.erase(begin, files.json.find('\n', begin) + 1 - begin);
  }
  return files;
}

std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// Empty where it could not be run.
std::vector<float> RunModel(const Model& model) {
  auto session = Session::Create(model, {.backend = "reference"});
  std::vector<float> x(kInputs), y(kOutputs);
  for (size_t i = 0; i < x.size(); ++i) x[i] = float(i % 7) - 3;
  if (!session.ok() || !session->Run(x, y).ok()) return {};
  return y;
}

// As cp does it: cuts the file that is there, then writes piece by piece.
void CopyOver(const std::string& path, const std::string& bytes) {
  const int file = open(path.c_str(), O_WRONLY | O_TRUNC | O_CREAT, 0600);
  constexpr size_t kPiece = 65536;
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    const size_t count = std::min(kPiece, bytes.size() - at);
    if (write(file, bytes.data() + at, count) < 0) break;
  }
  close(file);
}

// A process that copies two models over each other until it is killed.
class Overwriter {
 public:
  Overwriter(const ScratchFolder& folder, const ModelFiles (&models)[2])
      : child_(fork()) {
    if (child_ != 0) return;
    for (int i = 0;; ++i) {
      CopyOver(folder.File(kWeights), models[i % 2].weights);
      CopyOver(folder.File(kJson), models[i % 2].json);
      std::this_thread::sleep_for(std::chrono::milliseconds(i % 8));
    }
  }
  ~Overwriter() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }

 private:
  pid_t child_;
};

class Overwritten : public ::testing::TestWithParam<bool> {};

// 100 processes load and run a model whose files are being overwritten: each
// ends with the answers of one of the two, or with an error that names the
// file.
TEST_P(Overwritten, RunsAnswerRightOrSayWhy) {
  const ScratchFolder folder;
  const ModelFiles models[2] = {MakeFiles(LargeGraph(1), GetParam()),
                                MakeFiles(LargeGraph(2), GetParam())};
  const std::vector<float> answers[2] = {
      RunModel(*Model::FromGraph(LargeGraph(1))),
      RunModel(*Model::FromGraph(LargeGraph(2)))};
  ASSERT_NE(answers[0], answers[1]);
  CopyOver(folder.File(kWeights), models[0].weights);
  CopyOver(folder.File(kJson), models[0].json);

  const Overwriter overwriter(folder, models);
  enum Outcome { kRight, kError, kWrong, kNameless, kOutcomes };
  int counts[kOutcomes] = {};
  for (int i = 0; i < 100; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      const auto model = Model::Load(folder.File(kJson));
      if (!model.ok()) {
        const std::string& message = model.status().message();
        _exit(message.starts_with(folder.File("m.")) ? kError : kNameless);
      }
      const std::vector<float> y = RunModel(*model);
      _exit(y == answers[0] || y == answers[1] ? kRight : kWrong);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    ASSERT_LT(WEXITSTATUS(status), kOutcomes);
    ++counts[WEXITSTATUS(status)];
  }
  EXPECT_EQ(counts[kWrong], 0);
  EXPECT_EQ(counts[kNameless], 0);
  std::printf("%d right, %d errors\n", counts[kRight], counts[kError]);
}

INSTANTIATE_TEST_SUITE_P(, Overwritten, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "WithHash" : "WithoutHash";
                         });

TEST(Load, WhatBecomesOfTheFilesDoesNotMatter) {
  const ScratchFolder folder;
  ASSERT_TRUE(WriteGraph(LargeGraph(1), folder.File(kJson)).ok());
  const auto model = Model::Load(folder.File(kJson));
  ASSERT_TRUE(model.ok()) << model.status().message();
  const std::vector<float> before = RunModel(*model);
  ASSERT_FALSE(before.empty());
  CopyOver(folder.File(kWeights), MakeFiles(LargeGraph(2), true).weights);
  EXPECT_EQ(RunModel(*model), before);
  CopyOver(folder.File(kWeights), "");
  EXPECT_EQ(RunModel(*model), before);
}

TEST(Load, CanMapTheWeights) {
  const ScratchFolder folder;
  const Graph graph = LargeGraph(1);
  ASSERT_TRUE(WriteGraph(graph, folder.File(kJson)).ok());
  const ModelOptions options = {.map_weights = true};
  const auto model = Model::Load(folder.File(kJson), options);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(RunModel(*model), RunModel(*Model::FromGraph(graph)));
  const auto read = ReadGraph(folder.File(kJson), options);
  ASSERT_TRUE(read.ok()) << read.status().message();
  // That it is the file shows where a change of it arrives.
  const float* value = read->constants.at("y.weight").floats().data();
  const float old = *value;
  const float changed = old + 1;
  const int file = open(folder.File(kWeights).c_str(), O_WRONLY);
  const off_t end = lseek(file, 0, SEEK_END);
  ASSERT_EQ(pwrite(file, &changed, 4, end - kInputs * kOutputs * 4), 4);
  close(file);
  EXPECT_EQ(*value, changed);
}

// ---------------------------------------------------------------------- memory

TEST(LoadFromMemory, IsTheSameAsFromFiles) {
  const ModelFiles files = MakeFiles(LargeGraph(3), true);
  const std::vector<float> expected =
      RunModel(*Model::FromGraph(LargeGraph(3)));
  for (size_t shift : {0, 1, 7}) {
    SCOPED_TRACE(shift);
    std::string json = files.json;
    std::string weights = std::string(shift, ' ') + files.weights;
    auto model = Model::LoadFromMemory(json, AsBytes(weights).subspan(shift));
    ASSERT_TRUE(model.ok()) << model.status().message();
    // The caller's memory is his own again.
    std::fill(json.begin(), json.end(), '?');
    std::fill(weights.begin(), weights.end(), '?');
    EXPECT_EQ(RunModel(*model), expected);
    EXPECT_EQ(model->graph().name, "test");
  }
}

TEST(LoadFromMemory, OfAModelWithoutWeights) {
  Graph graph = GraphMaker(4).Start({kBatch, 3});
  GraphMaker::Add(graph, "Relu", "y", {"x"});
  const ScratchFolder folder;
  ASSERT_TRUE(WriteGraph(graph, folder.File(kJson)).ok());
  const std::string json = ReadBytes(folder.File(kJson));
  EXPECT_TRUE(Model::LoadFromMemory(json, {}).ok());
  const auto model = Model::LoadFromMemory(json, AsBytes("abc"));
  EXPECT_EQ(model.status().code(), StatusCode::kInvalidModel);
  EXPECT_NE(model.status().message().find("/weights"), std::string::npos);
}

void ExpectInvalid(const ModelFiles& files, const std::string& start,
                   const std::string& part) {
  const auto model = Model::LoadFromMemory(files.json, AsBytes(files.weights));
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.status().code(), StatusCode::kInvalidModel);
  EXPECT_TRUE(model.status().message().starts_with(start + ": "))
      << model.status().message();
  EXPECT_NE(model.status().message().find(part), std::string::npos)
      << model.status().message();
}

TEST(LoadFromMemory, SaysWhatIsWrong) {
  const ModelFiles good = MakeFiles(LargeGraph(5), true);
  ModelFiles files = good;
  files.weights.back() ^= 1;
  ExpectInvalid(files, "model in memory", "/weights_hash");
  files.weights.clear();
  ExpectInvalid(files, "m.safetensors in memory", "is empty");
  files.weights = "short";
  ExpectInvalid(files, "m.safetensors in memory", "5 bytes");
  files = good;
  files.json = "{";
  ExpectInvalid(files, "model in memory", "unexpected end");
  files.json.clear();
  ExpectInvalid(files, "model in memory", "is empty");
  files.json = std::string(8, '\0');
  EXPECT_FALSE(Model::LoadFromMemory(files.json, {}).ok());
}

// ---------------------------------------------------------------------- limits

void ExpectTooLarge(const Status& status, const std::string& part,
                    const std::string& limit) {
  EXPECT_EQ(status.code(), StatusCode::kOutOfMemory) << status.message();
  EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("more than " + limit), std::string::npos)
      << status.message();
}

// Some hundred bytes that ask for memory without end.
std::string ShortJson(const std::string& shape, const std::string& node) {
  return R"({"format": "bqengine-model", "version": 1,
"inputs": [{"name": "x", "type": "float32", "shape": ["batch", )" +
         shape + R"(]}], "outputs": [{"name": "y"}],
"nodes": [{"name": "n", "op": )" +
         node + R"(, "inputs": ["x"], "outputs": ["y"]}]})";
}

TEST(Limits, OfElementsHoldByDefault) {
  const std::string relu = "\"Relu\"";
  ExpectTooLarge(
      Model::LoadFromMemory(ShortJson("30000, 30000, 1", relu), {}).status(),
      "input 'x': a tensor of Nx30000x30000x1 has 900000000 elements",
      "max_tensor_elements, 134217728");
  const std::string pad =
      R"("Pad", "attributes": {"pads": [0, 0, 0, 0, 0, 40000, 40000, 0]})";
  ExpectTooLarge(Model::LoadFromMemory(ShortJson("1, 1, 1", pad), {}).status(),
                 "node 'n': a tensor of", "max_tensor_elements, 134217728");
}

TEST(Limits, OfElementsAreThoseOfTheOptions) {
  Graph graph = GraphMaker(6).Start({kBatch, 10, 10});
  GraphMaker::Add(graph, "Relu", "y", {"x"});
  EXPECT_TRUE(Model::FromGraph(graph, {.max_tensor_elements = 100}).ok());
  ExpectTooLarge(Model::FromGraph(graph, {.max_tensor_elements = 99}).status(),
                 "input 'x'", "max_tensor_elements, 99");
  const ScratchFolder folder;
  ASSERT_TRUE(WriteGraph(graph, folder.File(kJson)).ok());
  const ModelOptions options = {.max_tensor_elements = 99};
  ExpectTooLarge(Model::Load(folder.File(kJson), options).status(),
                 folder.File(kJson) + ": input 'x'", "max_tensor_elements, 99");
  ExpectTooLarge(ReadGraph(folder.File(kJson), options).status(),
                 folder.File(kJson) + ": input 'x'", "max_tensor_elements, 99");
}

// What a trainer would take memory for.
TEST(Limits, OfElementsHoldForAnArchitecture) {
  Graph graph = GraphMaker(7).Start({kBatch, 100000});
  GraphMaker::Add(
      graph, "Gemm", "y", {"x"}, {},
      {{"weight", Constant::Declare({DataType::kFloat32, {100000, 100000}})}});
  const ScratchFolder folder;
  ASSERT_TRUE(WriteGraph(graph, folder.File(kJson)).ok());
  ExpectTooLarge(ReadGraph(folder.File(kJson)).status(), "constant 'y.weight'",
                 "max_tensor_elements");
}

TEST(Limits, OfWeights) {
  const ScratchFolder folder;
  ASSERT_TRUE(WriteGraph(LargeGraph(8), folder.File(kJson)).ok());
  const std::string weights = folder.File(kWeights);
  const auto bytes = std::filesystem::file_size(weights);
  for (bool map : {false, true}) {
    ModelOptions options = {.max_weight_bytes = bytes, .map_weights = map};
    EXPECT_TRUE(Model::Load(folder.File(kJson), options).ok());
    --options.max_weight_bytes;
    ExpectTooLarge(Model::Load(folder.File(kJson), options).status(),
                   weights + ": the weights take " + std::to_string(bytes),
                   "max_weight_bytes");
  }
  // A hole in a file takes no disk, but it would take memory.
  ASSERT_EQ(truncate(weights.c_str(), off_t{1} << 40), 0);
  ExpectTooLarge(Model::Load(folder.File(kJson)).status(), weights,
                 "max_weight_bytes, 2147483648");
  const ModelFiles files = MakeFiles(LargeGraph(8), true);
  ExpectTooLarge(
      Model::LoadFromMemory(files.json, AsBytes(files.weights),
                            {.max_weight_bytes = files.weights.size() - 1})
          .status(),
      "m.safetensors in memory", "max_weight_bytes");
}

TEST(Limits, OfTheArena) {
  Graph graph = GraphMaker(9).Start({kBatch, 64, 64, 1});
  GraphMaker::Add(graph, "Relu", "small", {"x"});
  GraphMaker::Add(graph, "Pad", "large", {"small"},
                  {{"pads", std::vector<int64_t>{0, 0, 0, 0, 0, 64, 0, 0}}});
  GraphMaker::Add(graph, "GlobalAveragePool", "y", {"large"});
  const auto model = Model::FromGraph(graph);
  ASSERT_TRUE(model.ok()) << model.status().message();
  auto session = Session::Create(*model);
  ASSERT_TRUE(session.ok());
  const size_t bytes = session->arena_bytes();
  EXPECT_TRUE(Session::Create(*model, {.max_arena_bytes = bytes}).ok());
  ExpectTooLarge(
      Session::Create(*model, {.max_arena_bytes = bytes - 1}).status(),
      "node 'large' needs most of the " + std::to_string(bytes) + " bytes",
      "max_arena_bytes, " + std::to_string(bytes - 1));
  ExpectTooLarge(Session::Create(*model, {.max_batch = 1 << 20}).status(),
                 "that a batch of 1048576 takes",
                 "max_arena_bytes, 1073741824");
}

}  // namespace
}  // namespace bqengine
