#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "tests/support/graph_maker.h"

namespace bqengine {
namespace {

using testing::GraphMaker;

// "<folder>/lib<name>.so", as the build makes them.
std::string PluginPath(const std::string& name) {
  return std::string(BQE_PLUGIN_DIR) + "/lib" + name + ".so";
}

Model OneOp(const std::string& op) {
  GraphMaker maker(1);
  Graph graph = maker.Start({kBatch, 5, 3});
  GraphMaker::Add(graph, op, "y", {"x"});
  auto model = Model::FromGraph(std::move(graph));
  EXPECT_TRUE(model.ok());
  return *std::move(model);
}

bool IsListed(const std::string& name) {
  const auto list = ListBackends();
  return std::any_of(list->begin(), list->end(),
                     [&](const auto& b) { return b.name == name; });
}

std::string g_log;

TEST(Plugin, PlainCTakesOverItsOp) {
  SetLogHandler([](LogLevel, const char* message) { g_log += message; });
  const std::string path = PluginPath("relu_plugin");
  ASSERT_TRUE(LoadPlugin(path).ok());
  EXPECT_EQ(g_log, "relu-in-c is here");
  EXPECT_TRUE(LoadPlugin(path).ok()) << "loading again does nothing";
  EXPECT_TRUE(
      LoadPlugin(std::string(BQE_PLUGIN_DIR) + "/./librelu_plugin.so").ok());
  ASSERT_TRUE(IsListed("relu-in-c"));
  EXPECT_EQ((*ListBackends())[0].name, "relu-in-c");
  EXPECT_NE((*ListBackends())[0].origin, "built-in");

  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(library, nullptr);
  const auto runs =
      reinterpret_cast<long long (*)()>(dlsym(library, "relu_plugin_runs"));
  ASSERT_NE(runs, nullptr);

  auto session = Session::Create(OneOp("Relu"), {.threads = 2, .max_batch = 4});
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session->backend(), "relu-in-c");
  const auto x = GraphMaker(2).Floats(60, -1, 1);
  std::vector<float> y(60);
  const long long before = runs();
  ASSERT_TRUE(session->Run(x, y).ok());
  EXPECT_EQ(runs(), before + 1);
  for (int i = 0; i < 60; ++i) EXPECT_EQ(y[i], x[i] < 0 ? 0 : x[i]);

