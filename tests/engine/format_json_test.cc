// The JSON layer: what it reads, what it refuses, how it looks when written.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "format/json.h"

namespace bqengine::json {
namespace {

std::string ParseError(std::string_view text) {
  return Document("f", text).status().message();
}

TEST(JsonRead, WalksOverADocument) {
  Document document(
      "f", R"({"a": [1, 2.5, "inf"], "b": {"c": "text", "d": [3, -4]}})");
  const Cursor root = document.root();
  root.CheckKeys({"a"}, {"b", "z"});
  EXPECT_EQ(
      root["a"].Floats(),
      (std::vector<float>{1.0f, 2.5f, std::numeric_limits<float>::infinity()}));
  EXPECT_EQ(root["b"]["c"].String(), "text");
  EXPECT_EQ(root["b"]["d"].Ints(), (std::vector<int64_t>{3, -4}));
  std::vector<int64_t> items;
  for (const Cursor& item : root["b"]["d"].Items()) items.push_back(item.Int());
  EXPECT_EQ(items, (std::vector<int64_t>{3, -4}));
  EXPECT_FALSE(root.Has("z"));
  EXPECT_EQ(root["b"].Members().size(), 2u);
  EXPECT_EQ(root["b"].Members()[1].first, "d");
  EXPECT_TRUE(document.ok()) << document.status().message();
}

TEST(JsonRead, KeepsTheFirstErrorAndGoesOn) {
  Document document("f", R"({"a/b": [true], "c": 1})");
  const Cursor root = document.root();
  EXPECT_EQ(root["a/b"].Ints(), (std::vector<int64_t>{0}));
  EXPECT_EQ(root["c"].String(), "");
  EXPECT_EQ(root["missing"]["deeper"].Int(), 0);
  for (const Cursor& item : root["c"].Items()) ADD_FAILURE() << item.Int();
  EXPECT_EQ(document.status().message(),
            "f: /a~1b/0: must be an integer, not a boolean");
}

TEST(JsonRead, NamesTheOwner) {
  Document document("f", R"({"a": {"b": null}})");
  document.root()["a"].WithOwner("node 'x'")["b"].Float();
  EXPECT_EQ(document.status().message(),
            "f: node 'x' (/a/b): must be a number, not null");
}

// 1 + 2^-24 lies halfway between two floats, and this a little above, but not
// so much that a double could tell.
TEST(JsonRead, RoundsFloatsOnce) {
  Document document("f", "[1.00000005960464477539062500000000001]");
  EXPECT_EQ(document.root().Floats()[0], std::nextafter(1.0f, 2.0f));
}

TEST(JsonRead, AcceptsNumbersTooSmallForAFloat) {
  Document document("f", "[1e-60, -1e-60]");
  ASSERT_TRUE(document.ok()) << document.status().message();
  EXPECT_EQ(document.root().Floats(), (std::vector<float>{0.0f, -0.0f}));
  EXPECT_TRUE(std::signbit(document.root().Floats()[1]));
}

TEST(JsonRead, RefusesWhatIsNotStrictJson) {
  EXPECT_EQ(ParseError("[1, 2]"), "");
  EXPECT_NE(ParseError("[1, 2,]"), "");
  EXPECT_NE(ParseError("[1] 2"), "");
  EXPECT_NE(ParseError("{'a': 1}"), "");
  EXPECT_NE(ParseError("[01]"), "");
  EXPECT_NE(ParseError("[+1]"), "");
  EXPECT_NE(ParseError("[.5]"), "");
  EXPECT_NE(ParseError("[\"\\ud800\"]"), "");
  EXPECT_NE(ParseError("[\"\xC0\x80\"]"), "");
  EXPECT_NE(ParseError("[Infinity]"), "");
  EXPECT_NE(ParseError("[9223372036854775808]"), "");
  EXPECT_EQ(ParseError("[-9223372036854775808]"), "");
}

TEST(JsonRead, FindsDuplicatesByTheirDecodedKey) {
  EXPECT_EQ(ParseError(R"({"x": {"a": 1, "\u0061": 2}})"),
            "f: /x/a: the key stands here twice");
  EXPECT_EQ(ParseError(R"({"x": {"a": 1}, "y": {"a": 2}})"), "");
}

TEST(JsonRead, BoundsTheDepth) {
  EXPECT_EQ(ParseError(std::string(32, '[') + std::string(32, ']')), "");
  EXPECT_NE(ParseError(std::string(33, '[') + std::string(33, ']')), "");
}

TEST(JsonMessages, StayOnOneShortLine) {
  const std::string name = "a\nb\x7F" + std::string(5000, 'x');
  EXPECT_LT(Quote(name).size(), 200u);
  EXPECT_EQ(Quote("a\nb"), "'a?b'");
  // Cut in the middle of a character, and bytes that are none.
  std::string umlauts = "x";
  for (int i = 0; i < 100; ++i) umlauts += "\xC3\xBC";
  EXPECT_TRUE(IsValidUtf8(Quote(umlauts)));
  EXPECT_TRUE(IsValidUtf8(Quote("\xFF\xC3")));
  Document document("f", "{\"" + std::string(100000, 'k') + "\": 1}");
  document.root().CheckKeys({}, {});
  EXPECT_LT(document.status().message().size(), 300u);
}

TEST(JsonWrite, PutsShortThingsOnOneLine) {
  Value numbers = Value::MakeArray();
  for (int64_t i = 0; i < 40; ++i) numbers.Append(i * 100);
  Value pair = Value::MakeArray();
  pair.Append(1.0f);
  pair.Append("a\"b");
  Value inner = Value::MakeObject();
  inner.Add("pair", pair);
  inner.Add("empty", Value::MakeObject());
  Value root = Value::MakeObject();
  root.Add("z", Value::Bool(true));
  root.Add("inner", inner);
  root.Add("numbers", numbers);
  EXPECT_EQ(Pretty(root), R"({
  "z": true,
  "inner": { "pair": [1.0, "a\"b"], "empty": {} },
  "numbers": [
    0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100, 1200, 1300,
    1400, 1500, 1600, 1700, 1800, 1900, 2000, 2100, 2200, 2300, 2400, 2500,
    2600, 2700, 2800, 2900, 3000, 3100, 3200, 3300, 3400, 3500, 3600, 3700,
    3800, 3900
  ]
}
)");
  EXPECT_EQ(Compact(inner), R"({"pair":[1.0,"a\"b"],"empty":{}})");
}

TEST(JsonWrite, GivesWhatIsReadAgain) {
  const std::string text =
      R"({"a":[1,-2,0.1,1e+20,-0.0,null,true],"ü":{"\u0001":"\\\/"}})";
  Document document("f", text);
  ASSERT_TRUE(document.ok()) << document.status().message();
  const std::string written = Compact(document.root().value());
  EXPECT_EQ(written,
            R"({"a":[1,-2,0.1,1e+20,-0.0,null,true],"ü":{"\u0001":"\\/"}})");
  Document again("f", written);
  EXPECT_EQ(Compact(again.root().value()), written);
}

}  // namespace
}  // namespace bqengine::json
