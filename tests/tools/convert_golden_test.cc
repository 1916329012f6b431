// The real networks of ../shared/golden: converted as bq-convert does it, then
// run by every backend of this machine against the recorded outputs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "common/npy.h"
#include "convert.h"
#include "source_model.h"

namespace bqengine::convert {
namespace {

namespace fs = std::filesystem;

struct GoldenCase {
  const char* name;
  int64_t max_bytes;    // on disk
  int binary_products;  // bits x bits
  int weight_products;  // floats x bits
  int float_products;
};

const GoldenCase kCases[] = {
    {"lenet_xnor-mnist", 240000, 4, 0, 1},
    {"mlp_binaryconnect-mnist", 150000, 0, 4, 0},
    {"bwn_cnn-mnist", 35000, 0, 2, 2},
    {"qonnx-tfc-1w1a-mnist", 16000, 4, 0, 0},
    {"bnnpynq-lfc-w1a1-mnist", 400000, 4, 0, 0},
    {"bnnpynq-cnv-w1a1-cifar10", 230000, 8, 1, 0},
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
    auto conversion = ConvertModel(*source, {});
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

// Images from the order of the file to that of memory.
std::vector<float> ChannelsLast(const tools::NpyArray& images) {
  const Shape& s = images.shape;
  std::vector<float> out(images.values.size());
  const int64_t pixels = s[2] * s[3];
  for (int64_t b = 0; b < s[0]; ++b) {
    for (int64_t c = 0; c < s[1]; ++c) {
      for (int64_t p = 0; p < pixels; ++p) {
        out[(b * pixels + p) * s[1] + c] =
            images.values[(b * s[1] + c) * pixels + p];
      }
    }
  }
  return out;
}

void ExpectGolden(const std::vector<float>& y, const tools::NpyArray& golden) {
  ASSERT_EQ(y.size(), golden.values.size());
  const int64_t classes = golden.shape[1];
  for (int64_t b = 0; b < golden.shape[0]; ++b) {
    const float* actual = &y[b * classes];
    const float* expected = &golden.values[b * classes];
    for (int64_t i = 0; i < classes; ++i) {
      ASSERT_LE(std::abs(actual[i] - expected[i]),
                1e-4f * std::max(1.0f, std::abs(expected[i])))
          << "image " << b << ", class " << i << ": " << actual[i]
          << " instead of " << expected[i];
    }
    ASSERT_EQ(std::max_element(actual, actual + classes) - actual,
              std::max_element(expected, expected + classes) - expected)
        << "image " << b;
  }
}

TEST_P(ConvertGolden, Products) {
  const Graph graph = Convert().graph;
  EXPECT_EQ(Count(graph, {"BinaryConv", "BinaryGemm"}),
            GetParam().binary_products);
  EXPECT_EQ(Count(graph, {"BinaryWeightConv", "BinaryWeightGemm"}),
            GetParam().weight_products);
  EXPECT_EQ(Count(graph, {"Conv", "Gemm"}), GetParam().float_products);
  EXPECT_EQ(Count(graph, {"Transpose", "Pad"}), 0);
}

TEST_P(ConvertGolden, OutputsOnEveryBackend) {
  const auto input = tools::ReadNpy(Path("input.npy"));
  const auto output = tools::ReadNpy(Path("output.npy"));
  ASSERT_TRUE(input.ok()) << input.status().message();
  ASSERT_TRUE(output.ok()) << output.status().message();
  ASSERT_EQ(input->shape.size(), 4u);
  const std::vector<float> x = ChannelsLast(*input);

  const auto model = Model::FromGraph(Convert().graph);
  ASSERT_TRUE(model.ok()) << model.status().message();
  int backends = 0;
  for (const BackendInfo& backend : ListBackends()) {
    if (backend.score == 0) continue;
    for (bool optimize : {true, false}) {
      SCOPED_TRACE(backend.name + (optimize ? "" : ", not optimized"));
      SessionOptions options;
      options.backend = backend.name;
      options.max_batch = input->shape[0];
      options.optimize = optimize;
      auto session = Session::Create(*model, options);
      ASSERT_TRUE(session.ok()) << session.status().message();
      std::vector<float> y(output->values.size());
      const Status status = session->Run(x, y);
      ASSERT_TRUE(status.ok()) << status.message();
      ExpectGolden(y, *output);
    }
    ++backends;
  }
  EXPECT_GE(backends, 2);  // reference and at least one cpu target
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
