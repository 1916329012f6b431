// Every public function with its first allocation failing, its second, and so
// on until it needs no more: it throws nothing, says kOutOfMemory, loses no
// memory, file or backend, and then does all that it should.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "bqengine/exact_chain.h"
#include "bqengine/model.h"
#include "bqengine/preprocess.h"
#include "bqengine/quantize.h"
#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "files/replace_files.h"
#include "tests/engine/format_test_util.h"
#include "tests/support/allocation_failure.h"
#include "tests/support/graph_maker.h"

namespace bqengine {
namespace {

using testing::AllocationFailure;
using testing::GraphMaker;
using testing::LiveAllocations;

constexpr int64_t kMostAllocations = 1'000'000;

// --------------------------------------------------------- results as text

template <typename T>
std::string Bytes(std::span<const T> values) {
  return std::string(reinterpret_cast<const char*>(values.data()),
                     values.size_bytes());
}

std::string Text(int64_t value) { return std::to_string(value); }
template <typename T>
std::string Text(const std::vector<T>& values) {
  return Bytes(std::span<const T>(values));
}
std::string Text(const TensorInfo& info) {
  return DataTypeName(info.type) + Text(info.shape);
}
std::string Text(const Constant& constant) {
  return Text(constant.info()) +
         std::string(static_cast<const char*>(constant.data()),
                     constant.bytes());
}
std::string Text(const quantize::Weights& weights) {
  return Text(weights.weight) + Text(weights.alpha);
}
std::string Text(const quantize::Error& error) {
  return std::to_string(error.sum);
}
std::string Text(const std::map<std::string, TensorInfo>& tensors) {
  std::string text;
  for (const auto& [name, info] : tensors) text += name + Text(info);
  return text;
}
std::string Text(const std::vector<BackendInfo>& backends) {
  std::string text;
  for (const BackendInfo& backend : backends) {
    text += backend.name + "|" + backend.description + "|" + backend.origin +
            "|" + std::to_string(backend.score) + "\n";
  }
  return text;
}
std::string Text(const Graph& graph) {
  std::string text = graph.name;
  for (const Node& node : graph.nodes) {
    text += "\n" + node.name + " " + node.op;
    for (const std::string& name : node.inputs) text += " " + name;
    for (const std::string& name : node.outputs) text += " -> " + name;
    for (const auto& [name, value] : node.attributes) {
      text += " " + name + ":" + std::to_string(value.index());
    }
    for (const auto& [role, name] : node.constants) {
      text += " " + role + "=" + name + Text(graph.constants.at(name));
    }
  }
  return text;
}
std::string Text(const Model& model) {
  std::string text = Text(model.graph());
  for (size_t i = 0; i < model.num_outputs(); ++i) {
    text += model.output_name(i) + Text(model.output(i));
  }
  return text;
}
std::string Text(const Session& session) {
  std::string text = session.backend();
  for (const NodeProfile& node : session.profile()) {
    text += "\n" + node.name + " " + node.op + " " + node.backend + " " +
            node.output_shape;
  }
  return text;
}
std::string Text(const Status& status) {
  return StatusCodeName(status.code()) + (": " + status.message());
}
template <typename T>
std::string Text(const Result<T>& result) {
  return result.ok() ? Text(*result) : Text(result.status());
}
const Status& StatusOf(const Status& status) { return status; }
template <typename T>
const Status& StatusOf(const Result<T>& result) {
  return result.status();
}

int64_t OpenFiles() {
  int64_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

// `call` gives a Status or Result and allocates nothing that is the caller's;
// `kept`, called after each failure, finds what was lost; empty is good.
// Returns how many allocations there were.
template <typename Call>
int64_t Sweep(const Call& call, const std::function<std::string()>& kept = {}) {
  const std::string expected = Text(call());
  const int64_t files = OpenFiles();
  for (int64_t n = 1; n <= kMostAllocations; ++n) {
    const int64_t live = LiveAllocations();
    bool threw = false, gave_null = false;
    {
      const auto result = [&] {
        const AllocationFailure failure(n);
        auto result = call();
        threw = failure.threw();
        gave_null = failure.gave_null();
        return result;
      }();
      if (!threw &&
          (!gave_null || StatusOf(result).code() != StatusCode::kOutOfMemory)) {
        EXPECT_EQ(Text(result), expected) << "allocation " << n;
        if (!gave_null) return n - 1;
      } else {
        EXPECT_EQ(StatusOf(result).code(), StatusCode::kOutOfMemory)
            << "allocation " << n << ": " << Text(result);
      }
    }
    if (::testing::Test::HasFailure()) return n;
    EXPECT_EQ(LiveAllocations(), live) << "allocation " << n;
    EXPECT_EQ(OpenFiles(), files) << "allocation " << n;
    if (kept) {
      EXPECT_EQ(kept(), "") << "allocation " << n;
    }
    EXPECT_EQ(Text(call()), expected) << "after allocation " << n;
    if (::testing::Test::HasFailure()) return n;
  }
  ADD_FAILURE() << "it never comes to an end";
  return kMostAllocations;
}

// ---------------------------------------------------- the first of a process

// Runs `body` in a child, for what happens once in a process; gives its text.
std::string InChild(const std::function<std::string()>& body) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    const std::string text = body();
    const bool written =
        write(ends[1], text.data(), text.size()) == ssize_t(text.size());
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) text += " (it died)";
  return text;
}

std::string ThenState(const std::string& text,
                      const std::function<std::string()>& state) {
  return text + "\n" + state();
}

// As Sweep, each in a process of its own. `call` has the caller's allocations,
// if any, behind it when this is called.
template <typename Call>
void SweepFirstCalls(const Call& call,
                     const std::function<std::string()>& state) {
  const std::string expected =
      InChild([&] { return ThenState(Text(call()), state); });
  for (int64_t n = 1; n <= kMostAllocations; ++n) {
    const std::string outcome = InChild([&]() -> std::string {
      bool threw = false, gave_null = false;
      Status status;
      {
        auto result = [&] {
          const AllocationFailure failure(n);
          auto result = call();
          threw = failure.threw();
          gave_null = failure.gave_null();
          return result;
        }();
        if (!threw && !gave_null) return "the end";
        status = StatusOf(result);
      }
      if (threw && status.code() != StatusCode::kOutOfMemory) {
        return "not kOutOfMemory but " + Text(status);
      }
      return ThenState(Text(call()), state);
    });
    if (outcome == "the end") {
      EXPECT_GT(n, 1);
      return;
    }
    ASSERT_EQ(outcome, expected) << "allocation " << n;
  }
}

std::string NoState() { return ""; }

// These stand first: what other tests do once, they do again and again.
TEST(AllocationSweepOnce, TheRegistryComesWithAllBackends) {
  SweepFirstCalls([] { return ListBackends(); }, NoState);
}

TEST(AllocationSweepOnce, TheTableOfOps) {
  GraphMaker maker(1);
  Graph graph = maker.Start({kBatch, 3});
  GraphMaker::Add(graph, "Relu", "y", {"x"});
  SweepFirstCalls([&] { return InferShapes(graph); }, NoState);
}

TEST(AllocationSweepOnce, LoadPluginCanBeRepeated) {
  for (const char* name : {"cxx_plugin", "relu_plugin"}) {
    const std::string path =
        std::string(BQE_PLUGIN_DIR) + "/lib" + name + ".so";
    SweepFirstCalls([&] { return LoadPlugin(path); },
                    [] { return Text(ListBackends()); });
  }
}

// ------------------------------------------------------------------- graphs

// What the passes look for, and attributes of every type.
Graph SomeGraph() {
  GraphMaker maker(1);
  const std::vector<int64_t> k3 = {3, 3}, k2 = {2, 2}, pads = {1, 1, 1, 1};
  Graph graph = maker.Start({kBatch, 6, 6, 3});
  const auto norm = [&](const std::string& name, const std::string& input,
                        int64_t channels) {
    GraphMaker::Add(graph, "BatchNormalization", name, {input},
                    {{"epsilon", 0.001f}},
                    {{"scale", maker.RandomFloats({channels}, -1, 1)},
                     {"bias", maker.RandomFloats({channels}, -1, 1)},
                     {"mean", maker.RandomFloats({channels}, -1, 1)},
                     {"var", maker.RandomFloats({channels}, 1, 2)}});
  };
  GraphMaker::Add(graph, "Conv", "first", {"x"},
                  {{"kernel_shape", k3}, {"pads", pads}},
                  {{"weight", maker.RandomFloats({20, 3, 3, 3}, -1, 1)}});
  norm("norm", "first", 20);
  GraphMaker::Add(graph, "MaxPool", "pool", {"norm"}, {{"kernel_shape", k2}});
  GraphMaker::Add(graph, "Binarize", "sign", {"pool"});
  GraphMaker::Add(
      graph, "BinaryConv", "conv", {"sign"},
      {{"kernel_shape", k3}, {"pads", pads}},
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, 20, 3, 3, 20})}});
  norm("norm2", "conv", 20);
  GraphMaker::Add(graph, "Relu", "relu", {"norm2"});
  GraphMaker::Add(graph, "Add", "residual", {"relu", "pool"});
  GraphMaker::Add(graph, "Binarize", "sign2", {"residual"}, {},
                  {{"threshold", maker.RandomFloats({20}, 0, 1)}});
  GraphMaker::Add(
      graph, "BinaryConv", "conv2", {"sign2"}, {{"kernel_shape", k3}},
      {{"weight", maker.RandomBits(DataType::kBipolar, {2, 8, 3, 3, 20})},
       {"alpha", maker.RandomFloats({2, 8}, 0, 1)}});
  norm("norm3", "conv2", 8);
  GraphMaker::Add(graph, "Clip", "clip", {"norm3"},
                  {{"min", -1.0f}, {"max", 1.0f}});
  GraphMaker::Add(
      graph, "BinaryWeightConv", "conv3", {"clip"}, {{"kernel_shape", k3}},
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, 5, 3, 3, 8})}});
  GraphMaker::Add(graph, "Flatten", "flat", {"conv3"});
  GraphMaker::Add(graph, "Gemm", "scores", {"flat"}, {},
                  {{"weight", maker.RandomFloats({4, 5}, -1, 1)}});
  GraphMaker::Add(graph, "Softmax", "softmax", {"scores"});
  graph.labels = {"a label that is longer than any small string", "b", "c"};
  return graph;
}

