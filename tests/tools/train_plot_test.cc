// The log of a training run as CSV, and its curves as SVG.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "common_test_util.h"
#include "train/plot/axis.h"
#include "train/plot/history_csv.h"
#include "train/plot/svg_text.h"
#include "train/plot/training_plot.h"

namespace bqengine::train {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TrainingHistory History(int epochs, const std::vector<std::string>& layers) {
  TrainingHistory history;
  history.title = "a & b";
  for (int i = 1; i <= epochs; ++i) {
    EpochRecord epoch{i,        2.0 / (i * i), 1 - 0.3 / i, 1 - 0.4 / i,
                      1e-3 / 3, 12.5,          {}};
    for (const std::string& name : layers) {
      epoch.layers.push_back({name, 0.1 + 0.01 * i, 0.07 / i});
    }
    history.epochs.push_back(epoch);
  }
  return history;
}

// Any two NaNs are the same here.
bool Same(double a, double b) { return a == b || (a != a && b != b); }

void ExpectSame(const TrainingHistory& a, const TrainingHistory& b) {
  ASSERT_EQ(a.epochs.size(), b.epochs.size());
  for (size_t i = 0; i < a.epochs.size(); ++i) {
    SCOPED_TRACE(i);
    const EpochRecord &x = a.epochs[i], &y = b.epochs[i];
    EXPECT_EQ(x.epoch, y.epoch);
    EXPECT_TRUE(Same(x.train_loss, y.train_loss)) << y.train_loss;
    EXPECT_TRUE(Same(x.train_accuracy, y.train_accuracy)) << y.train_accuracy;
    EXPECT_TRUE(Same(x.test_accuracy, y.test_accuracy)) << y.test_accuracy;
    EXPECT_TRUE(Same(x.learning_rate, y.learning_rate)) << y.learning_rate;
    EXPECT_TRUE(Same(x.seconds, y.seconds)) << y.seconds;
    ASSERT_EQ(x.layers.size(), y.layers.size());
    for (size_t k = 0; k < x.layers.size(); ++k) {
      EXPECT_EQ(x.layers[k].name, y.layers[k].name);
      EXPECT_TRUE(
          Same(x.layers[k].quantization_error, y.layers[k].quantization_error));
      EXPECT_TRUE(Same(x.layers[k].flipped, y.layers[k].flipped));
    }
  }
}

const std::vector<std::string> kOddNames = {"",
                                            "a,b",
                                            "say \"hi\"",
                                            "two\nlines\r\n",
                                            "ends.flipped",
                                            "\xff\x01",
                                            "é",
                                            "<&>",
                                            "a,b",
                                            "\""};

TEST(HistoryCsv, LooksAsDocumented) {
  TrainingHistory history = History(1, {"conv", "fc,2"});
  history.epochs[0].test_accuracy = kNaN;
  EXPECT_EQ(HistoryCsv(history),
            "epoch,train_loss,train_accuracy,test_accuracy,learning_rate,"
            "seconds,conv.quantization_error,conv.flipped,"
            "\"fc,2.quantization_error\",\"fc,2.flipped\"\n"
            "1,2,0.7,nan,0.0003333333333333333,12.5,0.11,0.07,0.11,0.07\n");
}

TEST(HistoryCsv, RoundTrip) {
  TrainingHistory extreme = History(3, kOddNames);
  extreme.epochs[0].epoch = -7;
  extreme.epochs[0].train_loss = kInfinity;
  extreme.epochs[1].train_loss = -kInfinity;
  extreme.epochs[1].seconds = kNaN;
  extreme.epochs[2].seconds = -kNaN;
  extreme.epochs[2].learning_rate = 5e-324;
  extreme.epochs[2].layers[1].flipped = 1.7976931348623157e308;
  for (const TrainingHistory& history :
       {History(0, {}), History(1, {}), History(4, {"x"}), extreme}) {
    const std::string csv = HistoryCsv(history);
    SCOPED_TRACE(csv);
    const auto parsed = ParseHistoryCsv(csv, "log.csv");
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    ExpectSame(history, *parsed);
    EXPECT_EQ(HistoryCsv(*parsed), csv);
  }
}

TEST(HistoryCsv, ReadsOtherLineEnds) {
  const TrainingHistory history = History(2, {"x"});
  std::string csv = HistoryCsv(history);
  csv.pop_back();  // the last line end may be missing
  std::string dos;
  for (const char c : csv) dos += c == '\n' ? "\r\n" : std::string(1, c);
  for (const std::string& text : {csv, dos, dos + "\r\n"}) {
    const auto parsed = ParseHistoryCsv(text, "log.csv");
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    ExpectSame(history, *parsed);
  }
}

TEST(HistoryCsv, RefusesWhatItDidNotWrite) {
  const std::string good = HistoryCsv(History(2, {"x"}));
  const size_t second = good.rfind("\n2,") + 1;
  const std::string head = good.substr(0, second);
  const std::string header = good.substr(0, good.find('\n') + 1);
  struct Case {
    std::string text;
    std::string what;
  };
  const Case cases[] = {
      {"", "wrong header"},
      {"\n", "wrong header"},
      {"epoch\n", "wrong header"},
      {"x" + good, "wrong header"},
      {"\"" + good, "wrong header"},
      {header.substr(0, header.rfind(',')) + "\n", "wrong header"},
      {header.substr(0, header.size() - 1) + "x\n", "wrong header"},
      {head + "2,1,1\n", "row 3 has 3 fields, the header 8"},
      {head + "\n", "row 3 has 1 fields"},
      {good.substr(0, second + 20), "row 3 has"},
      {head + "2,1,1,1,1,1,1,1,1\n", "row 3 has 9 fields, the header 8"},
      {head + "2,1,1,1,1,1,1,\n", "row 3, field 8 is no number"},
      {head + "2,1,1,one,1,1,1,1\n", "row 3, field 4 is no number"},
      {head + "2.5,1,1,1,1,1,1,1\n", "row 3, field 1 is no number"},
      {head + "99999999999,1,1,1,1,1,1,1\n", "row 3, field 1 is no number"},
      {head + "2,1e999,1,1,1,1,1,1\n", "row 3, field 2 is no number"},
      {head + "2, 1,1,1,1,1,1,1\n", "row 3, field 2 is no number"},
      {head + "2,\"1,1,1,1,1,1,1\n", "row 3 is no CSV"},
      {head + "2,\"1\"1,1,1,1,1,1,1\n", "row 3 is no CSV"},
      {head + "2,1\"1,1,1,1,1,1,1\n", "row 3 is no CSV"},
      {head + "2,1,1,1,1,1,1,1\rx\n", "row 3 is no CSV"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    tools::ExpectFileError(ParseHistoryCsv(c.text, "log.csv").status(),
                           StatusCode::kInvalidArgument, "log.csv", c.what);
  }
  for (size_t size = second + 1; size <= good.rfind(','); ++size) {
    EXPECT_FALSE(ParseHistoryCsv(good.substr(0, size), "log.csv").ok()) << size;
  }
}

class TrainingSvgTest : public tools::FolderTest {
 protected:
  // Python's reader of XML takes it.
  void ExpectXml(const std::string& svg) {
    const std::string path = Write("x.svg", svg);
    const std::string command = BQE_PYTHON
                                " -c 'import sys, xml.dom.minidom; "
                                "xml.dom.minidom.parse(sys.argv[1])' " +
                                path;
    EXPECT_EQ(std::system(command.c_str()), 0) << svg;
    EXPECT_EQ(svg.find("nan"), std::string::npos) << svg;
    EXPECT_EQ(svg.find("inf"), std::string::npos) << svg;
  }
};

size_t Count(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + 1)) {
    ++count;
  }
  return count;
}

