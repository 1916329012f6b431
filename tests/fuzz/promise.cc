#include "tests/fuzz/promise.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <span>
#include <vector>

namespace bqengine::fuzz {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kSmallestFloat = 0x1p-149;
constexpr double kLargestFloat = std::numeric_limits<float>::max();

// What is known of all elements of a float tensor.
struct Range {
  // Every finite element is a multiple of this power of two; infinity if all
  // are zero, 0 if nothing is known.
  double quantum = kInf;
  // A bound on every element, and on the sum of the magnitudes that went into
  // it: it does not shrink where summands cancel.
  double gross = 0;
  // Floats that differ by rounding only differ by at most
  // roundings * 2^-23 * gross + slack; slack is from subnormal results.
  double roundings = 0;
  double slack = 0;

  // The largest magnitude since the product: a folded factor, if subnormal, is
  // off by up to the smallest float.
  double reach = 0;

  bool chain = false;      // an accumulator, with elementwise ops behind it
  bool affine = false;     // a float product, with affine ops behind it
  bool rounded = false;    // a pass may have rounded it in another way
  bool zero = false;       // the sign of its zeros is open
  bool loose = false;      // it comes from a sum that rounds, in any order
  bool unordered = false;  // such a sum may overflow, or meet what makes NaN
  bool infinite = false;   // an input has infinities or NaN
  // A step may overflow that a pass may leave out: then the one is NaN or
  // infinite, and the other perhaps not.
  bool overflows = false;

  // All sums and products that lead here are exact in any order.
  bool IsExact() const {
    return quantum >= 0x1p-100 && gross <= 0x1p100 && gross <= quantum * 0x1p24;
  }
};

Range Join(const Range& a, const Range& b) {
  Range range;
  range.quantum = std::min(a.quantum, b.quantum);
  range.gross = std::max(a.gross, b.gross);
  range.roundings = std::max(a.roundings, b.roundings);
  range.slack = std::max(a.slack, b.slack);
  range.reach = std::max(a.reach, b.reach);
  range.chain = a.chain || b.chain;
  range.rounded = a.rounded || b.rounded;
  range.zero = a.zero || b.zero;
  range.loose = a.loose || b.loose;
  range.unordered = a.unordered || b.unordered;
  range.infinite = a.infinite || b.infinite;
  range.overflows = a.overflows || b.overflows;
  return range;
}

struct Values {
  double quantum = kInf;  // the largest power of two that divides them all
  double largest = 0;
};

// Infinities and NaN are of unknown quantum, unless they are to be left out.
Values ValuesOf(std::span<const float> floats, bool finite_only = false) {
  constexpr int kNone = 1000;
  int exponent = kNone;
  Values values;
  for (float x : floats) {
    const auto bits = std::bit_cast<uint32_t>(x) & 0x7FFFFFFF;
    const int biased = static_cast<int>(bits >> 23);
    if (bits == 0 || (biased == 255 && finite_only)) continue;
    if (biased == 255) return {0, kInf};
    const uint32_t digits =
        (bits & 0x7FFFFF) | (biased == 0 ? 0 : uint32_t{1} << 23);
    exponent = std::min(exponent,
                        std::max(biased, 1) - 150 + std::countr_zero(digits));
    values.largest = std::max(values.largest, std::abs(double{x}));
  }
  if (exponent != kNone) values.quantum = std::ldexp(1.0, exponent);
  return values;
}

// 0 * infinity is 0 here: what is no multiple of anything is 0, and what has
// no magnitude stays so.
double Times(double a, double b) { return a == 0 || b == 0 ? 0 : a * b; }

class Analysis {
 public:
  Analysis(const TestCase& test,
           const std::map<std::string, TensorInfo>& tensors)
      : test_(test), tensors_(tensors) {}

  Result<std::map<std::string, Promise>> Run() {
    for (const Node& node : test_.graph.nodes) MarkSensitive(node);
    for (size_t i = 0; i < test_.inputs.size(); ++i) AddInput(i);
    // In any order: go over the nodes until none is left.
    std::set<const Node*> done;
    while (done.size() < test_.graph.nodes.size()) {
      for (const Node& node : test_.graph.nodes) {
        const bool ready =
            std::all_of(node.inputs.begin(), node.inputs.end(),
                        [&](const auto& t) { return ranges_.contains(t); });
        if (!ready || !done.insert(&node).second) continue;
        if (!IsFair(node)) {
          return Status(StatusCode::kUnsupported,
                        "node '" + node.name + "' compares what is only close");
        }
        for (const std::string& output : node.outputs) {
          ranges_[output] = RangeOf(node);
        }
      }
    }
    std::map<std::string, Promise> promises;
    for (const auto& [name, info] : tensors_) promises[name] = PromiseOf(name);
    return promises;
  }