Model SomeModel() {
  auto model = Model::FromGraph(SomeGraph());
  EXPECT_TRUE(model.ok()) << model.status().message();
  return *std::move(model);
}

TEST(AllocationSweep, CountsBytesAndElements) {
  const Shape bad = {3, 4, -7};
  EXPECT_GT(Sweep([&] { return ElementCount(bad); }), 0);
  const TensorInfo no_bits = {DataType::kBipolar, {}};
  EXPECT_GT(Sweep([&] { return ByteCount(no_bits); }), 0);
  const TensorInfo good = {DataType::kFloat32, {2, 3}};
  EXPECT_EQ(Sweep([&] { return ByteCount(good); }), 0);
}

// The vectors are the caller's; what holds them is ours.
TEST(AllocationSweep, ConstantsSayThatTheyAreLost) {
  Shape shape = {2}, bits_shape = {2};
  std::vector<float> values = {1, 2};
  std::vector<uint64_t> words = {3};
  Constant floats, bits;
  const int64_t live = LiveAllocations();
  {
    const AllocationFailure failure(1);
    floats = Constant::Floats(std::move(shape), std::move(values));
  }
  {
    const AllocationFailure failure(1);
    bits = Constant::Bits(DataType::kBipolar, std::move(bits_shape),
                          std::move(words));
  }
  EXPECT_LE(LiveAllocations(), live);
  EXPECT_TRUE(floats.lost());
  EXPECT_EQ(floats.data(), nullptr);
  EXPECT_TRUE(bits.lost());
  EXPECT_FALSE(Constant::Floats({2}, {1, 2}).lost());
  EXPECT_FALSE(Constant().lost());
  EXPECT_FALSE(Constant::Declare({DataType::kFloat32, {2}}).lost());

  // It must not pass for one that has yet to be trained.
  const ScratchFolder folder;
  Graph graph = SomeGraph();
  graph.constants.at("scores.weight") = floats;
  for (const Status& status :
       {InferShapes(graph).status(), Model::FromGraph(graph).status(),
        OptimizeGraph(graph).status(),
        WriteGraph(graph, folder.File("lost.json"))}) {
    EXPECT_EQ(status.code(), StatusCode::kOutOfMemory) << status.message();
    EXPECT_NE(status.message().find("scores.weight"), std::string::npos);
  }
  EXPECT_TRUE(folder.Names().empty());
  EXPECT_EQ(quantize::Unpack(bits).status().code(), StatusCode::kOutOfMemory);
  quantize::Weights weights =
      *quantize::Bwn(std::vector<float>{1, 2, 3, 4}, {2, 2});
  weights.alpha = floats;
  EXPECT_EQ(quantize::Reconstruct(weights).status().code(),
            StatusCode::kOutOfMemory);
  EXPECT_EQ(quantize::Refine(std::vector<float>{1, 2, 3, 4}, {2, 2}, weights, 1)
                .status()
                .code(),
            StatusCode::kOutOfMemory);
}

