// Constants that are not what their shape says: every function that takes one
// refuses it, before it reads a byte that is not there.
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "bqengine/graph.h"
#include "bqengine/model.h"
#include "bqengine/quantize.h"
#include "format_test_util.h"
#include "tests/support/graph_maker.h"

namespace bqengine {
namespace {

using testing::GraphMaker;

struct BadConstant {
  const char* name;
  Constant constant;
  const char* message;  // a part of it
};

// Weights [1, 3, 70] that were made by hand, and wrongly.
std::vector<BadConstant> BadBits() {
  constexpr size_t kWords = 3 * 2;
  const Shape shape = {1, 3, 70};
  const auto bits = [](Shape shape, std::vector<uint64_t> words) {
    return Constant::Bits(DataType::kBipolar, std::move(shape),
                          std::move(words));
  };
  static const uint64_t words[kWords + 1] = {};
  const auto view = [&shape](const void* data, size_t bytes) {
    return Constant::View({DataType::kBipolar, shape}, data, bytes, nullptr);
  };
  std::vector<uint64_t> stray(kWords);
  stray[3] = uint64_t{1} << 6;
  return {
      {"Short", bits(shape, std::vector<uint64_t>(kWords - 1)), "needs 48"},
      {"Long", bits(shape, std::vector<uint64_t>(kWords + 1)), "needs 48"},
      {"Half", view(words, kWords * 8 - 4), "needs 48"},
      {"Empty", view(words, 0), "needs 48"},
      {"Unaligned", view(reinterpret_cast<const char*>(words) + 1, kWords * 8),
       "aligned"},
      {"Stray", bits(shape, stray), "row 1 has bits beyond its end"},
      {"Batch", bits({1, kBatch, 70}, {0, 0}), "dimension"},
      {"NoDimension", bits({1, 3, 0}, {0}), "dimension"},
  };
}

std::vector<BadConstant> BadFloats() {
  static const float values[4] = {};
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  return {
      {"Short", Constant::Floats({3}, {1, 2}), "needs 12"},
      {"Long", Constant::Floats({3}, {1, 2, 3, 4}), "needs 12"},
      {"Unaligned",
       Constant::View({DataType::kFloat32, {3}}, values + 1, 12, nullptr),
       "aligned"},
      {"Nan", Constant::Floats({3}, {1, kNan, 3}), "NaN"},
      {"NoType", Constant::View({DataType(99), {3}}, values, 12, nullptr),
       "type"},
  };
}

Graph GemmGraph(const Constant& weight, const Constant& mul) {
  Graph graph = GraphMaker(1).Start({kBatch, 70});
  GraphMaker::Add(graph, "Binarize", "bits", {"x"});
  GraphMaker::Add(graph, "BinaryGemm", "y", {"bits"}, {},
                  {{"weight", weight}, {"mul", mul}});
  return graph;
}

const Constant kGoodBits =
    Constant::Bits(DataType::kBipolar, {1, 3, 70}, std::vector<uint64_t>(6));
const Constant kGoodFloats = Constant::Floats({3}, {1, 2, 3});

void ExpectRefused(const Status& status, StatusCode code,
                   const std::string& part, const std::string& message) {
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
  EXPECT_NE(status.message().find(message), std::string::npos)
      << status.message();
}

// By all that takes a graph; `name` is that of the constant.
void ExpectRefused(const Graph& graph, const std::string& name,
                   const std::string& message) {
  const ScratchFolder folder;
  constexpr StatusCode kCode = StatusCode::kInvalidModel;
  ExpectRefused(InferShapes(graph).status(), kCode, name, message);
  ExpectRefused(Model::FromGraph(graph).status(), kCode, name, message);
  ExpectRefused(OptimizeGraph(graph).status(), kCode, name, message);
  ExpectRefused(SettleGraph(graph).status(), kCode, name, message);
  ExpectRefused(WriteGraph(graph, folder.File("m.json")), kCode, name, message);
  EXPECT_TRUE(folder.Names().empty());
}

TEST(BadConstant, IsRefusedInAGraph) {
  ASSERT_TRUE(Model::FromGraph(GemmGraph(kGoodBits, kGoodFloats)).ok());
  for (const BadConstant& bad : BadBits()) {
    SCOPED_TRACE(bad.name);
    ExpectRefused(GemmGraph(bad.constant, kGoodFloats), "y.weight",
                  bad.message);
  }
  for (const BadConstant& bad : BadFloats()) {
    SCOPED_TRACE(bad.name);
    ExpectRefused(GemmGraph(kGoodBits, bad.constant), "y.mul", bad.message);
  }
}

// One that no node uses may be written all the same.
TEST(BadConstant, IsRefusedWhereNothingUsesIt) {
  Graph graph = GemmGraph(kGoodBits, kGoodFloats);
  graph.constants["unused"] = BadBits()[0].constant;
  ExpectRefused(graph, "unused", BadBits()[0].message);
}

// An architecture has nodes with and without data.
TEST(BadConstant, IsRefusedInAnArchitecture) {
  const Graph graph = GemmGraph(Constant::Declare(kGoodBits.info()),
                                Constant::Floats({3}, {1, 2}));
  ExpectRefused(InferShapes(graph).status(), StatusCode::kInvalidModel, "y.mul",
                "needs 12");
}

TEST(BadConstant, IsRefusedByTheFormulas) {
  constexpr StatusCode kCode = StatusCode::kInvalidArgument;
  const std::vector<float> w(3 * 70, 0.5f);
  const Constant alpha = Constant::Floats({1}, {1});
  for (const BadConstant& bad : BadBits()) {
    SCOPED_TRACE(bad.name);
    const quantize::Weights weights = {bad.constant, alpha};
    ExpectRefused(quantize::Unpack(bad.constant).status(), kCode, "",
                  bad.message);
    EXPECT_EQ(quantize::Reconstruct(weights).status().code(), kCode);
    EXPECT_EQ(quantize::Refine(w, {3, 70}, weights, 1).status().code(), kCode);
  }
  for (const BadConstant& bad : BadFloats()) {
    SCOPED_TRACE(bad.name);
    const quantize::Weights weights = {
        Constant::Bits(DataType::kBipolar, {3, 3, 70},
                       std::vector<uint64_t>(18)),
        bad.constant};
    EXPECT_EQ(quantize::Reconstruct(weights).status().code(), kCode);
    EXPECT_EQ(quantize::Refine(w, {3, 70}, weights, 1).status().code(), kCode);
  }
}

}  // namespace
}  // namespace bqengine
