#include "tests/fuzz/random_case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "tests/fuzz/promise.h"
#include "tests/fuzz/random_values.h"

namespace bqengine::fuzz {
namespace {

using Attributes = std::map<std::string, Attribute>;
using Constants = std::map<std::string, Constant>;
using Ints = std::vector<int64_t>;

constexpr float kInf = std::numeric_limits<float>::infinity();

// Nodes are proposed at random; what the engine refuses, or what is not fair,
// is taken back. So this knows what ops look like, and not their rules.
class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed) {}

  TestCase Make() {
    large_ = random_.OneIn(30);
    channels_ = PickChannels();
    test_.batch = random_.Int(1, 4);
    test_.graph.name = "fuzz";
    const int64_t inputs = random_.Int(1, 2);
    for (int64_t i = 0; i < inputs; ++i) AddInput();
    const auto wanted = static_cast<size_t>(random_.Int(2, 24));
    for (int tries = 0; test_.graph.nodes.size() < wanted; ++tries) {
      // Bits alone can always be moved.
      if (tries > 100) {
        Add("Flatten", {names_[0]});
      } else {
        AddSomething();
      }
    }
    SetOutputs();
    Shuffle(test_.graph.nodes);
    return std::move(test_);
  }

 private:
  using Kind = bool (*)(const TensorInfo&);
  static bool IsAny(const TensorInfo&) { return true; }
  static bool IsFloat(const TensorInfo& info) {
    return info.type == DataType::kFloat32;
  }
  static bool IsPacked(const TensorInfo& info) { return IsBits(info.type); }
  static bool IsReal(const TensorInfo& info) { return !IsBits(info.type); }

  // ------------------------------------------------------- tensors and nodes

  int64_t PickChannels() {
    return random_.Pick<int64_t>({1,  2,  3,  4,  5,  7,  8,  9,  15,  16, 17,
                                  24, 31, 32, 33, 48, 63, 64, 65, 100, 129});
  }

  const TensorInfo& Info(const std::string& tensor) {
    return tensors_.at(tensor);
  }

  // A tensor of a kind, often the newest; empty if there is none.
  std::string PickTensor(Kind kind) {
    std::vector<std::string> names;
    for (const std::string& name : names_) {
      if (kind(Info(name))) names.push_back(name);
    }
    if (names.empty()) return "";
    return random_.OneIn(3) ? random_.Pick(names) : names.back();
  }

  // Another one with the type and shape of `tensor`, or itself.
  std::string PickTwin(const std::string& tensor) {
    std::vector<std::string> names;
    for (const std::string& name : names_) {
      if (Info(name) == Info(tensor)) names.push_back(name);
    }
    return random_.Pick(names);
  }

  void AddInput() {
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
    Bytes bytes(static_cast<size_t>(*ByteCount(input.info, test_.batch)));
    if (IsBits(input.info.type)) {
      const auto words = random_.Words(input.info, test_.batch);
      std::memcpy(bytes.data(), words.data(), bytes.size());
    } else if (IsInteger(input.info.type)) {
      for (uint8_t& byte : bytes) {
        byte =
            static_cast<uint8_t>(random_.OneIn(4) ? 0 : random_.Int(-128, 127));
      }
    } else {
      auto floats = random_.Values(random_.PickStyle(),
                                   static_cast<int64_t>(bytes.size() / 4));
      if (random_.OneIn(4)) {
        for (float& x : floats) {
          if (random_.OneIn(8)) x = random_.Pick<float>({kInf, -kInf, NAN});
        }
      }
      std::memcpy(bytes.data(), floats.data(), bytes.size());
    }
    names_.push_back(input.name);
    tensors_[input.name] = input.info;
    test_.graph.inputs.push_back(std::move(input));
    test_.inputs.push_back(std::move(bytes));
  }

  // The name of the tensor it makes; empty if it is refused.
  std::string Add(const std::string& op, std::vector<std::string> inputs,
                  Attributes attributes = {}, Constants constants = {}) {
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
    test_.graph.outputs = {{.name = name}};
    auto tensors = InferShapes(test_.graph);
    if (tensors.ok() && IsSmall(tensors->at(name)) && PromisesOf(test_).ok()) {
      tensors_ = *std::move(tensors);
      names_.push_back(name);
      return name;
    }
    test_.graph.nodes.pop_back();
    for (const std::string& constant : added) {
      test_.graph.constants.erase(constant);
    }
    return "";
  }

