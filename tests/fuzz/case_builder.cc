#include "tests/fuzz/case_builder.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "tests/fuzz/promise.h"

namespace bqengine::fuzz {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

}  // namespace

CaseBuilder::CaseBuilder(uint64_t seed) : random_(seed) {
  large_ = random_.OneIn(30);
  channels_ = PickChannels();
  test_.batch = random_.Int(1, 4);
  test_.graph.name = "fuzz";
}

int64_t CaseBuilder::PickChannels() {
  return random_.Pick<int64_t>({1,  2,  3,  4,  5,  7,  8,  9,  15,  16, 17,
                                24, 31, 32, 33, 48, 63, 64, 65, 100, 129});
}

std::string CaseBuilder::PickTensor(Kind kind) {
  std::vector<std::string> names;
  for (const std::string& name : names_) {
    if (kind(Info(name))) names.push_back(name);
  }
  if (names.empty()) return "";
  return random_.OneIn(3) ? random_.Pick(names) : names.back();
}

std::string CaseBuilder::PickTwin(const std::string& tensor) {
  std::vector<std::string> names;
  for (const std::string& name : names_) {
    if (Info(name) == Info(tensor)) names.push_back(name);
  }
  return random_.Pick(names);
}

void CaseBuilder::AddInput() {
  GraphInput input = {.name = "in" + std::to_string(names_.size())};
  input.info.type = random_.Pick<DataType>(
      {DataType::kFloat32, DataType::kFloat32, DataType::kBipolar,
       DataType::kBipolar, DataType::kUnipolar, DataType::kInt8,
       DataType::kUint8});
  if (!test_.graph.inputs.empty() && random_.OneIn(2)) {
    input.info.shape = test_.graph.inputs[0].info.shape;
  } else if (random_.OneIn(2)) {
    input.info.shape = {kBatch, channels_};
    if (large_) input.info.shape = {kBatch, random_.Int(20, 60), channels_};
  } else {
    const int64_t most = large_ ? 14 : 6;
    input.info.shape = {kBatch, random_.Int(1, most), random_.Int(1, most),
                        channels_};
  }
  test_.inputs.push_back(InputValues(input.info));
  names_.push_back(input.name);
  tensors_[input.name] = input.info;
  test_.graph.inputs.push_back(std::move(input));
}

Bytes CaseBuilder::InputValues(const TensorInfo& info) {
  Bytes bytes(static_cast<size_t>(*ByteCount(info, test_.batch)));
  if (IsBits(info.type)) {
    const auto words = random_.Words(info, test_.batch);
    std::memcpy(bytes.data(), words.data(), bytes.size());
  } else if (IsInteger(info.type)) {
    for (uint8_t& byte : bytes) {
      byte =
          static_cast<uint8_t>(random_.OneIn(4) ? 0 : random_.Int(-128, 127));
    }
  } else {
    // Integers above all: sums of them are exact, and may lead to signs.
    const Style style =
        random_.OneIn(2) ? Style::kIntegers : random_.PickStyle();
    auto floats = random_.Values(style, static_cast<int64_t>(bytes.size() / 4));
    if (random_.OneIn(4)) {
      for (float& x : floats) {
        if (random_.OneIn(8)) x = random_.Pick<float>({kInf, -kInf, NAN});
      }
    }
    std::memcpy(bytes.data(), floats.data(), bytes.size());
  }
  return bytes;
}

std::string CaseBuilder::Add(const std::string& op,
                             std::vector<std::string> inputs,
                             Attributes attributes, Constants constants,
                             bool two_outputs) {
  for (const std::string& input : inputs) {
    if (input.empty()) return "";
  }
  const std::string name = "n" + std::to_string(count_++);
  Node node = {.name = name,
               .op = op,
               .inputs = std::move(inputs),
               .outputs = {name},
               .constants = {},
               .attributes = std::move(attributes)};
  if (two_outputs) node.outputs.push_back(name + "b");
  std::vector<std::string> added;
  for (auto& [role, constant] : constants) {
    std::string shared;
    if (random_.OneIn(8)) shared = FindConstant(constant.info());
    node.constants[role] = shared.empty() ? name + "." + role : shared;
    if (!shared.empty()) continue;
    added.push_back(name + "." + role);
    test_.graph.constants[added.back()] = std::move(constant);
  }
  test_.graph.nodes.push_back(std::move(node));
  test_.graph.outputs = {{.name = name}};  // a graph must have one
  auto tensors = InferShapes(test_.graph);
  if (tensors.ok() && IsSmall(tensors->at(name)) && PromisesOf(test_).ok()) {
    tensors_ = *std::move(tensors);
    names_.push_back(name);
    if (two_outputs) names_.push_back(name + "b");
    return name;
  }
  test_.graph.nodes.pop_back();
  for (const std::string& constant : added) {
    test_.graph.constants.erase(constant);
  }
  return "";
}

std::string CaseBuilder::FindConstant(const TensorInfo& info) const {
  if (info.type != DataType::kFloat32) return "";
  for (const auto& [name, constant] : test_.graph.constants) {
    if (constant.info() == info) return name;
  }
  return "";
}

bool CaseBuilder::IsSmall(const TensorInfo& info) const {
  return *ElementCount(info.shape, test_.batch) <= (large_ ? 120'000 : 20'000);
}

Constant CaseBuilder::PerChannel(int64_t channels, Style style) {
  const int64_t count = random_.OneIn(3) ? 1 : channels;
  return Constant::Floats({count}, random_.Values(style, count));
}

Constant CaseBuilder::Threshold(int64_t channels) {
  Constant constant = PerChannel(channels);
  if (!random_.OneIn(4)) return constant;
  std::vector<float> values(constant.floats().begin(), constant.floats().end());
  for (float& value : values) {
    if (random_.OneIn(2)) {
      value = random_.Pick<float>({kInf, -kInf, 1e-45f, -1e-45f, -0.0f});
    }
  }
  return Constant::Floats(constant.shape(), std::move(values));
}

Constant CaseBuilder::BitsOf(Shape shape) {
  const TensorInfo info = {
      random_.OneIn(3) ? DataType::kUnipolar : DataType::kBipolar, shape};
  return Constant::Bits(info.type, std::move(shape), random_.Words(info, 1));
}

TestCase CaseBuilder::Finish() {
  Graph& graph = test_.graph;
  graph.outputs.clear();
  std::set<std::string> used;
  for (const Node& node : graph.nodes) {
    used.insert(node.inputs.begin(), node.inputs.end());
  }
  for (const Node& node : graph.nodes) {
    for (const std::string& output : node.outputs) {
      if (!used.contains(output) || random_.OneIn(12)) {
        graph.outputs.push_back({.name = output});
      }
    }
  }
  Shuffle(graph.outputs);
  Shuffle(graph.nodes);
  return std::move(test_);
}

}  // namespace bqengine::fuzz
