// A golden network with one op taken over by a plug-in in plain C: same
// outputs, and the plug-in did run. A program of its own, for a plug-in stays.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "bqengine/preprocess.h"
#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "common/npy.h"

namespace bqengine {
namespace {

TEST(GoldenPlugin, ReluInPlainC) {
  const std::string name = "mlp_binaryconnect-mnist";
  const std::string path =
      std::string(BQE_GOLDEN_MODELS) + "/" + name + ".json";
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << path << " is not on this machine";
  }
  const std::string golden = std::string(BQE_SHARED) + "/golden/" + name;
  const auto model = Model::Load(path);
  const auto input = tools::ReadNpy(golden + "/input.npy");
  const auto output = tools::ReadNpy(golden + "/output.npy");
  ASSERT_TRUE(model.ok() && input.ok() && output.ok());
  std::vector<float> x(input->values.size()), y(output->values.size());
  ASSERT_TRUE(
      ToChannelsLast(model->input(0).shape, Layout::kNCHW, input->values, x)
          .ok());

  const std::string plugin = std::string(BQE_PLUGIN_DIR) + "/librelu_plugin.so";
  ASSERT_TRUE(LoadPlugin(plugin).ok());
  auto session =
      Session::Create(*model, {.threads = 2, .max_batch = input->shape[0]});
  ASSERT_TRUE(session.ok()) << session.status().message();
  int taken_over = 0;
  for (const NodeProfile& node : session->profile()) {
    EXPECT_EQ(node.backend == "relu-in-c", node.op == "Relu") << node.name;
    taken_over += node.backend == "relu-in-c";
  }
  EXPECT_EQ(taken_over, 3);

  void* library = dlopen(plugin.c_str(), RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(library, nullptr);
  const auto runs =
      reinterpret_cast<long long (*)()>(dlsym(library, "relu_plugin_runs"));
  ASSERT_NE(runs, nullptr);
  ASSERT_TRUE(session->Run(x, y).ok());
  EXPECT_EQ(runs(), 3);
  for (size_t i = 0; i < y.size(); ++i) {
    const float expected = output->values[i];
    ASSERT_LE(std::abs(y[i] - expected),
              1e-4f * std::max(1.0f, std::abs(expected)))
        << "output " << i;
  }
}

}  // namespace
}  // namespace bqengine