  // A float constant of that shape that another node has.
  std::string FindConstant(const TensorInfo& info) {
    if (info.type != DataType::kFloat32) return "";
    for (const auto& [name, constant] : test_.graph.constants) {
      if (constant.info() == info) return name;
    }
    return "";
  }

  bool IsSmall(const TensorInfo& info) const {
    return *ElementCount(info.shape, test_.batch) <=
           (large_ ? 120'000 : 20'000);
  }

  // -------------------------------------------------------------- constants

  // One value, or one per channel.
  Constant PerChannel(int64_t channels, Style style) {
    const int64_t count = random_.OneIn(3) ? 1 : channels;
    return Constant::Floats({count}, random_.Values(style, count));
  }
  Constant PerChannel(int64_t channels) {
    return PerChannel(channels, random_.PickStyle());
  }

  Constant Threshold(int64_t channels) {
    Constant constant = PerChannel(channels);
    if (!random_.OneIn(4)) return constant;
    std::vector<float> values(constant.floats().begin(),
                              constant.floats().end());
    for (float& value : values) {
      if (random_.OneIn(2)) {
        value = random_.Pick<float>({kInf, -kInf, 1e-45f, -1e-45f, -0.0f});
      }
    }
    return Constant::Floats(constant.shape(), std::move(values));
  }

  Constant BitsOf(Shape shape) {
    const TensorInfo info = {
        random_.OneIn(3) ? DataType::kUnipolar : DataType::kBipolar, shape};
    return Constant::Bits(info.type, std::move(shape), random_.Words(info, 1));
  }

  std::string PickEncoding() {
    return random_.OneIn(3) ? "unipolar" : "bipolar";
  }

  // ------------------------------------------------------------------- nodes

  void AddSomething() {
    switch (random_.Int(0, 15)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return AddBlock();
      case 5:
      case 6:
      case 7:
        for (int64_t n = random_.Int(1, 4); n > 0; --n) {
          AddElementwise(PickTensor(IsFloat));
        }
        return;
      case 8:
        return AddTwo(PickTensor(IsFloat));
      case 9:
      case 10:
        AddBinarize(PickTensor(IsReal));
        return;
      case 11:
        AddFloatProduct();
        return;
      case 12:
        AddBinaryWeight();
        return;
      case 13:
        return AddPool();
      default:
        return AddMove();
    }
  }

  // What networks repeat: sign, product, elementwise ops, residual, sign.
  void AddBlock() {
    std::string bits = PickTensor(IsPacked);
    if (bits.empty() || random_.OneIn(3))
      bits = AddBinarize(PickTensor(IsReal));
    const std::string product = AddBinaryProduct(bits);
    std::string tensor = product;
    for (int64_t n = random_.Int(0, 4); n > 0 && !tensor.empty(); --n) {
      const std::string next = AddElementwise(tensor);
      if (!next.empty()) tensor = next;
    }
    if (random_.OneIn(2)) AddTwo(tensor);
    if (random_.OneIn(3)) AddPool();
    if (random_.OneIn(2)) AddBinarize(PickTensor(IsFloat));
  }

  std::string AddBinarize(const std::string& x) {
    if (x.empty()) return "";
    Constants constants;
    if (random_.OneIn(3))
      constants["threshold"] = Threshold(Info(x).shape.back());
    return Add("Binarize", {x}, {{"encoding", PickEncoding()}}, constants);
  }

  // Kernel, strides, pads, dilations: mostly of a window that keeps the size.
  Attributes Window(const std::string& x, bool pool) {
    const int64_t size = random_.Pick<int64_t>({1, 1, 2, 3, 3, 3, 4, 5});
    Ints kernel = {size, size};
    Ints strides = {1, 1}, dilations = {1, 1};
    Ints pads = {(size - 1) / 2, (size - 1) / 2, size / 2, size / 2};
    if (random_.OneIn(3)) {
      const Shape& shape = Info(x).shape;
      for (size_t i = 0; i < 2; ++i) {
        kernel[i] = random_.Int(1, std::min<int64_t>(4, shape[i + 1]));
        strides[i] = random_.Int(1, 2);
        dilations[i] = random_.OneIn(3) ? 2 : 1;
        const int64_t most = (kernel[i] - 1) * (pool ? 1 : 2);
        pads[i] = random_.Int(0, most);
        pads[i + 2] = random_.Int(0, most);
      }
    } else if (pool) {
      kernel = strides = {2, 2};
      pads = {0, 0, 0, 0};
    }
    return {{"kernel_shape", kernel},
            {"strides", strides},
            {"pads", pads},
            {"dilations", dilations}};
  }

