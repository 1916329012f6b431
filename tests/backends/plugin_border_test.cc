// A plug-in may throw, loop in loops and call back: the host stays up, says
// who did what, and goes on.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "tests/support/float_modes.h"
#include "tests/support/graph_maker.h"
#include "tests/support/one_core.h"

namespace bqengine {
namespace {

using testing::FloatMode;
using testing::GraphMaker;

std::string PluginPath(const std::string& name) {
  return std::string(BQE_PLUGIN_DIR) + "/lib" + name + ".so";
}

constexpr int64_t kItems = 64;

Model Relu() {
  Graph graph = GraphMaker(1).Start({kBatch, 5});
  GraphMaker::Add(graph, "Relu", "y", {"x"});
  return *Model::FromGraph(std::move(graph));
}

// What the host's log got.
std::string g_log;
void KeepLog(LogLevel /*level*/, const char* message) { g_log += message; }

class RudePlugin : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(LoadPlugin(PluginPath("rude_plugin")).ok());
    void* library =
        dlopen(PluginPath("rude_plugin").c_str(), RTLD_NOW | RTLD_NOLOAD);
    ASSERT_NE(library, nullptr);
    at_ = reinterpret_cast<void (*)(const char*)>(
        dlsym(library, "rude_plugin_at"));
    ASSERT_NE(at_, nullptr);
    g_log.clear();
    SetLogHandler(KeepLog);
    if (GetParam() > 1) BQE_SKIP_ON_ONE_CORE();
  }
  void TearDown() override {
    at_("");
    SetLogHandler(nullptr);
  }

  Result<Session> Create(const Model& model) {
    return Session::Create(
        model, {.threads = GetParam(), .max_batch = kItems, .backend = "rude"});
  }

  static void ExpectBlamed(const Status& status, StatusCode code,
                           const std::string& what) {
    EXPECT_EQ(status.code(), code) << status.message();
    for (const std::string& part :
         {std::string("node 'y'"), std::string("backend 'rude'"),
          std::filesystem::canonical(PluginPath("rude_plugin")).string(),
          what}) {
      EXPECT_NE(status.message().find(part), std::string::npos)
          << status.message() << " lacks " << part;
    }
  }

  void (*at_)(const char*) = nullptr;
  std::vector<float> x_ = GraphMaker(2).Floats(5 * kItems, -1, 1);
  std::vector<float> y_ = std::vector<float>(5 * kItems);
};

TEST_P(RudePlugin, ThatThrowsInCreateIsAnError) {
  const Model model = Relu();
  for (const char* place : {"supports", "compile", "workspace_bytes"}) {
    at_(place);
    ExpectBlamed(Create(model).status(), StatusCode::kInternal, place);
  }
  at_("");
  EXPECT_TRUE(Create(model).ok());
}

TEST_P(RudePlugin, ThatThrowsInRunIsAnError) {
  const Model model = Relu();
  auto session = Create(model);
  ASSERT_TRUE(session.ok()) << session.status().message();
  for (int i = 0; i < 50; ++i) {
    at_("run");
    ExpectBlamed(session->Run(x_, y_), StatusCode::kInternal, "run");
    at_("own type");
    ExpectBlamed(session->Run(x_, y_), StatusCode::kInternal, "threw");
    at_("no memory");
    ExpectBlamed(session->Run(x_, y_), StatusCode::kOutOfMemory, "memory");
    at_("a task");
    ExpectBlamed(session->Run(x_, y_), StatusCode::kInternal, "a task");
    // The session is none the worse for it.
    at_("");
    ASSERT_TRUE(session->Run(x_, y_).ok());
    for (size_t k = 0; k < x_.size(); ++k) {
      ASSERT_EQ(y_[k], x_[k] < 0 ? 0 : x_[k]);
    }
  }
}

TEST_P(RudePlugin, ThatThrowsInDestroyIsLogged) {
  {
    const Model model = Relu();
    auto session = Create(model);
    ASSERT_TRUE(session.ok());
    at_("destroy");
  }
  EXPECT_NE(g_log.find("backend 'rude'"), std::string::npos) << g_log;
  EXPECT_NE(g_log.find("destroy"), std::string::npos) << g_log;
}

