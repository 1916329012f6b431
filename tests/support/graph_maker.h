// Small graphs with random constants, for tests.
#ifndef TESTS_SUPPORT_GRAPH_MAKER_H_
#define TESTS_SUPPORT_GRAPH_MAKER_H_

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bqengine/graph.h"

namespace bqengine::testing {

class GraphMaker {
 public:
  explicit GraphMaker(uint32_t seed) : random_(seed) {}

  std::mt19937& random() { return random_; }

  float Uniform(float low, float high) {
    return std::uniform_real_distribution<float>(low, high)(random_);
  }
  int64_t Int(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }

  std::vector<float> Floats(size_t count, float low, float high) {
    std::vector<float> values(count);
    for (float& value : values) value = Uniform(low, high);
    return values;
  }

  Constant RandomFloats(Shape shape, float low, float high) {
    const size_t count = static_cast<size_t>(*ElementCount(shape));
    return Constant::Floats(std::move(shape), Floats(count, low, high));
  }

  Constant RandomBits(DataType type, Shape shape) {
    const int64_t row = shape.back();
    const size_t row_words = static_cast<size_t>((row + 63) / 64);
    std::vector<uint64_t> words(
        static_cast<size_t>(*ByteCount({type, shape}) / 8));
    for (size_t i = 0; i < words.size(); ++i) {
      words[i] = (uint64_t{random_()} << 32) | random_();
      if ((i + 1) % row_words == 0 && row % 64 != 0) {
        words[i] &= (uint64_t{1} << (row % 64)) - 1;
      }
    }
    return Constant::Bits(type, std::move(shape), std::move(words));
  }

  // Starts a graph with one float input "x".
  Graph Start(Shape input) {
    Graph graph;
    graph.name = "test";
    graph.inputs.push_back(
        {.name = "x", .info = {DataType::kFloat32, std::move(input)}});
    return graph;
  }

  // Adds a node that makes the tensor `name`; its constants are called
  // "<name>.<role>". The last node added makes the graph's output.
  static void Add(Graph& graph, const std::string& op, const std::string& name,
                  std::vector<std::string> inputs,
                  std::map<std::string, Attribute> attributes = {},
                  std::map<std::string, Constant> constants = {}) {
    Node node = {.name = name,
                 .op = op,
                 .inputs = std::move(inputs),
                 .outputs = {name},
                 .constants = {},
                 .attributes = std::move(attributes)};
    for (auto& [role, constant] : constants) {
      graph.constants[name + "." + role] = std::move(constant);
      node.constants[role] = name + "." + role;
    }
    graph.nodes.push_back(std::move(node));
    graph.outputs = {{.name = name}};
  }

 private:
  std::mt19937 random_;
};

}  // namespace bqengine::testing

#endif  // TESTS_SUPPORT_GRAPH_MAKER_H_
