#include "tests/fuzz/random_case.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/fuzz/case_builder.h"

namespace bqengine::fuzz {
namespace {

class Maker : private CaseBuilder {
 public:
  explicit Maker(uint64_t seed) : CaseBuilder(seed) {}

  TestCase Make() {
    const int64_t inputs = random_.Int(1, 2);
    for (int64_t i = 0; i < inputs; ++i) AddInput();
    const auto wanted = static_cast<size_t>(random_.Int(2, 24));
    for (int tries = 0; node_count() < wanted && tries < 100; ++tries) {
      AddSomething();
    }
    if (node_count() == 0) Add("Flatten", {first_input()});
    return Finish();
  }

 private:
  void AddSomething() {
    switch (random_.Int(0, 17)) {
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
      case 12:
        return AddFloatProduct();
      case 13:
      case 14:
        return AddBinaryWeight();
      case 15:
        return AddPool();
      default:
        return AddMove();
    }
  }

  // What networks repeat: sign, product, elementwise ops, residual, sign.
  void AddBlock() {
    std::string bits = PickTensor(IsPacked);
    if (bits.empty() || random_.OneIn(3)) {
      bits = AddBinarize(PickTensor(IsReal));
    }
    std::string tensor =
        random_.OneIn(6) ? AddTernaryProduct() : AddBinaryProduct({bits});
    for (int64_t n = random_.Int(0, 4); n > 0 && !tensor.empty(); --n) {
      const std::string next = AddElementwise(tensor);
      if (!next.empty()) tensor = next;
    }
    if (random_.OneIn(2)) AddTwo(tensor);
    if (random_.OneIn(3)) AddPool();
    if (random_.OneIn(5)) Add("Flatten", {PickTensor(IsFloat)});
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

  // sign(x) with three values: half of x >= 0 and half of x > 0.
  std::string AddTernaryProduct() {
    const std::string x = PickTensor(IsFloat);
    const std::string a = Add("Binarize", {x});
    const std::string b =
        Add("Binarize", {x}, {},
            {{"threshold", Constant::Floats({1}, {0x1p-149f})}});
    return AddBinaryProduct({a, b}, Constant::Floats({2}, {0.5f, 0.5f}));
  }

  // `beta`: of the activation bases.
  std::string AddBinaryProduct(std::vector<std::string> inputs,
                               std::optional<Constant> beta = {}) {
    const std::string x = inputs[0];
    if (x.empty()) return "";
    while (!beta.has_value() && inputs.size() < 3 && random_.OneIn(6)) {
      inputs.push_back(PickTwin(x));
    }
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
    if (beta.has_value()) {
      constants["beta"] = *std::move(beta);
    } else if (inputs.size() > 1 || random_.OneIn(6)) {
      const auto count = static_cast<int64_t>(inputs.size());
      auto values = random_.Values(random_.PickStyle(), count);
      if (random_.OneIn(3)) values.assign(inputs.size(), values[0]);
      constants["beta"] = Constant::Floats({count}, std::move(values));
    }
    if (random_.OneIn(8)) AddPost(parts, inputs, constants);
    bool two_outputs = false;
    if (random_.OneIn(6)) {
      parts.attributes["output_type"] = PickEncoding();
      if (random_.OneIn(2)) constants["threshold"] = Threshold(parts.out);
      two_outputs = random_.OneIn(3);
    }
    return Add(conv ? "BinaryConv" : "BinaryGemm", inputs, parts.attributes,
               constants, two_outputs);
  }

  // Steps as a file may hold them.
  void AddPost(ConvParts& parts, std::vector<std::string>& inputs,
               Constants& constants) {
    std::string post;
    const int64_t steps = random_.Int(1, 4);
    const std::string residual = PickTensor(IsFloat);
    const int64_t residual_at =
        residual.empty() ? -1 : random_.Int(0, 2 * steps);
    for (int64_t i = 0; i < steps; ++i) {
      std::string step =
          random_.Pick<std::string>({"Relu", "PRelu", "Clip", "Add", "Mul"});
      if (i == residual_at) {
        step = "Residual";
        inputs.push_back(residual);
      }
      post += (i == 0 ? "" : ",") + step;
      const std::string role = "post" + std::to_string(i);
      if (step == "Clip") {
        constants[role] =
            Constant::Floats({2}, random_.Values(random_.PickStyle(), 2));
      } else if (step != "Relu" && step != "Residual") {
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
};

}  // namespace

TestCase RandomCase(uint64_t seed) { return Maker(seed).Make(); }

}  // namespace bqengine::fuzz
