// Who is timed in bq-bench-peers: contenders whose answers are the layer's, and
// nobody else. The contenders here are false in one way each.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "peers/compare.h"
#include "peers/layer.h"
#include "peers/plot.h"
#include "peers/report.h"
#include "peers/verify.h"

namespace bqengine::bench {
namespace {

// 5x6 pixels of 70 channels to 33, stride 2: borders, and rows that end within
// a word.
Layer SmallLayer() {
  kernels::ConvShape shape = {.window = {.batch = 1,
                                         .in_h = 5,
                                         .in_w = 6,
                                         .out_h = 3,
                                         .out_w = 3,
                                         .kernel_h = 3,
                                         .kernel_w = 3,
                                         .stride_h = 2,
                                         .stride_w = 2,
                                         .dilation_h = 1,
                                         .dilation_w = 1,
                                         .pad_top = 1,
                                         .pad_left = 1},
                              .in_channels = 70,
                              .out_channels = 33,
                              .groups = 1};
  return MakeLayer(
      {.name = "bconv3x3/5x6x70-33s2",
       .spec = {
           .shape = shape, .format = {}, .epilogue = {}, .bits_out = false}});
}

// Answers with what `answer` makes of the right one.
class Fake : public Contender {
 public:
  using MakeAnswer = std::function<Answer(const LayerInput& input)>;
  explicit Fake(MakeAnswer answer) : make_answer_(std::move(answer)) {}
  void SetInput(const LayerInput& input) override { input_ = input; }
  void Run() override { answer_ = make_answer_(input_); }
  Answer Output() override { return answer_; }

