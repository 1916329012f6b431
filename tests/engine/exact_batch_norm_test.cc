// The sign of a batch-normalised accumulator is that of exact arithmetic on the
// stored parameters, fused and unfused, on every backend: 10,000 random batch
// norms, with scales and biases before them, at the accumulators next to where
// they switch. The oracle compares squares of exact numbers
// (tests/support/dyadic.h) and shares nothing with the engine.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "bqengine/model.h"
#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "tests/support/dyadic.h"
#include "tests/support/graph_maker.h"

namespace bqengine {
namespace {

using testing::Dyadic;
using testing::GraphMaker;

constexpr int64_t kChannels = 64;
constexpr int64_t kLargest = int64_t{1} << 17;

// What is between an accumulator and the sign of one channel.
struct Channel {
  float mul = 1, add = 0;
  float gamma = 1, beta = 0, mean = 0, var = 1;
  float epsilon = 0;
};

// gamma * (acc * mul + add - mean) / sqrt(var + epsilon) + beta >= 0.
bool ExactBit(const Channel& c, int64_t accumulator) {
  const Dyadic x = Dyadic(static_cast<double>(accumulator)) * Dyadic(c.mul) +
                   Dyadic(c.add) - Dyadic(c.mean);
  const Dyadic p = Dyadic(c.gamma) * x;
  const Dyadic q(c.beta);
  // p / s + q with s > 0: where the signs differ, squares decide.
  if (p.sign() >= 0 && q.sign() >= 0) return true;
  if (p.sign() <= 0 && q.sign() <= 0) return false;
  const Dyadic squares = p * p - q * q * (Dyadic(c.var) + Dyadic(c.epsilon));
  return p.sign() > 0 ? squares.sign() >= 0 : squares.sign() <= 0;
}

// The accumulators on both sides of each channel's switch; bipolar ones have
// the parity of `k`.
std::set<int64_t> NextToSwitch(const Channel& channel, int64_t low,
                               int64_t high, int64_t step) {
  std::set<int64_t> all = {low, high};
  const bool at_low = ExactBit(channel, low);
  if (at_low == ExactBit(channel, high)) return all;
  while (high - low > step) {
    const int64_t middle = low + (high - low) / step / 2 * step;
    (ExactBit(channel, middle) == at_low ? low : high) = middle;
  }
  all.insert({low, high});
  return all;
}

enum class Kind { kRealistic, kTies, kNearTies, kExtreme };

Channel RandomChannel(GraphMaker& maker, Kind kind, float k, float epsilon,
                      bool scaled, bool biased) {
  Channel c;
  c.epsilon = epsilon;
  const float spread = std::sqrt(k);
  if (scaled) c.mul = maker.Uniform(-2, 2);
  if (biased) c.add = maker.Uniform(-spread, spread);
  c.gamma = maker.Uniform(-2, 2);
  c.beta = maker.Uniform(-2, 2);
  c.mean = maker.Uniform(-spread, spread);
  c.var = maker.Uniform(0.01f, 1) * k;
  switch (kind) {
    case Kind::kRealistic:
      break;
    case Kind::kTies:  // exactly 0 at an integer
      if (scaled) c.mul = maker.Int(0, 1) == 0 ? 0.5f : -2.0f;
      c.add = std::round(c.add);
      c.mean = std::round(c.mean);
      c.var = static_cast<float>(maker.Int(1, 40) * maker.Int(1, 40));
      c.beta = maker.Int(0, 2) == 0 ? static_cast<float>(maker.Int(-9, 9)) : 0;
      if (!biased) c.add = 0;
      break;
    case Kind::kNearTies: {  // 0 at an integer, but for the rounding of beta
      const double at = std::round(maker.Uniform(-1, 1) * k);
      const double deviation = std::sqrt(double{c.var} + epsilon);
      const double x = at * c.mul + c.add - c.mean;
      c.beta = static_cast<float>(-c.gamma * x / deviation);
      break;
    }
    case Kind::kExtreme:
      c.gamma = std::ldexp(c.gamma, static_cast<int>(maker.Int(-60, 60)));
      c.beta = std::ldexp(c.beta, static_cast<int>(maker.Int(-60, 60)));
      c.mean = std::ldexp(c.mean, static_cast<int>(maker.Int(-30, 10)));
      c.var = std::ldexp(c.var, static_cast<int>(maker.Int(-40, 40)));
      if (maker.Int(0, 3) == 0) c.gamma = maker.Int(0, 1) == 0 ? 0 : 1e-30f;
      if (maker.Int(0, 3) == 0) c.beta = maker.Int(0, 1) == 0 ? 0 : -1e-42f;
      break;
  }
  return c;
}

// One bit row for each accumulator: ones first, against weights of ones only.
Constant Inputs(DataType type, int64_t k,
                const std::vector<int64_t>& accumulators) {
  const auto row_words = static_cast<size_t>((k + 63) / 64);
  std::vector<uint64_t> words(accumulators.size() * row_words, 0);
  for (size_t i = 0; i < accumulators.size(); ++i) {
    const int64_t ones = type == DataType::kBipolar ? (accumulators[i] + k) / 2
                                                    : accumulators[i];
    for (int64_t bit = 0; bit < ones; ++bit) {
      words[i * row_words + static_cast<size_t>(bit / 64)] |= uint64_t{1}
                                                              << (bit % 64);
    }
  }
  return Constant::Bits(type, {static_cast<int64_t>(accumulators.size()), k},
                        std::move(words));
}

Graph MakeGraph(DataType type, int64_t k, const std::vector<Channel>& channels,
                bool scaled, bool biased, bool in_product) {
  const auto floats = [&](float Channel::*member) {
    std::vector<float> values;
    for (const Channel& c : channels) values.push_back(c.*member);
    return Constant::Floats({kChannels}, std::move(values));
  };
  Graph graph;
  graph.name = "test";
  graph.inputs = {{.name = "x", .info = {type, {kBatch, k}}}};
  const auto row_words = static_cast<size_t>((k + 63) / 64);
  std::vector<uint64_t> weight(kChannels * row_words, ~uint64_t{0});
  for (size_t row = 1; k % 64 != 0 && row <= kChannels; ++row) {
    weight[row * row_words - 1] = (uint64_t{1} << (k % 64)) - 1;
  }
  std::map<std::string, Constant> constants = {
      {"weight", Constant::Bits(type, {1, kChannels, k}, std::move(weight))}};
  if (in_product && scaled) constants["mul"] = floats(&Channel::mul);
  if (in_product && biased) constants["add"] = floats(&Channel::add);
  GraphMaker::Add(graph, "BinaryGemm", "product", {"x"}, {}, constants);
  std::string last = "product";
  if (!in_product && scaled) {
    GraphMaker::Add(graph, "Mul", "scaled", {last}, {},
                    {{"value", floats(&Channel::mul)}});
    last = "scaled";
  }
  if (!in_product && biased) {
    GraphMaker::Add(graph, "Add", "biased", {last}, {},
                    {{"value", floats(&Channel::add)}});
    last = "biased";
  }
  GraphMaker::Add(graph, "BatchNormalization", "norm", {last},
                  {{"epsilon", channels[0].epsilon}},
                  {{"scale", floats(&Channel::gamma)},
                   {"bias", floats(&Channel::beta)},
                   {"mean", floats(&Channel::mean)},
                   {"var", floats(&Channel::var)}});
  GraphMaker::Add(graph, "Binarize", "sign", {"norm"});
  return graph;
}

// Runs one graph of 64 batch norms everywhere.
void Check(uint32_t seed, Kind kind, int64_t k) {
  SCOPED_TRACE("seed " + std::to_string(seed) + ", k " + std::to_string(k));
  GraphMaker maker(seed);
  const DataType type =
      maker.Int(0, 1) == 0 ? DataType::kBipolar : DataType::kUnipolar;
  const bool scaled = maker.Int(0, 2) == 0, biased = maker.Int(0, 2) == 0;
  const bool in_product = maker.Int(0, 2) == 0;
  constexpr float kEpsilons[] = {0, 1e-5f, 2e-5f, 1e-3f};
  const float epsilon = kEpsilons[maker.Int(0, 3)];
  const int64_t low = type == DataType::kBipolar ? -k : 0;
  const int64_t step = type == DataType::kBipolar ? 2 : 1;
  std::vector<Channel> channels;
  std::set<int64_t> wanted;
  for (int64_t c = 0; c < kChannels; ++c) {
    channels.push_back(RandomChannel(maker, kind, static_cast<float>(k),
                                     epsilon, scaled, biased));
    wanted.merge(NextToSwitch(channels.back(), low, k, step));
  }
  const std::vector<int64_t> accumulators(wanted.begin(), wanted.end());
  const auto batch = static_cast<int64_t>(accumulators.size());
  const Constant input = Inputs(type, k, accumulators);
  std::vector<uint64_t> expected;  // 64 channels: a word
  for (int64_t accumulator : accumulators) {
    uint64_t word = 0;
    for (size_t c = 0; c < channels.size(); ++c) {
      word |= uint64_t{ExactBit(channels[c], accumulator)} << c;
    }
    expected.push_back(word);
  }
  auto model = Model::FromGraph(
      MakeGraph(type, k, channels, scaled, biased, in_product));
  ASSERT_TRUE(model.ok()) << model.status().message();
  const auto backends = ListBackends();
  for (const BackendInfo& backend : *backends) {
    if (backend.score == 0) continue;
    for (bool fused : {false, true}) {
      SCOPED_TRACE(backend.name + (fused ? ", fused" : ", unfused"));
      auto session = Session::Create(
          *model,
          {.max_batch = batch, .backend = backend.name, .optimize = fused});
      ASSERT_TRUE(session.ok()) << session.status().message();
      std::vector<uint64_t> bits(accumulators.size());
      const InputView in = {input.data(), input.bytes()};
      const OutputView out = {bits.data(), bits.size() * sizeof(uint64_t)};
      ASSERT_TRUE(session->Run(batch, {&in, 1}, {&out, 1}).ok());
      for (size_t i = 0; i < accumulators.size(); ++i) {
        if (bits[i] == expected[i]) continue;
        const auto c =
            static_cast<size_t>(std::countr_zero(bits[i] ^ expected[i]));
        const Channel& p = channels[c];
        FAIL() << "channel " << c << " has bit " << (bits[i] >> c & 1)
               << ", accumulator " << accumulators[i] << ", mul " << p.mul
               << ", add " << p.add << ", gamma " << p.gamma << ", beta "
               << p.beta << ", mean " << p.mean << ", var " << p.var
               << ", epsilon " << p.epsilon;
      }
    }
  }
}

// 40 graphs of 64 batch norms a kind: 10,240 of them.
constexpr uint32_t kGraphs = 40;

int64_t PickK(uint32_t i) {
  constexpr int64_t kSmall[] = {1, 9, 64, 100, 576, 1152, 2304, 4608};
  return i % 10 == 9 ? kLargest - i / 10 : kSmall[i % 8];
}

void CheckKind(Kind kind, uint32_t first_seed) {
  for (uint32_t i = 0; i < kGraphs; ++i) {
    Check(first_seed + i, kind, PickK(i));
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(ExactBatchNorm, Realistic) { CheckKind(Kind::kRealistic, 1000); }
TEST(ExactBatchNorm, Ties) { CheckKind(Kind::kTies, 2000); }
TEST(ExactBatchNorm, NearTies) { CheckKind(Kind::kNearTies, 3000); }
TEST(ExactBatchNorm, Extreme) { CheckKind(Kind::kExtreme, 4000); }

// The oracle itself.
TEST(ExactBatchNorm, OracleKnowsPublishedSwitch) {
  // PyTorch, ONNX Runtime and exact arithmetic: below 0 at 587.
  const Channel c = {.gamma = 0.81096435f,
                     .beta = -0.06873564f,
                     .mean = 584.83264f,
                     .var = 653.917f,
                     .epsilon = 2e-5f};
  EXPECT_FALSE(ExactBit(c, 587));
  EXPECT_TRUE(ExactBit(c, 588));
  const Channel tie = {
      .gamma = -3, .beta = 6, .mean = 5, .var = 3.5f, .epsilon = 0.5f};
  EXPECT_TRUE(ExactBit(tie, 9));  // -3 * 4 / 2 + 6 = 0
  EXPECT_FALSE(ExactBit(tie, 10));
  const Channel zero = {.gamma = 0, .beta = -1e-45f};
  EXPECT_FALSE(ExactBit(zero, 0));
}

TEST(ExactBatchNorm, DyadicArithmeticIsExact) {
  const Dyadic tiny(1e-45f), huge(3e38f), one(1);
  EXPECT_EQ((huge + tiny - huge - tiny).sign(), 0);
  EXPECT_EQ((huge + tiny - huge).sign(), 1);
  EXPECT_EQ((huge * huge * tiny * tiny - one).sign(), -1);
  GraphMaker maker(1);
  for (int i = 0; i < 1000; ++i) {
    const auto a = maker.Int(-(1 << 26), 1 << 26);
    const auto b = maker.Int(-(1 << 26), 1 << 26);
    const auto c = maker.Int(-(int64_t{1} << 52), int64_t{1} << 52);
    const int64_t d = a * b - c;
    EXPECT_EQ(
        (Dyadic(double(a)) * Dyadic(double(b)) - Dyadic(double(c))).sign(),
        (d > 0) - (d < 0));
  }
}

}  // namespace
}  // namespace bqengine