  int64_t PickOut() {
    if (!random_.OneIn(4)) return channels_;
    return random_.OneIn(2) ? PickChannels() : random_.Int(1, 40);
  }

  // Attributes of a convolution, and the shape of its weights behind [out].
  struct ConvParts {
    Attributes attributes;
    int64_t out;
    Shape tail;
  };
  ConvParts Convolution(const std::string& x) {
    ConvParts parts = {Window(x, /*pool=*/false), PickOut(), {}};
    const int64_t in = Info(x).shape[3];
    int64_t group = 1;
    if (random_.OneIn(5)) {
      group = random_.OneIn(2) ? in : random_.Int(1, 4);
      if (in % group != 0) group = 1;
      parts.out = group * random_.Int(1, 3);
      if (in == channels_ && group > 1 && random_.OneIn(2)) parts.out = in;
    }
    const Ints kernel = std::get<Ints>(parts.attributes["kernel_shape"]);
    parts.attributes["group"] = group;
    parts.tail = {kernel[0], kernel[1], in / group};
    return parts;
  }

  bool IsImage(const std::string& x) { return Info(x).shape.size() == 4; }

  // [bases, out, ...].
  static Shape BasesOf(int64_t bases, int64_t out, const Shape& tail) {
    Shape shape = {bases, out};
    shape.insert(shape.end(), tail.begin(), tail.end());
    return shape;
  }

  // alpha, mul and add, each there or not.
  void AddEpilogue(int64_t bases, int64_t out, Constants& constants) {
    if (bases > 1 || random_.OneIn(6)) {
      const Style style = random_.PickStyle();
      constants["alpha"] =
          random_.OneIn(2)
              ? Constant::Floats({bases}, random_.Values(style, bases))
              : Constant::Floats({bases, out},
                                 random_.Values(style, bases * out));
    }
    if (random_.OneIn(4)) constants["mul"] = PerChannel(out);
    if (random_.OneIn(4)) constants["add"] = PerChannel(out);
  }

  std::string AddBinaryProduct(const std::string& x) {
    if (x.empty()) return "";
    std::vector<std::string> inputs = {x};
    while (inputs.size() < 3 && random_.OneIn(6)) inputs.push_back(PickTwin(x));
    const int64_t bases = random_.OneIn(6) ? random_.Int(2, 3) : 1;
    ConvParts parts = {{}, PickOut(), {Info(x).shape.back()}};
    const bool conv = IsImage(x) && !random_.OneIn(6);
    if (conv) {
      parts = Convolution(x);
      parts.attributes["pad_value"] =
          random_.Int(Info(x).type == DataType::kBipolar ? -1 : 0, 1);
    }
    Constants constants = {
        {"weight", BitsOf(BasesOf(bases, parts.out, parts.tail))}};
    AddEpilogue(bases, parts.out, constants);
    if (inputs.size() > 1 || random_.OneIn(6)) {
      const auto count = static_cast<int64_t>(inputs.size());
      constants["beta"] =
          Constant::Floats({count}, random_.Values(random_.PickStyle(), count));
    }
    if (random_.OneIn(8)) AddPost(parts, constants);
    if (random_.OneIn(6)) {
      parts.attributes["output_type"] = PickEncoding();
      if (random_.OneIn(2)) constants["threshold"] = Threshold(parts.out);
    }
    return Add(conv ? "BinaryConv" : "BinaryGemm", inputs, parts.attributes,
               constants);
  }

  // Steps as a file may hold them.
  void AddPost(ConvParts& parts, Constants& constants) {
    std::string post;
    const int64_t steps = random_.Int(1, 4);
    for (int64_t i = 0; i < steps; ++i) {
      const std::string step =
          random_.Pick<std::string>({"Relu", "PRelu", "Clip", "Add", "Mul"});
      post += (i == 0 ? "" : ",") + step;
      const std::string role = "post" + std::to_string(i);
      if (step == "Clip") {
        constants[role] =
            Constant::Floats({2}, random_.Values(random_.PickStyle(), 2));
      } else if (step != "Relu") {
        constants[role] = PerChannel(parts.out);
      }
    }
    parts.attributes["post"] = post;
  }

