// The small networks of ../shared/cases: kinds that people report, with the
// outputs of ONNX Runtime. Each on every backend, with and without passes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>

#include "bqengine/model.h"
#include "common/npy.h"
#include "convert_test_util.h"
#include "source_model.h"

namespace bqengine::convert {
namespace {

namespace fs = std::filesystem;

struct Case {
  const char* name;
  // In the plan: bits x bits, how many bases of activations all of these have,
  // floats x bits, and floats x floats.
  int binary, bases, weight, real;
};

const Case kCases[] = {
    {"fold-affine-before-shortcut", 2, 3, 0, 0},
    {"sign-after-pad", 1, 2, 0, 0},
    {"sign-bool-ge-not", 1, 1, 0, 0},
    {"sign-clip-sign", 1, 1, 0, 0},
    {"sign-floor-sign", 1, 2, 0, 0},
    {"sign-gt-minus-lt", 1, 2, 0, 0},
    {"sign-half-of-sign", 1, 2, 0, 0},
    {"sign-heaviside", 1, 1, 0, 0},
    {"sign-integer-sums", 2, 4, 0, 0},
    {"sign-pixels", 1, 2, 0, 0},
    {"sign-relu-pool", 1, 1, 0, 1},
    {"sign-sign-minus-half", 1, 1, 0, 0},
    {"sign-sign-plus-eq", 1, 1, 0, 0},
    {"sign-where-eq-x", 1, 1, 0, 0},
    {"tf2onnx-heaviside-input", 1, 1, 0, 0},
    {"tf2onnx-tern-both", 1, 2, 0, 0},
    {"tf2onnx-tf-sign-zeros", 1, 2, 0, 0},
};

class ConvertCases : public testing::TestWithParam<Case> {
 protected:
  std::string Path(const std::string& file) const {
    return std::string(BQE_SHARED) + "/cases/" + GetParam().name + "/" + file;
  }
  void SetUp() override {
    if (!fs::exists(Path("model.onnx"))) {
      GTEST_SKIP() << Path("model.onnx") << " is not on this machine";
    }
    const auto source = ReadOnnx(Path("model.onnx"));
    ASSERT_TRUE(source.ok()) << source.status().message();
    auto conversion = ConvertModel(*source, {});
    ASSERT_TRUE(conversion.ok()) << conversion.status().message();
    graph_ = std::move(conversion->graph);
  }
  Floats Read(const std::string& file, int64_t* batch) const {
    auto array = tools::ReadNpy(Path(file));
    EXPECT_TRUE(array.ok()) << array.status().message();
    if (!array.ok()) return {};
    *batch = array->shape.at(0);
    return std::move(array->values);
  }

  Graph graph_;
};

TEST_P(ConvertCases, OutputsOnEveryBackend) {
  int64_t batch = 0;
  std::vector<Floats> inputs;
  for (size_t i = 0; i < graph_.inputs.size(); ++i) {
    inputs.push_back(Read(
        i == 0 ? "input.npy" : "input" + std::to_string(i) + ".npy", &batch));
  }
  const Floats expected = Read("output.npy", &batch);
  float largest = 1;
  for (float value : expected) largest = std::max(largest, std::abs(value));
  const Floats actual = RunGraph(graph_, inputs, batch);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], 1e-4f * largest) << "element " << i;
  }
}

TEST_P(ConvertCases, StaysBinary) {
  const auto plan = OptimizeGraph(graph_);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  int binary = 0, bases = 0, weight = 0, real = 0;
  for (const Node& node : plan->nodes) {
    const std::string& op = node.op;
    weight += op == "BinaryWeightConv" || op == "BinaryWeightGemm";
    real += op == "Conv" || op == "Gemm";
    if (op != "BinaryConv" && op != "BinaryGemm") continue;
    ++binary;
    // A residual, which stands behind the bases, is no base.
    const auto post = node.attributes.find("post");
    const bool residual =
        post != node.attributes.end() &&
        std::get<std::string>(post->second).find("Residual") !=
            std::string::npos;
    bases += static_cast<int>(node.inputs.size()) - residual;
  }
  EXPECT_EQ(binary, GetParam().binary);
  EXPECT_EQ(bases, GetParam().bases);
  EXPECT_EQ(weight, GetParam().weight);
  EXPECT_EQ(real, GetParam().real);
}

INSTANTIATE_TEST_SUITE_P(All, ConvertCases, testing::ValuesIn(kCases),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace bqengine::convert