TEST_F(TrainingSvgTest, HasAllCurves) {
  const std::string svg = TrainingSvg(History(30, {"conv1", "conv2", "fc"}));
  ExpectXml(svg);
  EXPECT_EQ(Count(svg, "<path"), 3u + 2 * 3);
  EXPECT_EQ(Count(svg, "<circle"), 30u * (3 + 2 * 3));
  EXPECT_EQ(Count(svg, ">conv2 "), 2u);
  for (const char* text : {"a &amp; b", "Loss", "Error, %", "test 1.33",
                           "Quantization error", "changed sign"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
  EXPECT_EQ(Count(TrainingSvg(History(100, {})), "<circle"), 0u);
}

TEST_F(TrainingSvgTest, OddHistories) {
  ExpectXml(TrainingSvg({}));
  ExpectXml(TrainingSvg(History(1, {})));
  ExpectXml(TrainingSvg(History(1, {"x"})));
  ExpectXml(TrainingSvg(History(3, kOddNames)));
  ExpectXml(TrainingSvg(History(2, {std::string(1000, 'x') + "é\xc3"})));

  TrainingHistory history = History(5, {"x", "y"});
  history.title = "\x01\x7f\xc3 & <script> \xed\xa0\x80 \xef\xbf\xbf \xf5";
  history.epochs[1].train_loss = kNaN;
  history.epochs[3].train_loss = -kInfinity;
  history.epochs[4].train_loss = 1e300;
  for (EpochRecord& epoch : history.epochs) {
    epoch.test_accuracy = kNaN;
    epoch.layers[0].flipped = 0;
    epoch.layers[1].quantization_error = -5e-324;
  }
  history.epochs[2].layers.clear();
  history.epochs[2].epoch = std::numeric_limits<int>::max();
  history.epochs[0].epoch = std::numeric_limits<int>::min();
  const std::string svg = TrainingSvg(history);
  ExpectXml(svg);
  EXPECT_EQ(svg.find(">test "), std::string::npos) << "nothing was measured";
  EXPECT_NE(svg.find("M"), std::string::npos);
}

// A gap is not bridged.
TEST_F(TrainingSvgTest, LeavesGaps) {
  TrainingHistory history = History(5, {});
  history.epochs[2].train_loss = kNaN;
  const std::string svg = TrainingSvg(history);
  const size_t path = svg.find("<path d=\"") + 9;
  const std::string line = svg.substr(path, svg.find('"', path) - path);
  EXPECT_EQ(Count(line, "M"), 2u) << line;
  EXPECT_EQ(Count(line, "L"), 2u) << line;
}

TEST(Axis, EndsAtRoundTicks) {
  struct Case {
    std::vector<double> values;
    std::vector<double> ticks;
    bool logarithmic;
  };
  const Case cases[] = {
      {{}, {0, 0.5, 1}, false},
      {{0, 0}, {0, 0.5, 1}, false},
      {{kNaN, kInfinity, 1e200}, {0, 0.5, 1}, false},
      {{3}, {0, 1, 2, 3}, false},
      {{-3}, {-3, -2, -1, 0}, false},
      {{0, 10}, {0, 5, 10}, false},
      {{2.2, 2.3}, {2.2, 2.25, 2.3}, false},
      {{0.3, 0.9}, {0, 0.5, 1}, false},
      {{-1, 3}, {-1, 0, 1, 2, 3}, false},
      {{1, 20}, {0, 5, 10, 15, 20}, false},
      {{1, 21}, {1, 2, 5, 10, 20, 50}, true},
      {{0, 0.3, 7}, {0.2, 0.5, 1, 2, 5, 10}, true},
      {{1, 999}, {1, 10, 100, 1000}, true},
      {{1e-30, 1}, {1e-4, 1e-3, 1e-2, 0.1, 1}, true},
      {{-1, 1e-3, 1}, {-1, -0.5, 0, 0.5, 1}, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(testing::PrintToString(c.values));
    const Axis axis = MakeAxis(c.values);
    EXPECT_EQ(axis.logarithmic, c.logarithmic);
    ASSERT_EQ(axis.ticks.size(), c.ticks.size())
        << testing::PrintToString(axis.ticks);
    for (size_t i = 0; i < c.ticks.size(); ++i) {
      EXPECT_NEAR(axis.ticks[i], c.ticks[i], 1e-9 * std::abs(c.ticks[i]));
    }
    EXPECT_EQ(axis.Place(axis.ticks.front()), 0);
    EXPECT_EQ(axis.Place(axis.ticks.back()), 1);
  }
}

TEST(Axis, Places) {
  const Axis linear = MakeAxis(std::vector<double>{0, 10});
  EXPECT_EQ(linear.Place(5), 0.5);
  EXPECT_EQ(linear.Place(11), 1);
  const Axis wide = MakeAxis(std::vector<double>{1, 10000});
  EXPECT_NEAR(wide.Place(100), 0.5, 1e-12);
  EXPECT_EQ(wide.Place(0), 0);
  EXPECT_EQ(wide.Place(-5), 0);
}

TEST(Axis, Counts) {
  EXPECT_EQ(MakeCountAxis(1, 3).ticks, (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(MakeCountAxis(1, 3).Place(2), 0.5);
  EXPECT_EQ(MakeCountAxis(4, 4).ticks, (std::vector<double>{4}));
  EXPECT_EQ(MakeCountAxis(4, 4).Place(4), 0.5);
  EXPECT_EQ(MakeCountAxis(3, 25).ticks,
            (std::vector<double>{4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24}));
}

TEST(SvgText, Shortens) {
  EXPECT_EQ(Shortened("abc", 3), "abc");
  EXPECT_EQ(Shortened("abcd", 3), "ab…");
  EXPECT_EQ(Shortened("ééé", 3), "ééé");
  EXPECT_EQ(Shortened("éééé", 3), "éé…");
  EXPECT_EQ(CountLetters("aé…"), 3u);
  EXPECT_EQ(SvgText("é<\"&\xff>"), "é&lt;\"&amp;?&gt;");
}

}  // namespace
}  // namespace bqengine::train