 private:
  bool IsFloat(const std::string& tensor) const {
    return tensors_.at(tensor).type == DataType::kFloat32;
  }

  bool IsComparison(const Node& node) const {
    return node.op == "Floor" || node.op == "Binarize" ||
           IsBits(tensors_.at(node.outputs.back()).type);
  }

  bool IsFair(const Node& node) const {
    if (!IsComparison(node)) return true;
    for (const std::string& input : node.inputs) {
      const Range& range = ranges_.at(input);
      if (range.loose) return false;
    }
    return true;
  }

  // A path leads from the node's inputs to a comparison: walk back.
  void MarkSensitive(const Node& node) {
    if (!IsComparison(node)) return;
    std::vector<std::string> wanted = node.inputs;
    while (!wanted.empty()) {
      const std::string tensor = wanted.back();
      wanted.pop_back();
      if (!IsFloat(tensor) || !sensitive_.insert(tensor).second) continue;
      for (const Node& other : test_.graph.nodes) {
        if (std::find(other.outputs.begin(), other.outputs.end(), tensor) !=
            other.outputs.end()) {
          wanted.insert(wanted.end(), other.inputs.begin(), other.inputs.end());
        }
      }
    }
  }

  void AddInput(size_t i) {
    const GraphInput& input = test_.graph.inputs[i];
    const Bytes& bytes = test_.inputs[i];
    Range range;
    if (input.info.type == DataType::kFloat32) {
      std::vector<float> floats(bytes.size() / sizeof(float));
      std::memcpy(floats.data(), bytes.data(), bytes.size());
      const Values values = ValuesOf(floats, /*finite_only=*/true);
      range.quantum = values.quantum;
      range.gross = values.largest;
      range.infinite = std::any_of(floats.begin(), floats.end(),
                                   [](float x) { return !std::isfinite(x); });
    } else if (IsInteger(input.info.type)) {
      range.quantum = 1;
      range.gross = 255;
    }
    ranges_[input.name] = range;
  }

  std::span<const float> Floats(const Node& node, const char* role) const {
    const auto found = node.constants.find(role);
    if (found == node.constants.end()) return {};
    return test_.graph.constants.at(found->second).floats();
  }

  float FloatAttribute(const Node& node, const char* name,
                       float otherwise) const {
    const auto found = node.attributes.find(name);
    if (found == node.attributes.end()) return otherwise;
    if (const auto* number = std::get_if<int64_t>(&found->second)) {
      return static_cast<float>(*number);
    }
    return std::get<float>(found->second);
  }

  // ------------------------------------------------- one elementwise op each

  // `open`: a pass may compute this in another way, up to rounding.
  static void MultiplyBy(const Values& value, bool open, Range& range) {
    range.reach = std::max(range.reach, range.gross);
    range.quantum = Times(range.quantum, value.quantum);
    range.gross = Times(range.gross, value.largest);
    range.slack = Times(range.slack, value.largest) +
                  kSmallestFloat * std::max(range.reach, 1.0);
    ++range.roundings;
    EndAffine(open, range);
  }

  static void AddTo(const Values& value, bool open, Range& range) {
    range.quantum = std::min(range.quantum, value.quantum);
    range.gross += value.largest;
    ++range.roundings;
    EndAffine(open, range);
  }

  // PRelu: some are multiplied, and some stay.
  static void Slope(Values slope, bool open, Range& range) {
    slope.quantum = std::min(slope.quantum, 1.0);
    slope.largest = std::max(slope.largest, 1.0);
    MultiplyBy(slope, open, range);
  }

  static void EndAffine(bool open, Range& range) {
    range.rounded = range.rounded || (range.chain && open);
    range.overflows = range.overflows || range.gross > kLargestFloat;
    if (range.affine) {
      range.zero = true;
      range.loose = range.loose || !range.IsExact();
      // Weights that become 0 by underflow make NaN of infinity.
      range.unordered = range.unordered || (range.infinite && !range.IsExact());
    }
  }

  static void Clip(float min, float max, Range& range) {
    const Values values = ValuesOf(std::array{min, max}, /*finite_only=*/true);
    range.quantum = std::min(range.quantum, values.quantum);
    range.gross = std::max(range.gross, values.largest);
  }

  void BatchNorm(const Node& node, bool open, Range& range) const {
    const auto scale = Floats(node, "scale"), bias = Floats(node, "bias"),
               mean = Floats(node, "mean"), var = Floats(node, "var");
    const double epsilon = FloatAttribute(node, "epsilon", 1e-5f);
    std::vector<float> mul, add;
    double gross_add = 0;
    for (size_t c = 0; c < scale.size(); ++c) {
      const double factor = scale[c] / std::sqrt(var[c] + epsilon);
      mul.push_back(static_cast<float>(factor));
      add.push_back(static_cast<float>(bias[c] - mean[c] * factor));
      gross_add = std::max(
          gross_add, std::abs(double{bias[c]}) + std::abs(mean[c] * factor));
      if (std::isnan(gross_add)) gross_add = kInf;
    }
    // Those that are not exact may be moved by some units in the last place.
    range.roundings += 8;
    MultiplyBy(ValuesOf(mul), open, range);
    AddTo({ValuesOf(add).quantum, gross_add}, open, range);
  }

