// What BatchNormalization computes, to the bit. Backends and passes take its
// multiplication and addition from one header, so comparing them with each
// other would not notice a mistake there; the values below are from 60 decimal
// digits, rounded once. In each of them a deviation rounded to float gives
// another bit.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "bqengine/model.h"
#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "tests/support/graph_maker.h"

namespace bqengine {
namespace {

using testing::GraphMaker;

struct Norm {
  float scale, bias, mean, var;  // epsilon is 1e-5
  float mul, add;                // what they mean
};

constexpr Norm kNorms[] = {
    {-2.73900008f, 1.22000003f, 2.89899993f, 237.278f, -0x1.6c292ep-3f,
     0x1.bc4866p+0f},
    {-1.38399994f, 0.287999988f, 2.74300003f, 2.29399991f, -0x1.d3da16p-1f,
     0x1.65b186p+1f},
    {-1.50300002f, -2.34299994f, 0.749000013f, 0.000704000005f, -0x1.c1fca6p+5f,
     0x1.3e4bd4p+5f},
    {-2.04200006f, 0.164000005f, -1.99100006f, 109.172997f, -0x1.903f3ap-3f,
     -0x1.cd050ep-3f},
    {-2.30900002f, 2.30999994f, -2.75999999f, 95.8610001f, -0x1.e2fbf2p-3f,
     0x1.a8bafep+0f},
    {2.77999997f, 1.85000002f, 0.296000004f, 0.0085140001f, 0x1.e1c60ep+4f,
     -0x1.c4052p+2f},
    {2.34800005f, 0.588f, 2.19300008f, 357.118011f, 0x1.fcec5p-4f,
     0x1.43184cp-2f},
    {-0.976999998f, -0.0839999989f, -2.94899988f, 395.587006f, -0x1.9267b6p-5f,
     -0x1.d4b486p-3f},
    {1.62f, 1.08700001f, -2.75399995f, 0.00725199981f, 0x1.3029d2p+4f,
     0x1.ab8768p+5f},
    {-2.38100004f, -1.09800005f, -1.38399994f, 19.9160004f, -0x1.112abep-1f,
     -0x1.d61e9ap+0f},
    {0.848999977f, -0.126000002f, 2.86899996f, 95.6849976f, 0x1.638146p-4f,
     -0x1.80028cp-2f},
    {1.58000004f, -0.731999993f, -0.108000003f, 0.00268399995f, 0x1.e70e2ap+4f,
     0x1.471eacp+1f},
};
constexpr int64_t kChannels = std::size(kNorms);

Constant Values(float Norm::*member) {
  std::vector<float> values;
  for (const Norm& norm : kNorms) values.push_back(norm.*member);
  return Constant::Floats({kChannels}, std::move(values));
}

void AddNorm(Graph& graph, const std::string& x) {
  GraphMaker::Add(graph, "BatchNormalization", "y", {x}, {{"epsilon", 1e-5f}},
                  {{"scale", Values(&Norm::scale)},
                   {"bias", Values(&Norm::bias)},
                   {"mean", Values(&Norm::mean)},
                   {"var", Values(&Norm::var)}});
}

// Expects x * mul + add, on every backend, with passes and without. `input` has
// one item for each x.
void Check(const Graph& graph, const std::vector<float>& input,
           const std::vector<float>& x) {
  auto model = Model::FromGraph(graph);
  ASSERT_TRUE(model.ok()) << model.status().message();
  const auto backends = ListBackends();
  for (const BackendInfo& backend : *backends) {
    if (backend.score == 0) continue;
    for (bool optimize : {false, true}) {
      SCOPED_TRACE(backend.name + (optimize ? ", fused" : ""));
      auto session =
          Session::Create(*model, {.max_batch = static_cast<int64_t>(x.size()),
                                   .backend = backend.name,
                                   .optimize = optimize});
      ASSERT_TRUE(session.ok()) << session.status().message();
      std::vector<float> output(x.size() * kChannels);
      const Status status = session->Run(input, output);
      ASSERT_TRUE(status.ok()) << status.message();
      for (size_t i = 0; i < output.size(); ++i) {
        const Norm& norm = kNorms[i % kChannels];
        const float product = x[i / kChannels] * norm.mul;
        EXPECT_EQ(output[i], product + norm.add)
            << "channel " << i % kChannels << ", x " << x[i / kChannels];
      }
    }
  }
}

// At 0 the result is `add`; at 2^40 it is `mul`, but for a power of two.
TEST(BatchNorm, OfFloats) {
  Graph graph = GraphMaker(1).Start({kBatch, kChannels});
  AddNorm(graph, "x");
  const std::vector<float> x = {0, 0x1p40f, 1, -3};
  std::vector<float> input;
  for (float value : x) input.insert(input.end(), kChannels, value);
  Check(graph, input, x);
}

TEST(BatchNorm, OfAccumulators) {
  constexpr int64_t kTaps = 7;
  Graph graph = GraphMaker(1).Start({kBatch, kTaps});
  GraphMaker::Add(graph, "Binarize", "bits", {"x"});
  GraphMaker::Add(
      graph, "BinaryGemm", "product", {"bits"}, {},
      {{"weight",
        Constant::Bits(DataType::kBipolar, {1, kChannels, kTaps},
                       std::vector<uint64_t>(kChannels, (1 << kTaps) - 1))}});
  AddNorm(graph, "product");
  std::vector<float> input, x;
  for (int64_t ones = 0; ones <= kTaps; ++ones) {
    for (int64_t i = 0; i < kTaps; ++i) input.push_back(i < ones ? 1 : -1);
    x.push_back(static_cast<float>(2 * ones - kTaps));
  }
  Check(graph, input, x);
}

}  // namespace
}  // namespace bqengine
