// Conv, Gemm and MatMul: into the most binary product that means the same.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "binary_weights.h"
#include "converter.h"

namespace bqengine::convert {
namespace {

// Beyond so many bases a float product is faster.
constexpr size_t kMostBases = 4;

// What a binary product can take in: bits of which the input is a sum, and
// padding in their encoding.
struct BinaryInput {
  bool found = false;
  std::string reason;   // if not
  bool misfit = false;  // and it is but the padding
  Value bits;
  SumOfBits sum;
  int64_t pad_value = 0;
};

BinaryInput AsBinaryInput(const Value& in, const Window& window,
                          GraphBuilder* builder) {
  BinaryInput result;
  if (!in.step) {
    result.reason = "input is not binary";
    return result;
  }
  Value plain = in;
  plain.pad.reset();
  plain.shape = in.pad ? in.logical : in.shape;
  result.bits = builder->ToBits(plain);
  const StepFunction& f = *result.bits.step;
  const float low = f.values.front(), high = f.values.back();
  result.sum = AsSum(f);
  if (f.bases() > kMostBases) {
    result.reason = fmt::format("input takes {} values", f.values.size());
    return result;
  }
  if (result.sum.offset != 0 || result.sum.scale == 0) {
    result.reason = fmt::format(
        "input takes the values {}, which is neither -c to c nor 0 to c",
        NumbersText(f.values));
    return result;
  }
  if (in.pad) {
    const float pad = in.pad->value;
    const bool padded_again =
        std::any_of(window.pads.begin(), window.pads.end(),
                    [](int64_t p) { return p != 0; });
    const bool known = pad == 0 || pad == high || pad == low;
    if (!known || (pad != 0 && padded_again)) {
      result.misfit = true;
      result.reason =
          fmt::format("padding with {:g} does not fit an input of {}{}", pad,
                      NumbersText(f.values),
                      padded_again ? " that is padded with 0 too" : "");
      return result;
    }
    result.pad_value = pad == 0 ? 0 : pad == high ? 1 : -1;
  }
  result.found = true;
  return result;
}

void AddPads(const PendingPad& pad, Window* window) {
  for (size_t i = 0; i < pad.pads.size(); ++i) window->pads[i] += pad.pads[i];
}

// Per-channel factors: one number if they agree, none if they are 1.
std::vector<float> Factors(const std::vector<float>& scale, float common) {
  std::vector<float> mul;
  for (float c : scale) mul.push_back(c * common);
  if (std::any_of(mul.begin(), mul.end(),
                  [&](float m) { return m != mul[0]; })) {
    return mul;
  }
  return mul[0] == 1 ? std::vector<float>{} : std::vector<float>{mul[0]};
}

std::vector<float> Bias(const Array* array, int64_t out_channels, float beta) {
  if (array == nullptr) return {};
  const std::vector<int64_t> map =
      BroadcastMap(array->shape, {1, out_channels});
  std::vector<float> bias;
  for (int64_t i : map) bias.push_back(beta * array->Float(i));
  return bias;
}

}  // namespace

void Converter::EmitProduct(const SourceNode& node, Product product, Value in) {
  if (Elements(product.weight_shape) == 0) {
    throw ConvertError("the weights are empty: " +
                       ShapeText(product.weight_shape));
  }
  const int64_t out_channels = product.weight_shape[0];
  const std::string kind = product.conv ? "Conv" : "Gemm";
  BinaryInput binary = AsBinaryInput(in, product.window, &builder_);
  if (binary.misfit) {  // pad what the bits are made of
    const Value padded = builder_.WithoutPad(in);
    if (padded.step) {
      in = padded;
      binary = AsBinaryInput(in, product.window, &builder_);
    }
  }
  const BinaryWeights bits =
      RecogniseBits(product.weights, out_channels, binary.found);
  const bool both = bits.found && binary.found;

  GraphBuilder::NodeSpec spec;
  spec.name = node.outputs[0];
  spec.op = (both ? "Binary" : bits.found ? "BinaryWeight" : "") + kind;
  if (both) {
    spec.inputs = binary.bits.step->bits;
    if (spec.inputs.size() > 1) {
      spec.constants["beta"] = FloatVector(binary.sum.beta);
    }
    if (in.pad) AddPads(*in.pad, &product.window);
    if (product.conv) spec.attributes["pad_value"] = binary.pad_value;
  } else {
    // A float convolution pads with 0 itself; all else becomes a Pad.
    Value plain = in;
    if (in.pad && in.pad->value == 0) {
      AddPads(*in.pad, &product.window);
      plain.pad.reset();
      plain.shape = in.logical;
    }
    spec.inputs = {builder_.ToFloat(plain).tensor};
  }
  if (product.conv) {
    spec.attributes["kernel_shape"] = product.window.kernel;
    spec.attributes["strides"] = product.window.strides;
    spec.attributes["pads"] = product.window.pads;
    spec.attributes["dilations"] = product.window.dilations;
    spec.attributes["group"] = product.group;
  }
  const bool has_bias = std::any_of(product.bias.begin(), product.bias.end(),
                                    [](float b) { return b != 0; });
  if (bits.found) {
    Shape shape = product.weight_shape;
    shape.insert(shape.begin(), bits.bases);
    if (bits.bases == 2) spec.constants["alpha"] = FloatVector({0.5f, 0.5f});
    spec.constants["weight"] = bqengine::Constant::Bits(
        bits.type, shape, PackRows(bits.bits, shape.back()));
    const std::vector<float> mul =
        Factors(bits.scale, both ? binary.sum.scale : 1.0f);
    if (!mul.empty()) spec.constants["mul"] = FloatVector(mul);
    if (has_bias) spec.constants["add"] = FloatVector(product.bias);
    if (bits.spread > 0) {
      Note(fmt::format(
          "node '{}': magnitudes of weights that differ by up to {:.1g} of "
          "themselves in a channel count as one",
          node.name, 2 * bits.spread));
    }
  } else {
    spec.constants["weight"] = bqengine::Constant::Floats(
        product.weight_shape, std::move(product.weights));
    if (has_bias) spec.constants["bias"] = FloatVector(product.bias);
  }

  Value out;
  out.shape = out.logical = product.out_shape;
  out.perm = product.out_perm;
  out.tensor = builder_.Emit(std::move(spec));
  if (!both) {
    result_.float_reasons[out.tensor] =
        bits.found ? binary.reason : bits.reason;
  }
  Set(node, std::move(out));
}

void Converter::Conv(const SourceNode& node) {
  const Array& weight = RequiredConstant(node, 1);
  const Value& raw = Raw(node, 0);
  if (weight.shape.size() != 4 || raw.shape.size() != 4) {
    throw ConvertError("only convolutions in two dimensions are supported");
  }
  const Value in = raw.pad ? raw  // stands in the right order already
                           : builder_.ToOrder(raw, ChannelsLastPerm(4));
  Product product;
  product.conv = true;
  product.group = node.Int("group", 1);
  const int64_t out_channels = weight.shape[0];
  if (product.group < 1 || out_channels % product.group != 0 ||
      in.shape[1] % product.group != 0 ||
      in.shape[1] / product.group != weight.shape[1]) {
    throw ConvertError(fmt::format(
        "weights of shape {} in {} groups do not fit an input of shape {}",
        ShapeText(weight.shape), product.group, ShapeText(in.shape)));
  }
  const std::vector<int64_t> kernel = {weight.shape[2], weight.shape[3]};
  product.window = ReadWindow(node, in.shape, kernel);
  product.weight_shape = {out_channels, kernel[0], kernel[1], weight.shape[1]};
  for (int64_t i : TransposeMap(weight.shape, ChannelsLastPerm(4))) {
    product.weights.push_back(weight.Float(i));
  }
  product.bias = Bias(Constant(node, 2), out_channels, 1.0f);
  product.out_shape = {kBatch, out_channels, product.window.out_height,
                       product.window.out_width};
  product.out_perm = ChannelsLastPerm(4);
  EmitProduct(node, std::move(product), in);
}

// in x weight, where a weight of [K, O] stands as it is in ONNX and one of
// [O, K] is `transposed`.
void Converter::MatrixProduct(const SourceNode& node, const Value& in,
                              const Array& weight, bool transposed, float alpha,
                              std::vector<float> bias) {
  const int64_t k = weight.shape[transposed ? 1 : 0];
  const int64_t out_channels = weight.shape[transposed ? 0 : 1];
  if (in.shape.back() != k) {
    throw ConvertError(
        fmt::format("weights of shape {} do not fit an input of shape {}",
                    ShapeText(weight.shape), ShapeText(in.shape)));
  }
  // Where ONNX has the element that meets position i of memory.
  std::vector<int64_t> order(k);
  if (in.flattened()) {
    order = MemoryMap(in);
  } else {
    for (int64_t i = 0; i < k; ++i) order[i] = i;
  }
  Product product;
  product.weight_shape = {out_channels, k};
  product.weights.reserve(out_channels * k);
  for (int64_t o = 0; o < out_channels; ++o) {
    for (int64_t i : order) {
      const int64_t at = transposed ? o * k + i : i * out_channels + o;
      product.weights.push_back(alpha * weight.Float(at));
    }
  }
  product.bias = std::move(bias);
  product.out_shape = in.shape;
  product.out_shape.back() = out_channels;
  product.out_perm = in.flattened() ? IdentityPerm(2) : in.perm;
  EmitProduct(node, std::move(product), in);
}

void Converter::Gemm(const SourceNode& node) {
  const Array& weight = RequiredConstant(node, 1);
  const Value in = Settled(node, 0);
  if (node.Int("transA", 0) != 0) throw ConvertError("transA is not supported");
  if (weight.shape.size() != 2 || in.shape.size() != 2) {
    throw ConvertError("matrices of two dimensions expected");
  }
  const bool transposed = node.Int("transB", 0) != 0;
  const int64_t out_channels = weight.shape[transposed ? 0 : 1];
  MatrixProduct(
      node, in, weight, transposed, node.Float("alpha", 1.0f),
      Bias(Constant(node, 2), out_channels, node.Float("beta", 1.0f)));
}

void Converter::MatMul(const SourceNode& node) {
  const Array& weight = RequiredConstant(node, 1);
  Value in = Settled(node, 0);
  if (weight.shape.size() != 2 || in.shape.size() < 2) {
    throw ConvertError("only a matrix of two dimensions on the right");
  }
  const int last = static_cast<int>(in.shape.size()) - 1;
  if (!in.flattened() && in.perm.back() != last) {
    in = builder_.ToOrder(in, IdentityPerm(in.shape.size()));
  }
  MatrixProduct(node, in, weight, false, 1.0f, {});
}

}  // namespace bqengine::convert