 private:
  MakeAnswer make_answer_;
  LayerInput input_;
  Answer answer_;
};

Answer Right(const LayerInput& input) { return {.values = input.y}; }

Column FakeColumn(const std::string& name, const Fake::MakeAnswer& answer) {
  return {.key = name + "_us",
          .heading = name,
          .ours = name == "ours",
          .make = [answer](const Layer&, int) {
            return std::make_unique<Fake>(answer);
          }};
}

std::string WhyNot(const Fake::MakeAnswer& answer) {
  const Layer layer = SmallLayer();
  Fake fake(answer);
  try {
    Verify(layer, fake);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(PeersLayer, AnswersAreThoseOfPlainLoops) {
  const Layer layer = SmallLayer();
  const kernels::Window& w = layer.shape.window;
  ASSERT_EQ(layer.inputs.size(), 2u);
  EXPECT_NE(layer.inputs[0].y, layer.inputs[1].y);
  for (const LayerInput& input : layer.inputs) {
    for (int64_t oh = 0; oh < w.out_h; ++oh) {
      for (int64_t ow = 0; ow < w.out_w; ++ow) {
        for (int64_t o = 0; o < 33; ++o) {
          int64_t sum = 0, unsigned_sum = 0;
          for (int64_t kh = 0; kh < 3; ++kh) {
            for (int64_t kw = 0; kw < 3; ++kw) {
              const int64_t h = 2 * oh + kh - 1, v = 2 * ow + kw - 1;
              if (h < 0 || h >= w.in_h || v < 0 || v >= w.in_w) continue;
              for (int64_t c = 0; c < 70; ++c) {
                const int64_t x = int64_t(
                    input.x_bits[size_t((h * w.in_w + v) * 2 + c / 64)] >>
                        (c % 64) &
                    1);
                const int64_t weight =
                    layer.weight[size_t(((o * 3 + kh) * 3 + kw) * 70 + c)] > 0
                        ? 1
                        : -1;
                sum += (2 * x - 1) * weight;
                unsigned_sum += x * weight;
              }
            }
          }
          const size_t at = size_t((oh * w.out_w + ow) * 33 + o);
          const float mul = layer.mul[size_t(o)], add = layer.add[size_t(o)];
          EXPECT_EQ(input.y[at], float(sum) * mul + add);
          EXPECT_EQ(input.unsigned_y[at], float(unsigned_sum) * mul + add);
        }
      }
    }
  }
}

TEST(PeersVerify, TakesRightAnswers) {
  const Layer layer = SmallLayer();
  const auto difference = [&](const Fake::MakeAnswer& answer) {
    Fake fake(answer);
    return Verify(layer, fake).difference;
  };
  EXPECT_EQ(difference(Right), 0);
  // Bits.
  EXPECT_EQ(difference([](const LayerInput& input) {
              Answer answer = {.values = {}, .signs = true};
              for (const float y : input.y) {
                answer.values.push_back(y >= 0 ? 1.0f : -1.0f);
              }
              return answer;
            }),
            0);
  // Integers, whatever is done with halves.
  for (const float half : {0.0f, 0.25f}) {
    const double largest = difference([half](const LayerInput& input) {
      Answer answer = {.values = {},
                       .of_unsigned = true,
                       .step = 1,
                       .lowest = 0,
                       .highest = 20};
      for (const float y : input.unsigned_y) {
        answer.values.push_back(
            std::clamp(std::ceil(y - 0.5f + half), 0.0f, 20.0f));
      }
      return answer;
    });
    EXPECT_GT(largest, 0);
    EXPECT_LE(largest, 0.5);
  }
  // Rounding that is allowed for.
  EXPECT_NEAR(difference([&](const LayerInput& input) {
                Answer answer = {.values = input.y, .rounding = 0.1f};
                answer.values[40] += 0.05f * layer.mul[40 % 33];
                return answer;
              }),
              0.05 * double(layer.mul[40 % 33]), 1e-4);
}

TEST(PeersVerify, FindsWrongAnswers) {
  // One value, by one missing tap.
  EXPECT_EQ(WhyNot([](const LayerInput& input) {
              Answer answer = Right(input);
              answer.values[200] += 0.25f;
              return answer;
            }).find("answer differs (input 2: 1 of 297 values, the first is "),
            0u);
  // The input is ignored.
  const Layer layer = SmallLayer();
  const std::string ignores = WhyNot(
      [&](const LayerInput&) { return Answer{.values = layer.inputs[0].y}; });
  EXPECT_EQ(ignores.find("answer differs (input 2: "), 0u) << ignores;
  const std::string other = WhyNot(
      [&](const LayerInput&) { return Answer{.values = layer.inputs[1].y}; });
  EXPECT_EQ(other.find("answer differs (input 1: "), 0u) << other;
  // Nothing is a number.
  const std::string nan = WhyNot([](const LayerInput& input) {
    return Answer{.values = std::vector<float>(
                      input.y.size(), std::numeric_limits<float>::quiet_NaN())};
  });
  EXPECT_NE(nan.find("297 of 297 values"), std::string::npos) << nan;
  // Too few.
  EXPECT_EQ(WhyNot([](const LayerInput& input) {
              return Answer{.values = {input.y.begin(), input.y.end() - 1}};
            }),
            "answer differs (input 2: 296 values, not 297)");
  // An integer that is not the nearest one.
  EXPECT_NE(WhyNot([](const LayerInput& input) {
              Answer answer = {
                  .values = {}, .step = 1, .lowest = -128, .highest = 127};
              for (const float y : input.y) {
                answer.values.push_back(std::floor(y));
              }
              return answer;
            }),
            "");
}

TEST(PeersCompare, DoesNotTimeWrongAnswers) {
  const Layer layer = SmallLayer();
  const std::vector<Column> columns = {
      FakeColumn("ours", Right),
      FakeColumn("constant",
                 [&](const LayerInput&) {
                   return Answer{.values = layer.inputs[0].y};
                 }),
      FakeColumn("wrong",
                 [](const LayerInput& input) {
                   Answer answer = Right(input);
                   answer.values.back() += 1;
                   return answer;
                 }),
      FakeColumn("right", Right)};
  const Times times = Compare(columns, layer, 1, 1);
  EXPECT_TRUE(times.us[0].has_value());
  EXPECT_FALSE(times.us[1].has_value());
  EXPECT_FALSE(times.us[2].has_value());
  EXPECT_TRUE(times.us[3].has_value());
  EXPECT_EQ(times.verified[0]->difference, 0);
  EXPECT_FALSE(times.verified[1].has_value());
  EXPECT_FALSE(times.verified[2].has_value());

  Report report = {.cpu = "a machine",
                   .engines = {.columns = columns,
                               .backend = {},
                               .onednn = {},
                               .onednn_isa = {}},
                   .rounds = 1,
                   .times = {times}};
  const std::string answers = AnswerLines(report);
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(answers,
                  "- ours: answer verified in 1 of 1 rows, largest difference "
                  "0 of 0 allowed\n"))
      << answers;
  EXPECT_TRUE(has(answers, "- right: answer verified in 1 of 1 rows"));
  EXPECT_TRUE(has(answers, "- constant: not timed: answer differs (input 2: "))
      << answers;
  EXPECT_TRUE(has(answers, "- wrong: not timed: answer differs (input 2: "));
  EXPECT_FALSE(has(answers, "wrong: answer verified"));
  const std::string table = MakeTables(report);
  EXPECT_TRUE(has(table, " right |")) << table;
  EXPECT_FALSE(has(table, "wrong")) << table;
  EXPECT_TRUE(has(MakeJson(report), "\"wrong_us\": null"));
  const std::string plot = MakePlot(report);
  EXPECT_TRUE(has(plot, ">right<"));
  EXPECT_FALSE(has(plot, ">wrong<"));

  // One that is right on another layer has a dash on this one.
  report.times.push_back(times);
  report.times[1].shape = "other";
  report.times[1].us[2] = 12.0;
  EXPECT_TRUE(has(MakeTables(report), " wrong |"));
  EXPECT_TRUE(has(MakeTables(report), " - |"));

  // Without a time of ours there is nothing to compare with, but others' times.
  for (Times& row : report.times) row.us[0] = std::nullopt;
  EXPECT_TRUE(has(MakeTables(report), " right |"));
  EXPECT_FALSE(has(MakeTables(report), "x)"));
  EXPECT_TRUE(has(MakePlot(report), "</svg>"));
}

}  // namespace
}  // namespace bqengine::bench