// Nor does its floating-point mode leak: not into the layers behind it, nor
// into the helpers' next tasks, nor into the caller.
TEST_P(RudePlugin, ThatChangesTheFloatModeChangesNoOther) {
  GraphMaker maker(3);
  Graph graph = maker.Start({kBatch, 2000});
  GraphMaker::Add(graph, "Relu", "y", {"x"});
  GraphMaker::Add(graph, "Mul", "m", {"y"}, {},
                  {{"value", maker.RandomFloats({2000}, -1, 1)}});
  GraphMaker::Add(graph, "Softmax", "s", {"m"});
  const Model model = *Model::FromGraph(std::move(graph));
  auto session = Create(model);
  ASSERT_TRUE(session.ok());
  const auto x = maker.Floats(2000 * kItems, -1, 1);
  std::vector<float> want(x.size()), got(x.size());
  ASSERT_TRUE(session->Run(x, want).ok());
  at_("mode");
  const uint64_t before = FloatMode();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(session->Run(x, got).ok());
    ASSERT_EQ(std::memcmp(got.data(), want.data(), 4 * x.size()), 0);
  }
  EXPECT_EQ(FloatMode(), before);
}

INSTANTIATE_TEST_SUITE_P(Threads, RudePlugin, ::testing::Values(1, 2),
                         [](const auto& info) {
                           return "threads_" + std::to_string(info.param);
                         });

TEST(PluginBorder, PluginsThatThrowWhenTheyAreLoadedAreRefused) {
  const size_t before = ListBackends()->size();
  for (const char* place : {"score", "init"}) {
    const Status status =
        LoadPlugin(PluginPath(std::string("rude_plugin_") + place));
    EXPECT_EQ(status.code(), StatusCode::kInternal);
    EXPECT_NE(status.message().find(std::string("rude_plugin_") + place),
              std::string::npos)
        << status.message();
    EXPECT_NE(status.message().find(std::string("exception: ") + place),
              std::string::npos)
        << status.message();
  }
  EXPECT_EQ(ListBackends()->size(), before);
}

TEST(PluginBorder, LoopsInLoopsRunOnTheirThread) {
  ASSERT_TRUE(LoadPlugin(PluginPath("nested_plugin")).ok());
  for (int threads : {1, 2, 4}) {
    const Model model = Relu();
    auto session = Session::Create(
        model, {.threads = threads, .max_batch = kItems, .backend = "nested"});
    ASSERT_TRUE(session.ok());
    const auto x = GraphMaker(2).Floats(5 * kItems, -1, 1);
    for (int i = 0; i < 50; ++i) {
      std::vector<float> y(x.size(), -1);
      const Status status = session->Run(x, y);
      ASSERT_TRUE(status.ok()) << status.message();
      for (size_t k = 0; k < x.size(); ++k) {
        ASSERT_EQ(y[k], x[k] < 0 ? 0 : x[k]);
      }
    }
  }
  BQE_SKIP_ON_ONE_CORE();
}

// A pipe without a writer: to open it is to wait for ever.
TEST(PluginBorder, OnlyRegularFilesAreOpened) {
  const std::string pipe =
      ::testing::TempDir() + "/pipe." + std::to_string(getpid());
  const std::string link = pipe + ".so";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::filesystem::create_symlink(pipe, link);
  for (const std::string& path : {pipe, link, std::string("/dev/null")}) {
    const Status status = LoadPlugin(path);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("not a regular file"), std::string::npos)
        << status.message();
  }
  std::filesystem::remove(link);
  std::filesystem::remove(pipe);
}

struct Called {
  size_t backends = 0;
  Status itself, other;
};
Called* g_called = nullptr;

TEST(PluginBorder, InitMayCallTheHost) {
  Called called;
  g_called = &called;
  // From within its init function.
  SetLogHandler([](LogLevel /*level*/, const char* /*message*/) {
    g_called->backends = ListBackends()->size();
    g_called->itself = LoadPlugin(PluginPath("calling_plugin"));
    g_called->other = LoadPlugin(PluginPath("cxx_plugin"));
  });
  const Status status = LoadPlugin(PluginPath("calling_plugin"));
  SetLogHandler(nullptr);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_GT(called.backends, 0u);
  EXPECT_EQ(called.itself.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(called.itself.message().find("being loaded"), std::string::npos);
  EXPECT_TRUE(called.other.ok()) << called.other.message();
  // Each is there once.
  int calling = 0, cxx = 0;
  const auto backends = ListBackends();
  for (const BackendInfo& info : *backends) {
    calling += info.name == "calling";
    cxx += info.name == "cxx";
  }
  EXPECT_EQ(calling, 1);
  EXPECT_EQ(cxx, 1);
}

TEST(PluginBorder, ThreadsThatLoadOnePluginGetIt) {
  std::vector<std::thread> threads;
  std::vector<Status> statuses(8);
  for (Status& status : statuses) {
    threads.emplace_back(
        [&] { status = LoadPlugin(PluginPath("shared_plugin")); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Status& status : statuses) {
    EXPECT_TRUE(status.ok()) << status.message();
  }
}

}  // namespace
}  // namespace bqengine