// libstdc++ 12 takes a copy that failed apart as something it is not.
TEST(AllocationSweep, CopiesOfAttributesThrowAndLeaveNothing) {
  const std::map<std::string, Attribute> attributes = {
      {"a string", std::string(100, 'x')},
      {"ints", std::vector<int64_t>(10, 1)},
      {"floats", std::vector<float>(10, 1.0f)},
      {"int", int64_t{3}},
      {"float", 1.5f}};
  const int64_t live = LiveAllocations();
  for (int64_t n = 1;; ++n) {
    const AllocationFailure failure(n);
    try {
      const std::map<std::string, Attribute> copy = attributes;
      ASSERT_EQ(copy, attributes);
      EXPECT_GT(n, 3);
      break;
    } catch (const std::bad_alloc&) {
    }
    ASSERT_EQ(LiveAllocations(), live);
  }
  for (const auto& [name, value] : attributes) {
    Attribute target = std::string(50, 'y');
    {
      const AllocationFailure failure(1);
      try {
        target = value;
      } catch (const std::bad_alloc&) {
      }
      if (!failure.threw()) continue;
    }
    EXPECT_EQ(target, Attribute(std::string(50, 'y'))) << name;
  }
}

TEST(AllocationSweep, GraphsAreCheckedAndOptimized) {
  const Graph graph = SomeGraph();
  EXPECT_GT(Sweep([&] { return InferShapes(graph); }), 100);
  EXPECT_GT(Sweep([&] { return OptimizeGraph(graph); }), 100);
  EXPECT_GT(Sweep([&] { return SettleGraph(graph); }), 100);
  Graph wrong = graph;
  wrong.nodes[4].attributes["strides"] = std::vector<int64_t>{0, 1};
  EXPECT_GT(Sweep([&] { return InferShapes(wrong); }), 100);
  Graph huge = graph;
  huge.inputs[0].info.shape = {kBatch, 2147483647, 2147483647, 2147483647};
  EXPECT_GT(Sweep([&] { return InferShapes(huge); }), 3);
}

