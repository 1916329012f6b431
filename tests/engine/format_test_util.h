// A small model with a bit of everything, and files to put it into.
#ifndef TESTS_ENGINE_FORMAT_TEST_UTIL_H_
#define TESTS_ENGINE_FORMAT_TEST_UTIL_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "bqengine/graph.h"

namespace bqengine {

// A new folder that goes away at the end of the test.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = testing::TempDir() + "bqengine_format_XXXXXX";
    if (mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no folder " << name;
    path_ = name;
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() { std::filesystem::remove_all(path_); }

  std::string File(const std::string& name) const { return path_ / name; }

  // Sorted names of all that is there.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  std::filesystem::path path_;
};

inline std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

inline void WriteBytes(const std::string& path, const std::string& bytes) {
  // Some file systems bring a file to the disk at once when it is cut and
  // written again, which is slow.
  std::filesystem::remove(path);
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  EXPECT_TRUE(file.good()) << path;
}

inline Node MakeNode(std::string name, std::string op, std::string input,
                     std::string output) {
  Node node;
  node.name = std::move(name);
  node.op = std::move(op);
  node.inputs = {std::move(input)};
  node.outputs = {std::move(output)};
  return node;
}

// Words with a pattern in the `used` low bits.
inline std::vector<uint64_t> PatternWords(size_t count, int used) {
  std::vector<uint64_t> words(count);
  for (size_t i = 0; i < count; ++i) {
    words[i] = (i + 1) * 0x9E3779B97F4A7C15u >> (64 - used);
  }
  return words;
}

inline std::vector<float> Ramp(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(i) * 0.1f - 0.7f;
  }
  return values;
}

// 6x6x3 picture, sign, 3x3 convolution to 20 channels, two matrix products, two
// classes. Constants of both kinds in both places.
inline Graph SampleGraph() {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  Graph graph;
  graph.name = "sample";
  graph.producer = "format tests";
  graph.inputs.push_back({"input",
                          {DataType::kFloat32, {kBatch, 6, 6, 3}},
                          Layout::kNCHW,
                          {1 / 255.0f, {0.5f, 0.4f, 0.3f}, {0.25f}}});
  graph.outputs.push_back({"logits", Layout::kNHWC});
  graph.labels = {"cat", "h\xC3\xBChner"};

  graph.nodes.push_back(MakeNode("sign", "Binarize", "input", "bits"));
  Node conv = MakeNode("conv1", "BinaryConv", "bits", "features");
  conv.constants = {{"weight", "conv1.weight"}, {"threshold", "conv1.bound"}};
  conv.attributes = {{"kernel_shape", std::vector<int64_t>{3, 3}},
                     {"strides", std::vector<int64_t>{1, 1}},
                     {"output_type", std::string("bipolar")}};
  graph.nodes.push_back(conv);
  graph.nodes.push_back(MakeNode("flat", "Flatten", "features", "vector"));
  Node fc1 = MakeNode("fc1", "BinaryGemm", "vector", "hidden");
  fc1.constants = {{"weight", "fc1.weight"}, {"threshold", "fc1.bound"}};
  fc1.attributes = {{"output_type", std::string("unipolar")}};
  graph.nodes.push_back(fc1);
  Node fc2 = MakeNode("fc2", "BinaryGemm", "hidden", "sums");
  fc2.constants = {{"weight", "fc2.weight"}, {"mul", "fc2.mul"}};
  graph.nodes.push_back(fc2);
  Node clip = MakeNode("clip", "Clip", "sums", "logits");
  clip.attributes = {{"min", -6.5f}, {"max", kInf}};
  graph.nodes.push_back(clip);

  graph.constants["conv1.weight"] = Constant::Bits(
      DataType::kBipolar, {1, 20, 3, 3, 3}, PatternWords(180, 3));
  graph.constants["conv1.bound"] = Constant::Floats({20}, Ramp(20));
  graph.constants["fc1.weight"] =
      Constant::Bits(DataType::kUnipolar, {1, 2, 320}, PatternWords(10, 64));
  graph.constants["fc1.bound"] = Constant::Floats({2}, {-kInf, 0.25f});
  graph.constants["fc2.weight"] =
      Constant::Bits(DataType::kBipolar, {1, 2, 2}, {0b01, 0b10});
  graph.constants["fc2.mul"] = Constant::Floats({1}, {0.1f});
  return graph;
}

inline void ExpectSameConstant(const Constant& a, const Constant& b) {
  EXPECT_EQ(a.info(), b.info());
  ASSERT_EQ(a.bytes(), b.bytes());
  ASSERT_EQ(a.data() == nullptr, b.data() == nullptr);
  if (a.data() != nullptr) {
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.bytes()), 0);
  }
}

inline void ExpectSameGraph(const Graph& a, const Graph& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.producer, b.producer);
  EXPECT_EQ(a.labels, b.labels);
  ASSERT_EQ(a.inputs.size(), b.inputs.size());
  for (size_t i = 0; i < a.inputs.size(); ++i) {
    EXPECT_EQ(a.inputs[i].name, b.inputs[i].name);
    EXPECT_EQ(a.inputs[i].info, b.inputs[i].info);
    EXPECT_EQ(a.inputs[i].layout, b.inputs[i].layout);
    EXPECT_EQ(a.inputs[i].preprocess.scale, b.inputs[i].preprocess.scale);
    EXPECT_EQ(a.inputs[i].preprocess.mean, b.inputs[i].preprocess.mean);
    EXPECT_EQ(a.inputs[i].preprocess.std, b.inputs[i].preprocess.std);
  }
  ASSERT_EQ(a.outputs.size(), b.outputs.size());
  for (size_t i = 0; i < a.outputs.size(); ++i) {
    EXPECT_EQ(a.outputs[i].name, b.outputs[i].name);
    EXPECT_EQ(a.outputs[i].layout, b.outputs[i].layout);
  }
  ASSERT_EQ(a.nodes.size(), b.nodes.size());
  for (size_t i = 0; i < a.nodes.size(); ++i) {
    SCOPED_TRACE(a.nodes[i].name);
    EXPECT_EQ(a.nodes[i].name, b.nodes[i].name);
    EXPECT_EQ(a.nodes[i].op, b.nodes[i].op);
    EXPECT_EQ(a.nodes[i].inputs, b.nodes[i].inputs);
    EXPECT_EQ(a.nodes[i].outputs, b.nodes[i].outputs);
    EXPECT_EQ(a.nodes[i].constants, b.nodes[i].constants);
    EXPECT_EQ(a.nodes[i].attributes, b.nodes[i].attributes);
    EXPECT_EQ(a.nodes[i].training, b.nodes[i].training);
  }
  ASSERT_EQ(a.constants.size(), b.constants.size());
  for (const auto& [name, constant] : a.constants) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(b.constants.contains(name));
    ExpectSameConstant(constant, b.constants.at(name));
  }
}

}  // namespace bqengine

#endif  // TESTS_ENGINE_FORMAT_TEST_UTIL_H_
