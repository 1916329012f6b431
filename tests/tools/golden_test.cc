// The real networks of ../shared/golden, as model files that bq-convert wrote:
// their recorded outputs on every backend, and their accuracy over the whole
// test sets on the best one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "bqengine/preprocess.h"
#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "common/dataset.h"
#include "common/npy.h"

namespace bqengine {
namespace {

struct GoldenCase {
  const char* name;
  const char* dataset;
  // Of case.json, over `images` images; how many may differ. MNIST networks
  // that start with float layers may round a few images to the other side.
  int64_t images, correct, tolerance;
};

const GoldenCase kCases[] = {
    {"lenet_xnor-mnist", "mnist:mnist", 10000, 9898, 3},
    {"mlp_binaryconnect-mnist", "mnist:mnist", 10000, 9846, 3},
    {"bwn_cnn-mnist", "mnist:mnist", 10000, 9904, 3},
    {"qonnx-tfc-1w1a-mnist", "mnist:mnist", 10000, 9296, 3},
    {"bnnpynq-lfc-w1a1-mnist", "mnist:mnist", 10000, 9834, 3},
    {"bnnpynq-cnv-w1a1-cifar10", "cifar10:cifar10/test_1000_lossless.bin", 1000,
     805, 0},
};

class Golden : public ::testing::TestWithParam<GoldenCase> {
 protected:
  void SetUp() override {
    const std::string path =
        std::string(BQE_GOLDEN_MODELS) + "/" + GetParam().name + ".json";
    if (!std::filesystem::exists(path)) {
      GTEST_SKIP() << path << " is not on this machine";
    }
    auto loaded = Model::Load(path);
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    model_.emplace(*std::move(loaded));
  }
  std::string Shared(const std::string& file) const {
    return std::string(BQE_SHARED) + "/golden/" + GetParam().name + "/" + file;
  }
  std::optional<Model> model_;
};

void ExpectClose(const std::vector<float>& actual,
                 const tools::NpyArray& expected) {
  ASSERT_EQ(actual.size(), expected.values.size());
  const size_t classes = static_cast<size_t>(expected.shape[1]);
  for (size_t i = 0; i < actual.size(); ++i) {
    const float e = expected.values[i];
    ASSERT_LE(std::abs(actual[i] - e), 1e-4f * std::max(1.0f, std::abs(e)))
        << "image " << i / classes << ", class " << i % classes << ": "
        << actual[i] << " instead of " << e;
  }
  for (size_t i = 0; i < actual.size(); i += classes) {
    const auto a = actual.begin() + i, e = expected.values.begin() + i;
    ASSERT_EQ(std::max_element(a, a + classes) - a,
              std::max_element(e, e + classes) - e)
        << "image " << i / classes;
  }
}

TEST_P(Golden, OutputsOnEveryBackend) {
  const auto input = tools::ReadNpy(Shared("input.npy"));
  const auto output = tools::ReadNpy(Shared("output.npy"));
  ASSERT_TRUE(input.ok()) << input.status().message();
  ASSERT_TRUE(output.ok()) << output.status().message();
  std::vector<float> x(input->values.size());
  ASSERT_TRUE(
      ToChannelsLast(model_->input(0).shape, Layout::kNCHW, input->values, x)
          .ok());
  int used = 0;
  const auto backends = ListBackends();
  ASSERT_TRUE(backends.ok()) << backends.status().message();
  for (const BackendInfo& backend : *backends) {
    if (backend.score == 0) continue;
    for (const bool optimize : {true, false}) {
      SCOPED_TRACE(backend.name + (optimize ? "" : ", without passes"));
      auto session = Session::Create(*model_, {.max_batch = input->shape[0],
                                               .backend = backend.name,
                                               .optimize = optimize});
      ASSERT_TRUE(session.ok()) << session.status().message();
      std::vector<float> y(output->values.size());
      const Status status = session->Run(x, y);
      ASSERT_TRUE(status.ok()) << status.message();
      ExpectClose(y, *output);
    }
    ++used;
  }
  EXPECT_GE(used, 2) << "only the reference ran";
}

TEST_P(Golden, AccuracyOnTheTestSet) {
#ifdef BQE_EMULATED
  GTEST_SKIP() << "50,000 images take too long under emulation; "
                  "OutputsOnEveryBackend has compared every output";
#endif
  const GoldenCase& golden = GetParam();
  std::string spec = golden.dataset;
  spec.insert(spec.find(':') + 1, std::string(BQE_SHARED) + "/data/");
  const auto data = tools::ReadDataset(spec, tools::Split::kTest);
  ASSERT_TRUE(data.ok()) << data.status().message();
  ASSERT_EQ(data->images.count, golden.images);

  constexpr int64_t kBatchSize = 100;
  auto session =
      Session::Create(*model_, {.threads = 2, .max_batch = kBatchSize});
  ASSERT_TRUE(session.ok()) << session.status().message();
  const size_t item = data->images.item_size() * kBatchSize;
  std::vector<float> x(item), y(kBatchSize * 10);
  int64_t correct = 0;
  for (int64_t first = 0; first < golden.images; first += kBatchSize) {
    const auto pixels =
        std::span(data->images.pixels).subspan(first / kBatchSize * item, item);
    ASSERT_TRUE(PixelsToInput(model_->graph().inputs[0], pixels, x).ok());
    ASSERT_TRUE(session->Run(x, y).ok());
    for (int64_t i = 0; i < kBatchSize; ++i) {
      const auto scores = y.begin() + 10 * i;
      correct += std::max_element(scores, scores + 10) - scores ==
                 data->labels[first + i];
    }
  }
  EXPECT_LE(std::abs(correct - golden.correct), golden.tolerance)
      << correct << " of " << golden.images << " are right, not "
      << golden.correct;
}

INSTANTIATE_TEST_SUITE_P(Networks, Golden, ::testing::ValuesIn(kCases),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace bqengine
