#include "operations.h"

#include <functional>
#include <limits>
#include <map>
#include <string>
#include <utility>

namespace bqtrain {
namespace {

namespace F = torch::nn::functional;
using bqengine::Attribute;
using bqengine::Graph;
using bqengine::Node;
using bqengine::Result;
using bqengine::Shape;
using bqengine::Status;
using bqengine::StatusCode;
using torch::Tensor;
using Ints = std::vector<int64_t>;
using Tensors = std::vector<Tensor>;
using Made = Result<std::shared_ptr<Operation>>;

template <typename T>
T AttributeOr(const Node& node, const char* name, T otherwise) {
  const auto found = node.attributes.find(name);
  return found == node.attributes.end() ? otherwise
                                        : std::get<T>(found->second);
}

// Integers may stand for floats in a model file.
float FloatOr(const Node& node, const char* name, float otherwise) {
  const auto found = node.attributes.find(name);
  if (found == node.attributes.end()) return otherwise;
  if (const auto* i = std::get_if<int64_t>(&found->second)) {
    return static_cast<float>(*i);
  }
  return std::get<float>(found->second);
}

const Shape& ConstantShape(const Graph& graph, const Node& node,
                           const char* role) {
  return graph.constants.at(node.constants.at(role)).shape();
}

// Values per channel in the shape that meets activations.
Tensor PerChannel(const Tensor& values, const Tensor& x) {
  return x.dim() == 4 ? values.view({-1, 1, 1}) : values;
}

// Ops without parameters.
class FunctionOperation : public Operation {
 public:
  using Function = std::function<Tensor(const Tensors&)>;
  explicit FunctionOperation(Function function)
      : function_(std::move(function)) {}
  Tensor Forward(const Tensors& inputs) override { return function_(inputs); }

 private:
  Function function_;
};

Made FunctionOf(FunctionOperation::Function function) {
  return std::shared_ptr<Operation>(
      std::make_shared<FunctionOperation>(std::move(function)));
}

// Ops with one parameter per channel: `function` takes it in the shape that
// broadcasts.
class ValueOperation : public Operation {
 public:
  using Function = std::function<Tensor(const Tensor&, const Tensor&)>;
  ValueOperation(std::string role, const Shape& shape, double start,
                 Function function)
      : role_(std::move(role)), function_(std::move(function)) {
    value_ = register_parameter(role_, torch::full(shape, start));
  }
  Tensor Forward(const Tensors& inputs) override {
    return function_(inputs[0], PerChannel(value_, inputs[0]));
  }
  void Export(const Node& node, GraphWriter* writer) const override {
    writer->Add(node, {{role_, FloatConstant(value_)}});
  }

 private:
  std::string role_;
  Function function_;
  Tensor value_;
};

// In evaluation this is the engine's y = x * mul + add and not torch's own
// formula, so that a sign behind it sees the same bits.
class BatchNormOperation : public Operation {
 public:
  BatchNormOperation(int64_t channels, double epsilon) : epsilon_(epsilon) {
    scale_ = register_parameter("scale", torch::ones({channels}));
    bias_ = register_parameter("bias", torch::zeros({channels}));
    mean_ = register_buffer("mean", torch::zeros({channels}));
    var_ = register_buffer("var", torch::ones({channels}));
  }

  Tensor Forward(const Tensors& inputs) override {
    const Tensor& x = inputs[0];
    if (is_training()) {
      return torch::batch_norm(x, scale_, bias_, mean_, var_, true, kMomentum,
                               epsilon_, false);
    }
    const torch::NoGradGuard no_grad;
    const Tensor scale = scale_.to(torch::kDouble);
    const Tensor deviation = (var_.to(torch::kDouble) + epsilon_).sqrt();
    const Tensor mul = scale / deviation;
    const Tensor add = bias_ - mean_ * scale / deviation;
    return x * PerChannel(mul.to(x.scalar_type()), x) +
           PerChannel(add.to(x.scalar_type()), x);
  }

  void Export(const Node& node, GraphWriter* writer) const override {
    writer->Add(node, {{"scale", FloatConstant(scale_)},
                       {"bias", FloatConstant(bias_)},
                       {"mean", FloatConstant(mean_)},
                       {"var", FloatConstant(var_)}});
  }