TEST(AllocationSweep, ModelsAreMadeOfGraphs) {
  const Graph graph = SomeGraph();
  const std::string expected = Text(SomeModel());
  for (int64_t n = 1;; ++n) {
    Graph copy = graph;  // the caller's
    const int64_t live = LiveAllocations();
    bool failed = false;
    {
      const auto model = [&] {
        const AllocationFailure failure(n);
        auto model = Model::FromGraph(std::move(copy));
        failed = failure.threw();
        return model;
      }();
      if (!failed) {
        EXPECT_EQ(Text(model), expected);
        EXPECT_GT(n, 100);
        return;
      }
      ASSERT_EQ(model.status().code(), StatusCode::kOutOfMemory) << n;
    }
    ASSERT_LE(LiveAllocations(), live) << n;
  }
}

// -------------------------------------------------------------------- files

// With weights in both files, and attributes of every type.
Graph SmallGraph() {
  GraphMaker maker(1);
  Graph graph = maker.Start({kBatch, 1, 20});
  graph.inputs[0].preprocess = {.scale = 0.5f, .mean = {0.5f}, .std = {2}};
  GraphMaker::Add(graph, "Flatten", "flat", {"x"}, {{"axis", int64_t{1}}});
  GraphMaker::Add(graph, "Gemm", "gemm", {"flat"}, {},
                  {{"weight", maker.RandomFloats({9, 20}, -1, 1)},
                   {"bias", maker.RandomFloats({9}, -1, 1)}});
  GraphMaker::Add(graph, "Clip", "clip", {"gemm"}, {{"min", -1.0f}});
  GraphMaker::Add(graph, "Reshape", "shape", {"clip"},
                  {{"shape", std::vector<int64_t>{0, 9}}});
  GraphMaker::Add(graph, "Binarize", "y", {"shape"},
                  {{"encoding", std::string("unipolar")}});
  graph.labels = {"a label that is longer than any small string", "b"};
  return graph;
}

