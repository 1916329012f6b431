// What the real networks of ../shared/golden become; golden_test runs them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "bqengine/model.h"
#include "convert.h"
#include "source_model.h"

namespace bqengine::convert {
namespace {

namespace fs = std::filesystem;

struct GoldenCase {
  const char* name;
  int64_t max_bytes;    // on disk
  int binary_products;  // bits x bits
  int bases;            // of activations, of all of these
  int weight_products;  // floats x bits
  int float_products;
};

const GoldenCase kCases[] = {
    {"lenet_xnor-mnist", 240000, 4, 4, 0, 1},
    {"mlp_binaryconnect-mnist", 150000, 0, 0, 4, 0},
    {"bwn_cnn-mnist", 35000, 0, 0, 2, 2},
    {"qonnx-tfc-1w1a-mnist", 16000, 4, 4, 0, 0},
    {"bnnpynq-lfc-w1a1-mnist", 400000, 4, 4, 0, 0},
    {"bnnpynq-cnv-w1a1-cifar10", 230000, 8, 8, 1, 0},
};

class ConvertGolden : public testing::TestWithParam<GoldenCase> {
 protected:
  std::string Path(const std::string& file) const {
    return std::string(BQE_SHARED) + "/golden/" + GetParam().name + "/" + file;
  }
  void SetUp() override {
    if (!fs::exists(Path("model.onnx"))) {
      GTEST_SKIP() << Path("model.onnx") << " is not on this machine";
    }
  }
  Conversion Convert() const {
    const auto source = ReadOnnx(Path("model.onnx"));
    EXPECT_TRUE(source.ok()) << source.status().message();
    if (!source.ok()) return {};
    ConvertOptions options;
    options.scale = 1.0f / 255;  // as all of them want it
    auto conversion = ConvertModel(*source, options);
    EXPECT_TRUE(conversion.ok()) << conversion.status().message();
    return conversion.ok() ? *std::move(conversion) : Conversion{};
  }
};

int Count(const Graph& graph, const std::vector<std::string>& ops) {
  return static_cast<int>(std::count_if(
      graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
        return std::find(ops.begin(), ops.end(), node.op) != ops.end();
      }));
}

TEST_P(ConvertGolden, Products) {
  const Graph graph = Convert().graph;
  EXPECT_EQ(Count(graph, {"BinaryConv", "BinaryGemm"}),
            GetParam().binary_products);
  size_t bases = 0;
  for (const Node& node : graph.nodes) {
    const bool binary = node.op == "BinaryConv" || node.op == "BinaryGemm";
    if (binary) bases += node.inputs.size();
  }
  EXPECT_EQ(bases, static_cast<size_t>(GetParam().bases));
  EXPECT_EQ(Count(graph, {"BinaryWeightConv", "BinaryWeightGemm"}),
            GetParam().weight_products);
  EXPECT_EQ(Count(graph, {"Conv", "Gemm"}), GetParam().float_products);
  EXPECT_EQ(Count(graph, {"Transpose", "Pad"}), 0);
}

TEST_P(ConvertGolden, SizeOnDisk) {
  const auto optimized = OptimizeGraph(Convert().graph);
  ASSERT_TRUE(optimized.ok()) << optimized.status().message();
  std::string folder =
      (fs::temp_directory_path() / "bqe_golden_XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const Status status = WriteGraph(*optimized, folder + "/model.json");
  EXPECT_TRUE(status.ok()) << status.message();
  uintmax_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    bytes += entry.file_size();
  }
  const auto loaded = Model::Load(folder + "/model.json");
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
  fs::remove_all(folder);
  EXPECT_GT(bytes, 0u);
  EXPECT_LE(bytes, static_cast<uintmax_t>(GetParam().max_bytes));
}

INSTANTIATE_TEST_SUITE_P(All, ConvertGolden, testing::ValuesIn(kCases),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace bqengine::convert