 private:
  // Of the running mean and variance; torch's default.
  static constexpr double kMomentum = 0.1;
  const double epsilon_;
  Tensor scale_, bias_, mean_, var_;
};

Made MakeConv(const Graph& graph, const Node& node, const Shape& input,
              const Quantization& quantization) {
  const Shape& weight = ConstantShape(graph, node, "weight");  // [O, KH, KW, I]
  const auto pair = [&node](const char* name) {
    const Ints values = AttributeOr<Ints>(node, name, {1, 1});
    return torch::ExpandingArray<2>(values);
  };
  auto options =
      BinaryConv2dOptions(input[3], weight[0], {weight[1], weight[2]})
          .stride(pair("strides"))
          .dilation(pair("dilations"))
          .padding(AttributeOr<Ints>(node, "pads", {0, 0, 0, 0}))
          .groups(AttributeOr<int64_t>(node, "group", 1))
          .bias(node.constants.contains("bias"))
          .quantization(quantization);
  return std::shared_ptr<Operation>(std::make_shared<LayerOperation>(
      std::make_shared<BinaryConv2dImpl>(options)));
}

Made MakeGemm(const Graph& graph, const Node& node, const Shape&,
              const Quantization& quantization) {
  const Shape& weight = ConstantShape(graph, node, "weight");
  const auto options = BinaryLinearOptions(weight[1], weight[0])
                           .bias(node.constants.contains("bias"))
                           .quantization(quantization);
  return std::shared_ptr<Operation>(std::make_shared<LayerOperation>(
      std::make_shared<BinaryLinearImpl>(options)));
}

Made MakeBatchNorm(const Graph& graph, const Node& node, const Shape&,
                   const Quantization&) {
  return std::shared_ptr<Operation>(std::make_shared<BatchNormOperation>(
      ConstantShape(graph, node, "scale")[0], FloatOr(node, "epsilon", 1e-5f)));
}

Made MakeAdd(const Graph& graph, const Node& node, const Shape&,
             const Quantization&) {
  if (node.inputs.size() == 2) {
    return FunctionOf([](const Tensors& x) { return x[0] + x[1]; });
  }
  return std::shared_ptr<Operation>(std::make_shared<ValueOperation>(
      "value", ConstantShape(graph, node, "value"), 0.0,
      [](const Tensor& x, const Tensor& value) { return x + value; }));
}

Made MakeMul(const Graph& graph, const Node& node, const Shape&,
             const Quantization&) {
  if (node.inputs.size() == 2) {
    return FunctionOf([](const Tensors& x) { return x[0] * x[1]; });
  }
  return std::shared_ptr<Operation>(std::make_shared<ValueOperation>(
      "value", ConstantShape(graph, node, "value"), 1.0,
      [](const Tensor& x, const Tensor& value) { return x * value; }));
}

Made MakePRelu(const Graph& graph, const Node& node, const Shape&,
               const Quantization&) {
  return std::shared_ptr<Operation>(std::make_shared<ValueOperation>(
      "slope", ConstantShape(graph, node, "slope"), 0.25,
      [](const Tensor& x, const Tensor& slope) {
        return torch::where(x < 0, slope * x, x);
      }));
}

Made MakeRelu(const Graph&, const Node&, const Shape&, const Quantization&) {
  return FunctionOf([](const Tensors& x) { return torch::relu(x[0]); });
}

Made MakeClip(const Graph&, const Node& node, const Shape&,
              const Quantization&) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float low = FloatOr(node, "min", -kInfinity);
  const float high = FloatOr(node, "max", kInfinity);
  return FunctionOf(
      [low, high](const Tensors& x) { return x[0].clamp(low, high); });
}

Made MakeMaxPool(const Graph&, const Node& node, const Shape&,
                 const Quantization&) {
  const Ints kernel = AttributeOr<Ints>(node, "kernel_shape", {});
  const Ints strides = AttributeOr<Ints>(node, "strides", {1, 1});
  const Ints pads = AttributeOr<Ints>(node, "pads", {0, 0, 0, 0});
  const Ints dilations = AttributeOr<Ints>(node, "dilations", {1, 1});
  if (AttributeOr<int64_t>(node, "ceil_mode", 0) != 0) {
    return Status(StatusCode::kUnsupported, "ceil_mode is not trained");
  }
  const bool padded = pads != Ints{0, 0, 0, 0};
  return FunctionOf([=](const Tensors& x) {
    // F::pad copies, also where there is nothing to pad.
    const Tensor image =
        padded ? F::pad(x[0],
                        F::PadFuncOptions({pads[1], pads[3], pads[0], pads[2]})
                            .value(-std::numeric_limits<double>::infinity()))
               : x[0];
    return torch::max_pool2d(image, kernel, strides, {0, 0}, dilations);
  });
}

Made MakeAveragePool(const Graph&, const Node& node, const Shape&,
                     const Quantization&) {
  const Ints kernel = AttributeOr<Ints>(node, "kernel_shape", {});
  const Ints strides = AttributeOr<Ints>(node, "strides", {1, 1});
  const Ints pads = AttributeOr<Ints>(node, "pads", {0, 0, 0, 0});
  if (pads != Ints{0, 0, 0, 0} ||
      AttributeOr<int64_t>(node, "ceil_mode", 0) != 0) {
    return Status(StatusCode::kUnsupported,
                  "pads and ceil_mode of AveragePool are not trained");
  }
  return FunctionOf([=](const Tensors& x) {
    return torch::avg_pool2d(x[0], kernel, strides);
  });
}

Made MakeGlobalAveragePool(const Graph&, const Node&, const Shape&,
                           const Quantization&) {
  return FunctionOf([](const Tensors& x) {
    return x[0].mean({2, 3}, /*keepdim=*/true);
  });
}

// In the engine's order, so that a dense layer's weights are in it, too.
Made MakeFlatten(const Graph&, const Node&, const Shape&, const Quantization&) {
  return FunctionOf([](const Tensors& x) {
    const bool image = x[0].dim() == 4;
    return (image ? x[0].permute({0, 2, 3, 1}) : x[0])
        .reshape({x[0].size(0), -1});
  });
}

using Maker = Made (*)(const Graph&, const Node&, const Shape&,
                       const Quantization&);

const std::map<std::string, Maker>& Makers() {
  static const auto* const makers = new std::map<std::string, Maker>{
      {"Add", MakeAdd},
      {"AveragePool", MakeAveragePool},
      {"BatchNormalization", MakeBatchNorm},
      {"Clip", MakeClip},
      {"Conv", MakeConv},
      {"Flatten", MakeFlatten},
      {"Gemm", MakeGemm},
      {"GlobalAveragePool", MakeGlobalAveragePool},
      {"MaxPool", MakeMaxPool},
      {"Mul", MakeMul},
      {"PRelu", MakePRelu},
      {"Relu", MakeRelu},
  };
  return *makers;
}

}  // namespace

LayerOperation::LayerOperation(std::shared_ptr<BinaryLayer> l)
    : layer(register_module("layer", std::move(l))) {}

Tensor LayerOperation::Forward(const Tensors& inputs) {
  const bool dense_on_image = inputs[0].dim() == 4 && layer->weight.dim() == 2;
  if (!dense_on_image) return layer->forward(inputs[0]);
  return layer->forward(inputs[0].permute({0, 2, 3, 1})).permute({0, 3, 1, 2});
}

void LayerOperation::Export(const Node& node, GraphWriter* writer) const {
  writer->AddLayer(node, *layer);
}

Made MakeOperation(const Graph& graph, const Node& node, const Shape& input,
                   const Quantization& quantization) {
  const auto maker = Makers().find(node.op);
  if (maker == Makers().end()) {
    std::string names;
    for (const auto& [name, unused] : Makers()) {
      names += (names.empty() ? "" : ", ") + name;
    }
    return Status(StatusCode::kUnsupported,
                  "bq-train does not train " + node.op + ", only " + names);
  }
  return maker->second(graph, node, input, quantization);
}

}  // namespace bqtrain