TEST(AllocationSweep, FilesAreRead) {
  const ScratchFolder folder;
  const std::string path = folder.File("model.json");
  const Graph graph = SmallGraph();
  ASSERT_TRUE(WriteGraph(graph, path).ok());
  EXPECT_GT(Sweep([&] { return Model::Load(path); }), 500);
  EXPECT_GT(Sweep([&] { return ReadGraph(path); }), 500);
  const ModelOptions mapped = {.map_weights = true};
  EXPECT_GT(Sweep([&] { return Model::Load(path, mapped); },
                  [] {
                    return ReadBytes("/proc/self/maps").find(".safetensors") ==
                                   std::string::npos
                               ? ""
                               : "the weights are still mapped";
                  }),
            500);
  const std::string json = ReadBytes(path);
  const std::string weights = ReadBytes(folder.File("model.safetensors"));
  const auto bytes = std::as_bytes(std::span(weights));
  EXPECT_GT(Sweep([&] { return Model::LoadFromMemory(json, bytes); }), 500);
  const ModelOptions small = {.max_tensor_elements = 10,
                              .max_weight_bytes = 10};
  EXPECT_GT(Sweep([&] { return Model::LoadFromMemory(json, {}, small); }), 100);
  const std::string missing = folder.File("none.json");
  EXPECT_GT(Sweep([&] { return Model::Load(missing); }), 0);
  const std::string broken = folder.File("broken.json");
  WriteBytes(broken, "{\"format\": \"bqengine\", \"version\": 1, \"x\": [1,");
  EXPECT_GT(Sweep([&] { return ReadGraph(broken); }), 0);
}