  std::string AddBatchNorm(const std::string& x) {
    const int64_t channels = Info(x).shape.back();
    const Style style = random_.PickStyle();
    Constants constants;
    for (const char* role : {"scale", "bias", "mean"}) {
      // Means of accumulators are far from 0, and often tie with them.
      std::vector<float> values = random_.Values(
          random_.OneIn(3) ? random_.PickStyle() : style, channels);
      if (role[0] == 'm' && random_.OneIn(2)) {
        for (float& value : values) {
          value = static_cast<float>(random_.Int(-40, 40)) / 2;
        }
      }
      constants[role] = Constant::Floats({channels}, std::move(values));
    }
    std::vector<float> var = random_.Values(style, channels);
    const float least = random_.Pick<float>({0, 1e-45f, 0.01f, 1, 300});
    for (float& value : var) value = std::abs(value) + least;
    if (random_.OneIn(4)) {
      for (float& value : var) value = random_.Pick<float>({0.25f, 1, 4, 16});
    }
    constants["var"] = Constant::Floats({channels}, std::move(var));
    const float epsilon =
        random_.Pick<float>({0, 1e-5f, 2e-5f, 1e-3f, 1e-45f, 3});
    return Add("BatchNormalization", {x}, {{"epsilon", epsilon}}, constants);
  }

  std::string AddElementwise(const std::string& x) {
    if (x.empty()) return "";
    const int64_t channels = Info(x).shape.back();
    switch (random_.Int(0, 9)) {
      case 0:
      case 1:
      case 2:
        return AddBatchNorm(x);
      case 3:
      case 4:
        return Add("Mul", {x}, {}, {{"value", PerChannel(channels)}});
      case 5:
      case 6:
        return Add("Add", {x}, {}, {{"value", PerChannel(channels)}});
      case 7:
        return Add(random_.OneIn(3) ? "Floor" : "Relu", {x});
      case 8: {
        Attributes attributes;
        const Style style = random_.PickStyle();
        if (random_.OneIn(2)) attributes["min"] = random_.Value(style);
        if (random_.OneIn(2)) attributes["max"] = random_.Value(style);
        return Add("Clip", {x}, attributes);
      }
      default: {
        Constant slope = PerChannel(channels);
        std::vector<float> values(slope.floats().begin(), slope.floats().end());
        if (random_.OneIn(2)) {
          for (float& value : values) value = std::abs(value);
        }
        return Add("PRelu", {x}, {},
                   {{"slope", Constant::Floats(slope.shape(), values)}});
      }
    }
  }

  void AddTwo(const std::string& x) {
    if (x.empty()) return;
    const std::string other = PickTwin(x);
    const bool swap = random_.OneIn(2);
    Add(random_.OneIn(5) ? "Mul" : "Add", {swap ? other : x, swap ? x : other});
  }

  // Weights of a float product: integers, so that sums stay exact, or not.
  Style ProductStyle() {
    return random_.OneIn(5)
               ? random_.PickStyle()
               : random_.Pick<Style>({Style::kIntegers, Style::kHalves});
  }

  void AddFloatProduct() {
    const std::string x = PickTensor(IsFloat);
    if (x.empty()) return;
    ConvParts parts = {{}, PickOut(), {Info(x).shape.back()}};
    const bool conv = IsImage(x) && !random_.OneIn(6);
    if (conv) parts = Convolution(x);
    Shape shape = {parts.out};
    shape.insert(shape.end(), parts.tail.begin(), parts.tail.end());
    Constants constants = {
        {"weight",
         Constant::Floats(
             shape, random_.Values(ProductStyle(), *ElementCount(shape)))}};
    if (random_.OneIn(2)) {
      constants["bias"] = Constant::Floats(
          {parts.out}, random_.Values(ProductStyle(), parts.out));
    }
    FollowProduct(
        Add(conv ? "Conv" : "Gemm", {x}, parts.attributes, constants));
  }