  // What it does not support goes to another.
  auto other = Session::Create(OneOp("Floor"), {.backend = "relu-in-c"});
  ASSERT_TRUE(other.ok());
  EXPECT_NE(other->backend(), "relu-in-c");
}

TEST(Plugin, CxxAdapterRunsAndStopsExceptions) {
  ASSERT_TRUE(LoadPlugin(PluginPath("cxx_plugin")).ok());
  auto session = Session::Create(
      OneOp("Relu"), {.threads = 2, .max_batch = 2, .backend = "cxx"});
  ASSERT_TRUE(session.ok()) << session.status().message();
  EXPECT_EQ(session->backend(), "cxx");
  auto x = GraphMaker(3).Floats(30, -1, 1);
  std::vector<float> y(30);
  ASSERT_TRUE(session->Run(x, y).ok());
  for (int i = 0; i < 30; ++i) EXPECT_EQ(y[i], x[i] < 0 ? 0 : x[i]);
  x[0] = 12345.0f;
  const Status failed = session->Run(x, y);
  EXPECT_EQ(failed.code(), StatusCode::kInternal);
  EXPECT_NE(failed.message().find("unlucky number"), std::string::npos);
  EXPECT_NE(failed.message().find("'y'"), std::string::npos);

  EXPECT_EQ(Session::Create(OneOp("Floor"), {.backend = "cxx"}).status().code(),
            StatusCode::kOutOfMemory);
  EXPECT_EQ(Session::Create(OneOp("Relu"), {.backend = "cxx-unusable"})
                .status()
                .code(),
            StatusCode::kNotFound);
}

TEST(Plugin, CxxAdapterStopsMistakes) {
  ASSERT_TRUE(LoadPlugin(PluginPath("cxx_plugin")).ok());
  const auto create = [](const std::string& op) {
    return Session::Create(OneOp(op),
                           {.threads = 2, .max_batch = 4, .backend = "cxx"});
  };
  EXPECT_EQ(create("Clip").status().code(), StatusCode::kInternal);
  const Status hungry = create("Flatten").status();
  EXPECT_EQ(hungry.code(), StatusCode::kOutOfMemory);
  EXPECT_NE(hungry.message().find("'y'"), std::string::npos);
  // Whatever thread the exception is thrown on.
  auto session = create("Softmax");
  ASSERT_TRUE(session.ok());
  std::vector<float> x(60), y(60);
  for (int i = 0; i < 100; ++i) {
    const Status status = session->Run(x, y);
    ASSERT_EQ(status.code(), StatusCode::kInternal);
    ASSERT_NE(status.message().find("item 1 is bad"), std::string::npos);
  }
}

TEST(Plugin, WhatIsNoPluginIsRefused) {
  EXPECT_EQ(LoadPlugin("no/such/file.so").code(), StatusCode::kNotFound);
  EXPECT_EQ(LoadPlugin("").code(), StatusCode::kNotFound);
  EXPECT_EQ(LoadPlugin(BQE_PLUGIN_DIR).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadPlugin(__FILE__).code(), StatusCode::kInvalidArgument);
}

struct BadPlugin {
  const char* library;
  StatusCode code;
  const char* message;
};

class BadPlugins : public ::testing::TestWithParam<BadPlugin> {};

TEST_P(BadPlugins, AreRefusedWithAReason) {
  const auto before = ListBackends()->size();
  const Status status = LoadPlugin(PluginPath(GetParam().library));
  EXPECT_EQ(status.code(), GetParam().code);
  EXPECT_NE(status.message().find(GetParam().message), std::string::npos)
      << status.message();
  EXPECT_EQ(ListBackends()->size(), before);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, BadPlugins,
    ::testing::Values(
        BadPlugin{"bad_plugin_0", StatusCode::kInvalidArgument,
                  "does not export"},
        BadPlugin{"bad_plugin_1", StatusCode::kUnsupported, "cannot run"},
        BadPlugin{"bad_plugin_2", StatusCode::kUnsupported, "no device found"},
        BadPlugin{"bad_plugin_3", StatusCode::kInvalidArgument, "version 99"},
        BadPlugin{"bad_plugin_4", StatusCode::kInvalidArgument, "1 to 256"},
        BadPlugin{"bad_plugin_5", StatusCode::kInvalidArgument, "1 to 256"},
        BadPlugin{"bad_plugin_6", StatusCode::kInvalidArgument, "no name"},
        BadPlugin{"bad_plugin_7", StatusCode::kInvalidArgument, "function"},
        BadPlugin{"bad_plugin_8", StatusCode::kInvalidArgument, "struct_size"},
        BadPlugin{"bad_plugin_9", StatusCode::kInvalidArgument, "already"}),
    [](const auto& info) { return std::string(info.param.library); });

// These load, and fail later. Each is loaded in a process of its own, for they
// all offer a backend of one name.
void ExpectFailure(const char* library, StatusCode code, const char* message) {
  if (!LoadPlugin(PluginPath(library)).ok()) std::exit(2);
  auto session = Session::Create(OneOp("Relu"), {.backend = "bad"});
  Status status = session.status();
  if (session.ok()) {
    std::vector<float> x(15), y(15);
    status = session->Run(x, y);
  }
  const bool good = status.code() == code &&
                    status.message().find(message) != std::string::npos &&
                    status.message().find("node 'y'") != std::string::npos;
  std::exit(good ? 0 : 1);
}

// A backend that cannot compile a node passes it on to the next.
void ExpectPassedOn() {
  if (!LoadPlugin(PluginPath("bad_plugin_11")).ok()) std::exit(2);
  auto session = Session::Create(OneOp("Relu"), {.backend = "bad"});
  std::exit(session.ok() && session->backend() != "bad" ? 0 : 1);
}

TEST(PluginDeathTest, UnsupportedNodesArePassedOn) {
  EXPECT_EXIT(ExpectPassedOn(), ::testing::ExitedWithCode(0), "");
}

TEST(PluginDeathTest, FailuresOfKernelsBecomeErrors) {
  EXPECT_EXIT(ExpectFailure("bad_plugin_10", StatusCode::kInternal,
                            "incomplete kernel"),
              ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(
      ExpectFailure("bad_plugin_12", StatusCode::kInternal, "ran into a wall"),
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace bqengine