TEST(AllocationSweep, FilesAreWrittenWholeOrNotAtAll) {
  const ScratchFolder folder;
  const std::string path = folder.File("model.json");
  const std::string weights = folder.File("model.safetensors");
  const Graph graph = SmallGraph();
  Graph before = graph;
  before.name = "what was there before";
  before.constants.at("gemm.weight") =
      GraphMaker(7).RandomFloats({9, 20}, -1, 1);
  ASSERT_TRUE(WriteGraph(before, path).ok());
  const std::string old_json = ReadBytes(path);
  const std::string old_weights = ReadBytes(weights);
  ASSERT_TRUE(WriteGraph(graph, path).ok());
  const std::string new_json = ReadBytes(path);
  const std::string new_weights = ReadBytes(weights);
  ASSERT_NE(old_weights, new_weights);

  const int64_t files = OpenFiles();
  for (int64_t n = 1;; ++n) {
    ASSERT_TRUE(WriteGraph(before, path).ok());
    const int64_t live = LiveAllocations();
    bool failed = false;
    {
      const Status status = [&] {
        const AllocationFailure failure(n);
        Status status = WriteGraph(graph, path);
        failed = failure.threw();
        return status;
      }();
      ASSERT_EQ(status.code(),
                failed ? StatusCode::kOutOfMemory : StatusCode::kOk)
          << n << ": " << status.message();
    }
    ASSERT_EQ(LiveAllocations(), live) << n;
    ASSERT_EQ(OpenFiles(), files) << n;
    ASSERT_EQ(folder.Names().size(), 2u) << n;
    ASSERT_TRUE(ReadBytes(path) == (failed ? old_json : new_json)) << n;
    ASSERT_TRUE(ReadBytes(weights) == (failed ? old_weights : new_weights))
        << n;
    if (!failed) {
      EXPECT_GT(n, 100);
      break;
    }
  }
  const std::string nowhere = folder.File("no/such/folder.json");
  EXPECT_GT(Sweep([&] { return WriteGraph(graph, nowhere); }), 0);
}