  // ------------------------------------------------------------------ products

  // Sums over at most `count` weights; `sum` bounds the sum of their
  // magnitudes.
  static void Accumulate(double count, double sum, double quantum,
                         Range& range) {
    range.reach = range.gross * count;
    range.quantum = Times(range.quantum, quantum);
    range.gross = Times(range.gross, sum);
    range.slack = Times(range.slack, sum) + count * kSmallestFloat;
    range.roundings += count + 1;
    if (!range.IsExact()) {
      range.loose = true;
      range.unordered = range.unordered || range.gross > kLargestFloat;
    }
  }

  Range FloatProduct(const Node& node, Range range) const {
    const Constant& weight =
        test_.graph.constants.at(node.constants.at("weight"));
    const auto floats = weight.floats();
    const size_t taps = floats.size() / static_cast<size_t>(weight.shape()[0]);
    double sum = 0;
    for (size_t o = 0; o < floats.size(); o += taps) {
      double of_channel = 0;
      for (size_t i = 0; i < taps; ++i) of_channel += std::abs(floats[o + i]);
      sum = std::max(sum, std::isnan(of_channel) ? kInf : of_channel);
    }
    range.chain = false;
    range.affine = false;
    const Values bias = ValuesOf(Floats(node, "bias"));
    Accumulate(static_cast<double>(taps) + 1, sum, ValuesOf(floats).quantum,
               range);
    AddTo(bias, false, range);
    range.affine = true;
    EndAffine(false, range);
    range.unordered =
        range.unordered || (range.loose && range.gross > kLargestFloat);
    return range;
  }

  // The accumulators of a product with binary weights, and what it does with
  // them. `bases`: activations.
  Range BinaryProduct(const Node& node, size_t bases, Range range) const {
    const Constant& weight =
        test_.graph.constants.at(node.constants.at("weight"));
    const double count = static_cast<double>(*ElementCount(weight.shape())) /
                         static_cast<double>(weight.shape()[1]);
    Accumulate(count, count, 1, range);
    range.chain = true;
    range.affine = false;
    // Sums over bases are covered by `count`, which has those of the weights.
    for (const char* role : {"alpha", "beta", "mul"}) {
      const auto floats = Floats(node, role);
      if (!floats.empty()) MultiplyBy(ValuesOf(floats), false, range);
    }
    range.gross *= static_cast<double>(bases);
    range.roundings += static_cast<double>(bases) + count;
    const auto add = Floats(node, "add");
    if (!add.empty()) AddTo(ValuesOf(add), false, range);
    return range;
  }

  Range BinaryProductWithPost(const Node& node) const {
    const auto found = node.attributes.find("post");
    std::string post = found == node.attributes.end()
                           ? ""
                           : std::get<std::string>(found->second) + ",";
    const bool residual = post.find("Residual") != std::string::npos;
    Range range;
    range.quantum = 1;
    range.gross = 1;
    range = BinaryProduct(node, node.inputs.size() - (residual ? 1 : 0), range);
    for (int i = 0; !post.empty(); ++i) {
      const std::string step = post.substr(0, post.find(','));
      post.erase(0, step.size() + 1);
      const auto floats = Floats(node, ("post" + std::to_string(i)).c_str());
      if (step == "Mul") MultiplyBy(ValuesOf(floats), false, range);
      if (step == "PRelu") Slope(ValuesOf(floats), false, range);
      if (step == "Add") AddTo(ValuesOf(floats), false, range);
      if (step == "Clip") Clip(floats[0], floats[1], range);
      if (step == "Residual") {
        range = AddTensors(range, ranges_.at(node.inputs.back()));
      }
    }
    return range;
  }

  // -------------------------------------------------------------- other ops

  static Range AddTensors(const Range& a, const Range& b) {
    Range range = Join(a, b);
    range.gross = a.gross + b.gross;
    range.slack = a.slack + b.slack;
    ++range.roundings;
    return range;
  }

  static Range MultiplyTensors(const Range& a, const Range& b) {
    Range range = Join(a, b);
    range.quantum = Times(a.quantum, b.quantum);
    range.gross = Times(a.gross, b.gross);
    range.slack = Times(a.slack, b.gross + b.slack) + Times(b.slack, a.gross) +
                  kSmallestFloat;
    range.roundings = a.roundings + b.roundings + 1;
    return range;
  }

