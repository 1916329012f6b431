// Pools and padding, and the geometry they share with convolutions.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "converter.h"

namespace bqengine::convert {
namespace {

// Larger sizes would overflow, and no image has them.
constexpr int64_t kMaxSize = std::numeric_limits<int32_t>::max();

bool AllWithin(const std::vector<int64_t>& sizes, int64_t low) {
  return std::all_of(sizes.begin(), sizes.end(), [low](int64_t size) {
    return size >= low && size <= kMaxSize;
  });
}

std::vector<int64_t> Pair(const SourceNode& node, const std::string& name) {
  const std::vector<int64_t> pair = node.Ints(name, {1, 1});
  if (pair.size() != 2 || !AllWithin(pair, 1)) {
    throw ConvertError(fmt::format("attribute '{}' is not two sizes", name));
  }
  return pair;
}

struct Extent {  // of one dimension
  int64_t begin = 0, end = 0, out = 0;
};

// SAME keeps ceil(size / stride) outputs; an odd element of padding goes to the
// end (UPPER) or to the beginning (LOWER).
Extent SamePads(int64_t size, int64_t stride, int64_t reach, bool upper) {
  Extent e;
  e.out = (size + stride - 1) / stride;
  const int64_t total =
      std::max<int64_t>(0, (e.out - 1) * stride + reach - size);
  e.begin = upper ? total / 2 : total - total / 2;
  e.end = total - e.begin;
  return e;
}

}  // namespace

Window Converter::ReadWindow(const SourceNode& node, const Shape& in,
                             const std::vector<int64_t>& kernel) const {
  if (in.size() != 4) {
    throw ConvertError("only images of four dimensions are supported");
  }
  Window w;
  w.kernel = kernel;
  if (node.Ints("kernel_shape", kernel) != kernel || kernel.size() != 2 ||
      !AllWithin(kernel, 1)) {
    throw ConvertError("kernel_shape is not that of a two-dimensional kernel");
  }
  w.strides = Pair(node, "strides");
  w.dilations = Pair(node, "dilations");
  w.pads = node.Ints("pads", {0, 0, 0, 0});
  w.ceil_mode = node.Int("ceil_mode", 0) != 0;
  if (w.pads.size() != 4 || !AllWithin(w.pads, 0)) {
    throw ConvertError("pads must be four sizes >= 0");
  }
  const std::string automatic = node.String("auto_pad", "NOTSET");
  const bool same = automatic == "SAME_UPPER" || automatic == "SAME_LOWER";
  if (automatic == "VALID") w.pads = {0, 0, 0, 0};
  if (!same && automatic != "VALID" && automatic != "NOTSET") {
    throw ConvertError(fmt::format("auto_pad '{}'", automatic));
  }
  int64_t out[2];
  for (int d = 0; d < 2; ++d) {
    const int64_t size = in[2 + d], stride = w.strides[d];
    const int64_t reach = (w.kernel[d] - 1) * w.dilations[d] + 1;
    if (reach > kMaxSize) throw ConvertError("the kernel is too large");
    if (same) {
      const Extent e = SamePads(size, stride, reach, automatic == "SAME_UPPER");
      w.pads[d] = e.begin;
      w.pads[2 + d] = e.end;
      out[d] = e.out;
      continue;
    }
    const int64_t room = size + w.pads[d] + w.pads[2 + d] - reach;
    if (room < 0) throw ConvertError("the kernel is larger than its input");
    out[d] = (room + (w.ceil_mode ? stride - 1 : 0)) / stride + 1;
  }
  w.out_height = out[0];
  w.out_width = out[1];
  return w;
}

void Converter::EmitPool(const SourceNode& node, bool max, const Value& in,
                         const Window& window) {
  // Where more bits stand for larger values, the maximum is that of the bits.
  Value from = in;
  if (max && in.step) from = builder_.ToBits(in, true);
  const bool binary = max && in.step && from.step->rising();
  if (!binary) from = builder_.ToFloat(from);
  std::map<std::string, Attribute> attributes = {
      {"kernel_shape", window.kernel},
      {"strides", window.strides},
      {"pads", window.pads},
      {"ceil_mode", static_cast<int64_t>(window.ceil_mode)}};
  if (max) {
    attributes["dilations"] = window.dilations;
  } else {
    attributes["count_include_pad"] = node.Int("count_include_pad", 0);
  }
  const char* op = binary ? "BinaryMaxPool" : max ? "MaxPool" : "AveragePool";
  Value out = Emitted(node, op, from, {}, std::move(attributes));
  out.shape = {kBatch, in.shape[1], window.out_height, window.out_width};
  out.logical = out.shape;
  Set(node, std::move(out));
}

void Converter::Pool(const SourceNode& node) {
  if (node.outputs.size() > 1 && !node.outputs[1].empty()) {
    throw ConvertError("the indices of the maxima are not supported");
  }
  Value in = Settled(node, 0);
  const Window window =
      ReadWindow(node, in.shape, node.Ints("kernel_shape", {}));
  in = builder_.ToOrder(in, ChannelsLastPerm(4));
  EmitPool(node, node.op == "MaxPool", in, window);
}

void Converter::GlobalPool(const SourceNode& node) {
  Value in = Settled(node, 0);
  if (in.shape.size() != 4) {
    throw ConvertError("only images of four dimensions are supported");
  }
  in = builder_.ToOrder(in, ChannelsLastPerm(4));
  if (node.op == "GlobalMaxPool") {
    Window window;
    window.kernel = {in.shape[2], in.shape[3]};
    window.strides = window.dilations = {1, 1};
    window.pads = {0, 0, 0, 0};
    window.out_height = window.out_width = 1;
    return EmitPool(node, true, in, window);
  }
  Value out = Emitted(node, "GlobalAveragePool", builder_.ToFloat(in));
  out.shape = out.logical = {kBatch, in.shape[1], 1, 1};
  Set(node, std::move(out));
}

void Converter::Pad(const SourceNode& node) {
  const std::string mode = node.String("mode", "constant");
  if (mode != "constant") throw ConvertError(fmt::format("mode '{}'", mode));
  Value in = Settled(node, 0);
  const size_t rank = in.shape.size();
  const std::vector<int64_t> pads =
      IntsOf(node, ConstantInputs(node), 1, "pads");
  if (node.inputs.size() > 1) RequiredConstant(node, 1);
  const Array* value = Constant(node, 2);
  const float filling =
      value != nullptr ? value->Only() : node.Float("value", 0.0f);
  if (pads.size() != 2 * rank || pads[0] != 0 || pads[rank] != 0 ||
      !AllWithin(pads, 0)) {
    throw ConvertError("pads must be >= 0, and 0 for the batch");
  }
  Value out = rank == 4 ? builder_.ToOrder(in, ChannelsLastPerm(4)) : in;
  const bool image = rank == 4 && pads[1] == 0 && pads[5] == 0;
  if (image) {
    out.pad = PendingPad{{pads[2], pads[3], pads[6], pads[7]}, filling};
  } else {
    out = builder_.ToFloat(builder_.ToOrder(
        out, rank == 4 ? ChannelsLastPerm(4) : IdentityPerm(rank)));
    std::vector<int64_t> moved;
    for (size_t side : {size_t{0}, rank}) {
      for (int dim : out.perm) moved.push_back(pads[side + dim]);
    }
    out = Emitted(node, "Pad", out, {}, {{"pads", moved}, {"value", filling}});
  }
  for (size_t i = 0; i < rank; ++i) out.shape[i] += pads[i] + pads[rank + i];
  out.shape[0] = kBatch;
  if (!image) out.logical = out.shape;
  Set(node, std::move(out));
}

}  // namespace bqengine::convert