  void AddBinaryWeight() {
    const std::string x = PickTensor(IsReal);
    if (x.empty()) return;
    ConvParts parts = {{}, PickOut(), {Info(x).shape.back()}};
    const bool conv = IsImage(x) && !random_.OneIn(6);
    if (conv) parts = Convolution(x);
    const int64_t bases = random_.OneIn(4) ? random_.Int(2, 3) : 1;
    Constants constants = {
        {"weight", BitsOf(BasesOf(bases, parts.out, parts.tail))}};
    AddEpilogue(bases, parts.out, constants);
    FollowProduct(Add(conv ? "BinaryWeightConv" : "BinaryWeightGemm", {x},
                      parts.attributes, constants));
  }

  // A sign is refused where the sums of floats are not exact.
  void FollowProduct(std::string y) {
    for (int64_t n = random_.Int(0, 3); n > 0 && !y.empty(); --n) {
      const std::string next = AddElementwise(y);
      if (!next.empty()) y = next;
    }
    if (random_.OneIn(2)) AddBinarize(y);
  }

  void AddPool() {
    const std::string x = PickTensor(IsAny);
    if (x.empty() || IsInteger(Info(x).type) || !IsImage(x)) return;
    Attributes attributes = Window(x, /*pool=*/true);
    if (random_.OneIn(3)) attributes["ceil_mode"] = int64_t{1};
    if (IsBits(Info(x).type)) {
      Add("BinaryMaxPool", {x}, attributes);
    } else if (random_.OneIn(3)) {
      attributes.erase("dilations");
      attributes["count_include_pad"] = random_.Int(0, 1);
      Add("AveragePool", {x}, attributes);
    } else if (random_.OneIn(8)) {
      Add("GlobalAveragePool", {x});
    } else {
      Add("MaxPool", {x}, attributes);
    }
  }

  void AddMove() {
    const std::string x = PickTensor(IsAny);
    const Shape& shape = Info(x).shape;
    const auto rank = static_cast<int64_t>(shape.size());
    switch (random_.Int(0, 5)) {
      case 0:
        Add("Flatten", {x});
        return;
      case 1: {
        const int64_t last = random_.Pick<int64_t>({1, 2, 4, 64, channels_});
        Add("Reshape", {x},
            {{"shape",
              random_.OneIn(2) ? Ints{0, -1, last} : Ints{-1, 1, 1, -1}}});
        return;
      }
      case 2: {
        Ints perm;
        for (int64_t i = 0; i < rank; ++i) perm.push_back(i);
        std::swap(perm[random_.Int(1, rank - 1)],
                  perm[random_.Int(1, rank - 1)]);
        Add("Transpose", {x}, {{"perm", perm}});
        return;
      }
      case 3:
        Add("Concat", {x, PickTwin(x)}, {{"axis", random_.Int(1, rank - 1)}});
        return;
      case 4: {
        Ints pads(static_cast<size_t>(2 * rank), 0);
        for (int64_t i = 1; i < rank; ++i) {
          pads[i] = random_.OneIn(3);
          pads[rank + i] = random_.OneIn(3);
        }
        Add("Pad", {x},
            {{"pads", pads}, {"value", random_.Value(random_.PickStyle())}});
        return;
      }
      default:
        if (random_.OneIn(3)) Add("Softmax", {x});
        return;
    }
  }

  // -------------------------------------------------------------------- rest

  // What nobody takes, and now and then what somebody takes.
  void SetOutputs() {
    test_.graph.outputs.clear();
    std::set<std::string> used;
    for (const Node& node : test_.graph.nodes) {
      used.insert(node.inputs.begin(), node.inputs.end());
    }
    for (const Node& node : test_.graph.nodes) {
      if (!used.contains(node.name) || random_.OneIn(12)) {
        test_.graph.outputs.push_back({.name = node.name});
      }
    }
    Shuffle(test_.graph.outputs);
  }

  template <typename T>
  void Shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) {
      std::swap(values[i - 1], values[static_cast<size_t>(random_.Int(
                                   0, static_cast<int64_t>(i) - 1))]);
    }
  }

  Random random_;
  TestCase test_;
  bool large_ = false;
  int64_t channels_ = 1;
  int count_ = 0;
  std::vector<std::string> names_;
  std::map<std::string, TensorInfo> tensors_;
};

}  // namespace

TestCase RandomCase(uint64_t seed) { return Maker(seed).Make(); }

}  // namespace bqengine::fuzz
