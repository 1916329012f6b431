// Builds a random case node by node: a node that the engine refuses, or after
// which the case would not be fair (promise.h), is taken back. So who proposes
// nodes knows what ops look like, and not their rules.
#ifndef TESTS_FUZZ_CASE_BUILDER_H_
#define TESTS_FUZZ_CASE_BUILDER_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/fuzz/random_values.h"
#include "tests/fuzz/test_case.h"

namespace bqengine::fuzz {

class CaseBuilder {
 protected:
  using Attributes = std::map<std::string, Attribute>;
  using Constants = std::map<std::string, Constant>;
  using Ints = std::vector<int64_t>;
  using Kind = bool (*)(const TensorInfo&);

  explicit CaseBuilder(uint64_t seed);

  static bool IsAny(const TensorInfo&) { return true; }
  static bool IsFloat(const TensorInfo& info) {
    return info.type == DataType::kFloat32;
  }
  static bool IsPacked(const TensorInfo& info) { return IsBits(info.type); }
  static bool IsReal(const TensorInfo& info) { return !IsBits(info.type); }

  const TensorInfo& Info(const std::string& tensor) const {
    return tensors_.at(tensor);
  }
  bool IsImage(const std::string& x) const { return Info(x).shape.size() == 4; }
  size_t node_count() const { return test_.graph.nodes.size(); }
  const std::string& first_input() const { return test_.graph.inputs[0].name; }

  // A tensor of a kind, often the newest; empty if there is none.
  std::string PickTensor(Kind kind);
  // Another one with the type and shape of `tensor`, or itself.
  std::string PickTwin(const std::string& tensor);

  // Adds a graph input with values.
  void AddInput();

  // Adds a node and gives the name of the (first) tensor it makes; empty if it
  // is refused, or an input is empty.
  std::string Add(const std::string& op, std::vector<std::string> inputs,
                  Attributes attributes = {}, Constants constants = {},
                  bool two_outputs = false);

  // Around words, vectors and tiles.
  int64_t PickChannels();
  // One value, or one per channel.
  Constant PerChannel(int64_t channels, Style style);
  Constant PerChannel(int64_t channels) {
    return PerChannel(channels, random_.PickStyle());
  }
  // Infinities and the smallest floats among them.
  Constant Threshold(int64_t channels);
  Constant BitsOf(Shape shape);
  std::string PickEncoding() {
    return random_.OneIn(3) ? "unipolar" : "bipolar";
  }

  // The case. Its outputs are what no node takes, and some others; its nodes
  // are in any order.
  TestCase Finish();

  Random random_;
  bool large_;        // enough work for two threads
  int64_t channels_;  // that most tensors have, so that they can be added

 private:
  template <typename T>
  void Shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) {
      const int64_t other = random_.Int(0, static_cast<int64_t>(i) - 1);
      std::swap(values[i - 1], values[static_cast<size_t>(other)]);
    }
  }
  Bytes InputValues(const TensorInfo& info);
  // A float constant like that which a node has already; empty: none.
  std::string FindConstant(const TensorInfo& info) const;
  bool IsSmall(const TensorInfo& info) const;

  TestCase test_;
  int count_ = 0;  // of nodes, refused ones included
  std::vector<std::string> names_;
  std::map<std::string, TensorInfo> tensors_;
};

}  // namespace bqengine::fuzz

#endif  // TESTS_FUZZ_CASE_BUILDER_H_
