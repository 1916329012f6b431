#include <limits>
#include <string>

#include "graph/shape_rules.h"

namespace bqengine {
namespace {

// Accumulators up to here are exact as float32, as the numeric contract wants.
constexpr int64_t kMostTaps = int64_t{1} << 24;
// With 8-bit activations: sums of up to 255 each fit into int32.
constexpr int64_t kMostIntegerTaps = int64_t{1} << 23;

// Output of a product before the type is known: shape, and the number of
// weights that meet one output.
struct Product {
  Shape output;
  int64_t channels;  // output.back()
};

// `weight` must have the dimensions `tail` behind [out], or [bases, out] if the
// weights are binary. Gives the number of output channels.
Result<int64_t> CheckWeight(const NodeContext& node, bool binary,
                            const Shape& tail) {
  const Constant& weight = *node.constant("weight");
  const size_t lead = binary ? 2 : 1;
  auto error = [&](const std::string& message) {
    return node.Error("/constants/weight", message);
  };
  if (binary != (weight.type() != DataType::kFloat32)) {
    return error(binary ? "must be bipolar or unipolar, not float32"
                        : "must be float32");
  }
  const Shape& shape = weight.shape();
  if (shape.size() != lead + tail.size() ||
      !std::equal(tail.begin(), tail.end(), shape.begin() + lead)) {
    return error("is " + ShapeText(shape) + ", but must be " +
                 (binary ? "bases x out x " : "out x ") + ShapeText(tail));
  }
  auto bytes = ByteCount(weight.info());
  if (!bytes.ok()) return error(bytes.status().message());
  auto taps = ElementCount(tail);
  const bool integer = IsInteger(node.input(0).type);
  if (!taps.ok() || *taps > (integer ? kMostIntegerTaps : kMostTaps)) {
    return error(integer ? "more than 2^23 weights meet one output of integers"
                         : "more than 2^24 weights meet one output");
  }
  return shape[lead - 1];
}

// Constants that only binary products have.
Status CheckEpilogue(const NodeContext& node, int64_t channels) {
  const int64_t bases = node.constant("weight")->shape()[0];
  const Constant* alpha = node.constant("alpha");
  if (alpha != nullptr && alpha->shape().size() == 1) {
    if (Status s = CheckConstant(node, "alpha", DataType::kFloat32, {bases});
        !s.ok()) {
      return s;
    }
  } else if (Status s = CheckConstant(node, "alpha", DataType::kFloat32,
                                      {bases, channels});
             !s.ok()) {
    return s;
  }
  if (Status s = CheckConstant(node, "beta", DataType::kFloat32,
                               {static_cast<int64_t>(node.inputs().size())});
      !s.ok()) {
    return s;
  }
  for (const char* role : {"mul", "add", "threshold"}) {
    if (Status s = CheckPerChannel(node, role, channels); !s.ok()) return s;
  }
  return Status();
}

Result<Product> InferConvProduct(const NodeContext& node, bool binary) {
  auto size = InferWindow(node);
  if (!size.ok()) return size.status();
  const int64_t group = node.Int("group");
  const int64_t in_channels = node.input(0).shape[3];
  if (group < 1 || in_channels % group != 0) {
    return node.Error("/attributes/group",
                      std::to_string(group) + " does not divide " +
                          std::to_string(in_channels) + " input channels");
  }
  const std::vector<int64_t>& kernel = node.Ints("kernel_shape");
  auto channels =
      CheckWeight(node, binary, {kernel[0], kernel[1], in_channels / group});
  if (!channels.ok()) return channels.status();
  if (*channels % group != 0) {
    return node.Error("/attributes/group",
                      std::to_string(group) + " does not divide " +
                          std::to_string(*channels) + " output channels");
  }
  return Product{{kBatch, size->first, size->second, *channels}, *channels};
}

Result<Product> InferGemmProduct(const NodeContext& node, bool binary) {
  Shape output = node.input(0).shape;
  auto channels = CheckWeight(node, binary, {output.back()});
  if (!channels.ok()) return channels.status();
  output.back() = *channels;
  return Product{std::move(output), *channels};
}

using ProductRule = Result<Product> (*)(const NodeContext&, bool);

Result<TensorInfo> InferBinaryProduct(const NodeContext& node,
                                      ProductRule rule) {
  if (Status s = RequireBits(node); !s.ok()) return s;
  auto product = rule(node, /*binary=*/true);
  if (!product.ok()) return product.status();
  if (Status s = CheckEpilogue(node, product->channels); !s.ok()) return s;
  const std::string& type = node.String("output_type");
  if (type == "float32") {
    if (node.constant("threshold") != nullptr) {
      return node.Error("/constants/threshold",
                        "only an output of bits has a threshold");
    }
    return TensorInfo{DataType::kFloat32, product->output};
  }
  if (type == "bipolar") {
    return TensorInfo{DataType::kBipolar, product->output};
  }
  if (type == "unipolar") {
    return TensorInfo{DataType::kUnipolar, product->output};
  }
  return node.Error("/attributes/output_type",
                    "must be \"float32\", \"bipolar\" or \"unipolar\"");
}

Result<TensorInfo> InferBinaryWeightProduct(const NodeContext& node,
                                            ProductRule rule) {
  if (Status s = RequireFloatOrInteger(node); !s.ok()) return s;
  auto product = rule(node, /*binary=*/true);
  if (!product.ok()) return product.status();
  if (Status s = CheckEpilogue(node, product->channels); !s.ok()) return s;
  return TensorInfo{DataType::kFloat32, product->output};
}

Result<TensorInfo> InferFloatProduct(const NodeContext& node,
                                     ProductRule rule) {
  if (Status s = RequireFloat(node); !s.ok()) return s;
  auto product = rule(node, /*binary=*/false);
  if (!product.ok()) return product.status();
  if (Status s =
          CheckConstant(node, "bias", DataType::kFloat32, {product->channels});
      !s.ok()) {
    return s;
  }
  return TensorInfo{DataType::kFloat32, product->output};
}

}  // namespace

Result<TensorInfo> InferBinaryConv(const NodeContext& node) {
  auto output = InferBinaryProduct(node, InferConvProduct);
  if (!output.ok()) return output;
  const int64_t pad_value = node.Int("pad_value");
  const bool bipolar = node.input(0).type == DataType::kBipolar;
  if (pad_value < (bipolar ? -1 : 0) || pad_value > 1) {
    return node.Error("/attributes/pad_value",
                      bipolar ? "must be -1, 0 or 1" : "must be 0 or 1");
  }
  return output;
}

Result<TensorInfo> InferBinaryGemm(const NodeContext& node) {
  return InferBinaryProduct(node, InferGemmProduct);
}

Result<TensorInfo> InferBinaryWeightConv(const NodeContext& node) {
  return InferBinaryWeightProduct(node, InferConvProduct);
}

Result<TensorInfo> InferBinaryWeightGemm(const NodeContext& node) {
  return InferBinaryWeightProduct(node, InferGemmProduct);
}

Result<TensorInfo> InferConv(const NodeContext& node) {
  return InferFloatProduct(node, InferConvProduct);
}

Result<TensorInfo> InferGemm(const NodeContext& node) {
  return InferFloatProduct(node, InferGemmProduct);
}

}  // namespace bqengine
