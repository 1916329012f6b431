#include <algorithm>
#include <string>
#include <string_view>

#include "graph/shape_rules.h"
#include "post_steps.h"

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

// Constants that only binary products have, but those of `post`.
Status CheckEpilogue(const NodeContext& node, int64_t channels,
                     size_t activation_bases) {
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
                               {static_cast<int64_t>(activation_bases)});
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

// Step `i` of `post` by its name, with its constant.
Status CheckPostStep(const NodeContext& node, std::string_view step, size_t i,
                     int64_t channels) {
  const char* role = backends::kPostRoles[i];
  const std::string path = "/constants/" + std::string(role);
  const bool takes_constant =
      step == "PRelu" || step == "Clip" || step == "Add" || step == "Mul";
  const std::string name =
      "step " + std::to_string(i) + ", '" + std::string(step) + "', ";
  if (!takes_constant && step != "Relu" && step != "Residual") {
    return node.Error("/attributes/post", name + "is unknown");
  }
  if (takes_constant != (node.constant(role) != nullptr)) {
    return takes_constant
               ? node.Error("/constants", name + "needs the constant '" +
                                              std::string(role) + "'")
               : node.Error(path, name + "takes no constant");
  }
  return step == "Clip" ? CheckConstant(node, role, DataType::kFloat32, {2})
                        : CheckPerChannel(node, role, channels);
}

// `output` is the shape of the product.
Status CheckPost(const NodeContext& node, const Product& product) {
  const auto steps = backends::SplitPost(node.String("post"));
  if (steps.size() > backends::kMostPostSteps) {
    return node.Error(
        "/attributes/post",
        "has " + std::to_string(steps.size()) + " steps, but at most " +
            std::to_string(backends::kMostPostSteps) + " are allowed");
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    if (Status s = CheckPostStep(node, steps[i], i, product.channels);
        !s.ok()) {
      return s;
    }
  }
  for (size_t i = steps.size(); i < backends::kMostPostSteps; ++i) {
    if (node.constant(backends::kPostRoles[i]) != nullptr) {
      return node.Error(
          "/constants/" + std::string(backends::kPostRoles[i]),
          "'post' has only " + std::to_string(steps.size()) + " steps");
    }
  }
  if (!backends::HasResidual(steps)) return Status();
  if (std::count(steps.begin(), steps.end(), "Residual") > 1) {
    return node.Error("/attributes/post", "has more than one residual");
  }
  const TensorInfo wanted = {DataType::kFloat32, product.output};
  const TensorInfo& residual = node.inputs().back();
  if (residual != wanted) {
    return node.Error(
        "/inputs/" + std::to_string(node.inputs().size() - 1),
        "the residual must be float32, " + ShapeText(wanted.shape) + ", not " +
            DataTypeName(residual.type) + ", " + ShapeText(residual.shape));
  }
  return Status();
}

// kFloat32 for a name that is none of bits.
DataType OutputType(const NodeContext& node) {
  const std::string& type = node.String("output_type");
  return type == "bipolar"    ? DataType::kBipolar
         : type == "unipolar" ? DataType::kUnipolar
                              : DataType::kFloat32;
}

// Types of the outputs; and the threshold, which only bits have.
Status CheckOutputType(const NodeContext& node) {
  const bool bits = OutputType(node) != DataType::kFloat32;
  if (!bits && node.String("output_type") != "float32") {
    return node.Error("/attributes/output_type",
                      "must be \"float32\", \"bipolar\" or \"unipolar\"");
  }
  if (!bits && node.node().outputs.size() == 2) {
    return node.Error("/attributes/output_type",
                      "the second output must be bipolar or unipolar");
  }
  if (!bits && node.constant("threshold") != nullptr) {
    return node.Error("/constants/threshold",
                      "only an output of bits has a threshold");
  }
  return Status();
}

using ProductRule = Result<Product> (*)(const NodeContext&, bool);

Result<TensorInfo> InferBinaryProduct(const NodeContext& node,
                                      ProductRule rule) {
  const size_t bases = ActivationBases(node);
  if (bases == 0) return node.Error("/inputs", "only a residual is there");
  if (Status s = RequireBits(node, bases); !s.ok()) return s;
  auto product = rule(node, /*binary=*/true);
  if (!product.ok()) return product.status();
  if (Status s = CheckEpilogue(node, product->channels, bases); !s.ok()) {
    return s;
  }
  if (Status s = CheckPost(node, *product); !s.ok()) return s;
  if (Status s = CheckOutputType(node); !s.ok()) return s;
  const bool floats_first = node.node().outputs.size() == 2;
  return TensorInfo{floats_first ? DataType::kFloat32 : OutputType(node),
                    product->output};
}

Result<TensorInfo> InferBinaryWeightProduct(const NodeContext& node,
                                            ProductRule rule) {
  if (Status s = RequireFloatOrInteger(node); !s.ok()) return s;
  auto product = rule(node, /*binary=*/true);
  if (!product.ok()) return product.status();
  if (Status s = CheckEpilogue(node, product->channels, 1); !s.ok()) return s;
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

size_t ActivationBases(const NodeContext& node) {
  const bool residual =
      backends::HasResidual(backends::SplitPost(node.String("post")));
  return node.inputs().size() - (residual ? 1 : 0);
}

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

Result<TensorInfo> InferSecondOfBinaryProduct(const NodeContext& node,
                                              const TensorInfo& first) {
  return TensorInfo{OutputType(node), first.shape};
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