  Range RangeOf(const Node& node) const {
    const bool open = !sensitive_.contains(node.outputs[0]);
    Range range = ranges_.at(node.inputs[0]);
    if (node.op == "BatchNormalization") {
      BatchNorm(node, open, range);
      return range;
    }
    if ((node.op == "Add" || node.op == "Mul") && node.inputs.size() == 1) {
      const Values value = ValuesOf(Floats(node, "value"));
      if (node.op == "Add") AddTo(value, open, range);
      if (node.op == "Mul") MultiplyBy(value, open, range);
      return range;
    }
    if (node.op == "Conv" || node.op == "Gemm") {
      return FloatProduct(node, range);
    }
    range.affine = false;
    if (node.op == "Binarize" || node.op == "BinaryMaxPool") return {};
    if (node.op == "BinaryConv" || node.op == "BinaryGemm") {
      return BinaryProductWithPost(node);
    }
    if (node.op == "BinaryWeightConv" || node.op == "BinaryWeightGemm") {
      range = BinaryProduct(node, 1, range);
      range.zero = IsFloat(node.inputs[0]);  // -0 + 0 depends on the order
      return range;
    }
    if (node.op == "Relu") return range;
    if (node.op == "PRelu") {
      Slope(ValuesOf(Floats(node, "slope")), open, range);
      return range;
    }
    if (node.op == "Clip") {
      Clip(FloatAttribute(node, "min", -INFINITY),
           FloatAttribute(node, "max", INFINITY), range);
      return range;
    }
    if (node.op == "Floor") {
      range.quantum = std::max(range.quantum, 1.0);
      range.gross += 1;
      return range;
    }
    if (node.op == "Add") {
      return AddTensors(range, ranges_.at(node.inputs[1]));
    }
    if (node.op == "Mul") {
      return MultiplyTensors(range, ranges_.at(node.inputs[1]));
    }
    range.chain = false;
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      range = Join(range, ranges_.at(node.inputs[i]));
    }
    if (node.op == "Pad") {
      const float value = FloatAttribute(node, "value", 0);
      Clip(value, value, range);
    } else if (node.op == "AveragePool" || node.op == "GlobalAveragePool") {
      Average(node, range);
    } else if (node.op == "Softmax") {
      Softmax(range);
    }
    range.chain = false;
    return range;
  }

  void Average(const Node& node, Range& range) const {
    double cells = 1;
    if (node.op == "AveragePool") {
      for (int64_t size :
           std::get<std::vector<int64_t>>(node.attributes.at("kernel_shape"))) {
        cells *= static_cast<double>(size);
      }
    } else {
      const Shape& shape = tensors_.at(node.inputs[0]).shape;
      cells = static_cast<double>(shape[1] * shape[2]);
    }
    range.quantum = 0;
    range.gross *= cells;
    range.roundings += cells + 1;
    range.slack = range.slack * cells + kSmallestFloat;
  }

  // Each backend has an exp of its own, right to a few units in the last place;
  // an error of the input is a relative one of the result.
  static void Softmax(Range& range) {
    constexpr double kMostChannels = 1024;
    range.roundings = kMostChannels + 16 +
                      4 * (range.roundings + 1) * (range.gross + 1) +
                      range.slack * 0x1p23;
    range.unordered = range.unordered || !(range.gross < kLargestFloat);
    range.quantum = 0;
    range.gross = 1;
    range.slack = 0;
    range.loose = true;
  }

  Promise PromiseOf(const std::string& tensor) const {
    if (!IsFloat(tensor)) return {};
    const Range& range = ranges_.at(tensor);
    const double bound = range.roundings * 0x1p-23 * range.gross + range.slack;
    if (range.unordered) return {Promise::Kind::kNothing};
    if (range.loose || range.rounded) {
      if (!range.loose && !range.overflows && range.IsExact()) {
        return {Promise::Kind::kSameValues};
      }
      if (range.gross <= kLargestFloat && !range.overflows) {
        return {Promise::Kind::kClose, bound};
      }
      return {range.loose ? Promise::Kind::kNothing : Promise::Kind::kNotNan};
    }
    return {range.zero ? Promise::Kind::kSameValues : Promise::Kind::kSameBits};
  }

  const TestCase& test_;
  const std::map<std::string, TensorInfo>& tensors_;
  std::map<std::string, Range> ranges_;
  std::set<std::string> sensitive_;  // a path leads from them to a comparison
};

}  // namespace

Result<std::map<std::string, Promise>> PromisesOf(const TestCase& test) {
  auto tensors = InferShapes(test.graph);
  if (!tensors.ok()) return tensors.status();
  return Analysis(test, *tensors).Run();
}

}  // namespace bqengine::fuzz