// Where a file system knows no files without names, they have one from the
// start.
TEST(AllocationSweep, TemporaryNamesGoAway) {
  const ScratchFolder folder;
  const std::string path = folder.File("new");
  const int64_t files = OpenFiles();
  for (int64_t n = 1;; ++n) {
    bool failed = false;
    try {
      const AllocationFailure failure(n);
      const auto file = files::TemporaryFile::Create(
          path, files::TemporaryFile::Name::kAtOnce);
      failed = failure.threw();
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    ASSERT_TRUE(folder.Names().empty()) << n;
    ASSERT_EQ(OpenFiles(), files) << n;
    if (!failed) {
      EXPECT_GT(n, 5);
      break;
    }
  }
}

// ----------------------------------------------------------------- sessions

TEST(AllocationSweep, SessionsAreMade) {
  const Model model = SomeModel();
  const auto backends = ListBackends();
  ASSERT_TRUE(backends.ok());
  for (const BackendInfo& backend : *backends) {
    if (backend.score == 0) continue;
    const SessionOptions options = {.max_batch = 2, .backend = backend.name};
    EXPECT_GT(Sweep([&] { return Session::Create(model, options); },
                    [&] {
                      return Text(ListBackends()) == Text(*backends)
                                 ? ""
                                 : "the registry has changed";
                    }),
              500)
        << backend.name;
  }
  const SessionOptions best = {.threads = 2, .profile = true};
  EXPECT_GT(Sweep([&] { return Session::Create(model, best); }), 500);
  const SessionOptions none = {.backend = "no such backend"};
  EXPECT_GT(Sweep([&] { return Session::Create(model, none); }), 0);
  const SessionOptions threads = {.threads = -1};
  EXPECT_GT(Sweep([&] { return Session::Create(model, threads); }), 0);
}

TEST(AllocationSweep, SessionsRun) {
  const Model model = SomeModel();
  for (int threads : {1, 2}) {
    auto session = Session::Create(model, {.threads = threads, .max_batch = 2});
    ASSERT_TRUE(session.ok());
    const std::vector<float> x = GraphMaker(2).Floats(2 * 6 * 6 * 3, -1, 1);
    std::vector<float> y(2 * 4), expected(2 * 4);
    ASSERT_TRUE(session->Run(x, expected).ok());
    // What is right needs no memory; what is wrong a message.
    EXPECT_EQ(Sweep([&] { return session->Run(x, y); }), 0);
    EXPECT_EQ(y, expected);
    const std::span<const float> all(x);
    const std::span<float> out(y);
    EXPECT_GT(Sweep([&] { return session->Run(all.first(7), out); }), 0);
    EXPECT_GT(Sweep([&] { return session->Run(all, out.first(3)); }), 0);
    EXPECT_GT(Sweep([&] { return session->Run(3, {}, {}); }), 0);
    EXPECT_GT(Sweep([&] { return session->Run(1, {}, {}); }), 0);
    const InputView input = {x.data(), x.size() * sizeof(float) / 2};
    const OutputView overlapping = {const_cast<float*>(x.data()),
                                    4 * sizeof(float)};
    EXPECT_GT(Sweep([&] {
                return session->Run(1, {&input, 1}, {&overlapping, 1});
              }),
              0);
    ASSERT_TRUE(session->Run(x, y).ok());
    EXPECT_EQ(y, expected);
  }
}

// A backend that lives in a plug-in, behind the C++ adapter: what it throws and
// what its errors allocate.
TEST(AllocationSweep, SessionsOfPlugins) {
  ASSERT_TRUE(
      LoadPlugin(std::string(BQE_PLUGIN_DIR) + "/libcxx_plugin.so").ok());
  GraphMaker maker(1);
  Graph graph = maker.Start({kBatch, 5, 3});
  GraphMaker::Add(graph, "Relu", "y", {"x"});
  const Model model = *Model::FromGraph(graph);
  const SessionOptions options = {.max_batch = 2, .backend = "cxx"};
  EXPECT_GT(Sweep([&] { return Session::Create(model, options); }), 20);
  auto session = Session::Create(model, options);
  ASSERT_TRUE(session.ok());
  std::vector<float> x(30, 1.0f), y(30);
  EXPECT_EQ(Sweep([&] { return session->Run(x, y); }), 0);
  x[0] = 12345.0f;  // it throws
  EXPECT_GT(Sweep([&] { return session->Run(x, y); }), 0);
}

TEST(AllocationSweep, BackendsAreListed) {
  EXPECT_GT(Sweep([] { return ListBackends(); }), 3);
  const std::string none = "no/such/plug-in.so";
  EXPECT_GT(Sweep([&] { return LoadPlugin(none); }), 0);
}

// ----------------------------------------------------------------- formulas

TEST(AllocationSweep, Quantize) {
  namespace q = quantize;
  const std::vector<float> w = GraphMaker(3).Floats(4 * 70, -1, 1);
  const Shape shape = {4, 70};
  const std::vector<float> shifts = *q::AbcNetShifts(3);
  const std::vector<double> gram = {2, 1, 1, 2}, moments = {1, 3};
  const DataType bipolar = DataType::kBipolar;
  EXPECT_GT(Sweep([&] { return q::Binarize(w, 0.5f, bipolar); }), 0);
  EXPECT_GT(Sweep([&] { return q::BinarizeToBits(w, shape, 0.5f, bipolar); }),
            1);
  const Constant bits = *q::BinarizeToBits(w, shape, 0.5f, bipolar);
  EXPECT_GT(Sweep([&] { return q::Unpack(bits); }), 0);
  EXPECT_GT(Sweep([&] { return q::ScaleAndShift(w, 2, 1); }), 0);
  EXPECT_GT(Sweep([&] { return q::Bwn(w, shape); }), 3);
  EXPECT_GT(Sweep([&] { return q::AbcNetShifts(3); }), 0);
  EXPECT_GT(Sweep([&] { return q::AbcNetShifts(99); }), 0);
  for (const q::Scope scope : {q::Scope::kTensor, q::Scope::kChannel}) {
    EXPECT_GT(Sweep([&] { return q::AbcNet(w, shape, shifts, scope); }), 5);
  }
  const q::Weights start = *q::AbcNet(w, shape, shifts, q::Scope::kChannel);
  EXPECT_GT(Sweep([&] { return q::Refine(w, shape, start, 2); }), 10);
  EXPECT_GT(Sweep([&] { return q::Reconstruct(start); }), 0);
  EXPECT_GT(Sweep([&] { return q::LeastSquares(gram, moments); }), 2);
  EXPECT_EQ(Sweep([&] { return q::MeasureError(w, w); }), 0);
  // Messages.
  const std::span<const float> few = std::span(w).first(3);
  const Shape none = {0, 4}, overflow(8, int64_t{1} << 40);
  const Constant no_data = Constant::Declare({bipolar, {4}});
  EXPECT_GT(Sweep([&] { return q::MeasureError(w, few); }), 0);
  EXPECT_GT(Sweep([&] { return q::Bwn(w, none); }), 0);
  EXPECT_GT(Sweep([&] { return q::Bwn(w, overflow); }), 0);
  EXPECT_GT(Sweep([&] { return q::Binarize(w, NAN, bipolar); }), 0);
  EXPECT_GT(Sweep([&] { return q::Unpack(no_data); }), 0);
  EXPECT_GT(Sweep([&] { return q::LeastSquares(gram, gram); }), 0);
  EXPECT_GT(Sweep([&] { return q::ScaleAndShift(w, NAN, 0); }), 0);
}

TEST(AllocationSweep, ExactChains) {
  ExactChain chain;
  ASSERT_TRUE(chain.Mul(1e-38f) && chain.Add(1e38f) && chain.Add(-1e38f));
  ASSERT_TRUE(chain.BatchNormalization(3, 0, 0, 2, 0));
  ASSERT_TRUE(chain.BatchNormalization(3, 0, 0, 5, 0));
  EXPECT_GT(Sweep([&] { return chain.Compare(0); }), 10);
  EXPECT_EQ(*chain.Compare(0), 0);
  EXPECT_EQ(Sweep([&] { return chain.Compare(1, 1e30f); }), 0);
}

TEST(AllocationSweep, Preprocess) {
  const GraphInput input = {.name = "x",
                            .info = {DataType::kFloat32, {kBatch, 2, 2, 3}}};
  const std::vector<uint8_t> pixels(12, 7);
  std::vector<float> out(12), in(12, 0.5f);
  const Shape& shape = input.info.shape;
  const Layout nchw = Layout::kNCHW;
  EXPECT_EQ(Sweep([&] { return PixelsToInput(input, pixels, out); }), 0);
  EXPECT_EQ(Sweep([&] { return ToChannelsLast(shape, nchw, in, out); }), 0);
  EXPECT_EQ(Sweep([&] { return FromChannelsLast(shape, nchw, in, out); }), 0);
  EXPECT_GT(Sweep([&] { return ShapeInLayout(shape, nchw); }), 0);
  const std::span<float> few = std::span(out).first(5);
  EXPECT_GT(Sweep([&] { return PixelsToInput(input, pixels, few); }), 0);
  EXPECT_GT(Sweep([&] { return ToChannelsLast(shape, nchw, in, few); }), 0);
  EXPECT_GT(Sweep([&] { return FromChannelsLast(shape, nchw, in, few); }), 0);
}

TEST(AllocationSweep, TheFailureFails) {
  // Calls of the functions: a compiler may leave out new-expressions.
  const AllocationFailure failure(2);
  void* const first = ::operator new(1);
  EXPECT_THROW(::operator delete(::operator new(1)), std::bad_alloc);
  ::operator delete(first);
  EXPECT_TRUE(failure.threw());
}

}  // namespace
}  // namespace bqengine
