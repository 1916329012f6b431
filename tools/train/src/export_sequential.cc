#include <map>
#include <typeinfo>
#include <utility>

#include "bqtrain/export.h"
#include "graph_writer.h"

namespace bqtrain {
namespace {

using bqengine::Attribute;
using bqengine::Constant;
using bqengine::Graph;
using bqengine::Node;
using bqengine::Result;
using bqengine::Shape;
using bqengine::Status;
using bqengine::StatusCode;
using torch::Tensor;
using Ints = std::vector<int64_t>;
using Attributes = std::map<std::string, Attribute>;
using Constants = std::map<std::string, Constant>;
namespace nn = torch::nn;

template <size_t N>
Ints ToInts(const torch::ExpandingArray<N>& values) {
  return {values->begin(), values->end()};
}

// Height and width padding on both sides, as the engine has it.
Ints Pads(const torch::ExpandingArray<2>& padding) {
  const auto [height, width] = *padding;
  return {height, width, height, width};
}

// Walks through a network's modules and writes nodes.
class SequentialExporter {
 public:
  SequentialExporter(const ExportOptions& options, Graph* graph)
      : graph_(graph), writer_(graph) {
    const Ints& shape = options.input_shape;
    bqengine::GraphInput input{.name = "input",
                               .info = {},
                               .layout = bqengine::Layout::kNHWC,
                               .preprocess = options.preprocess};
    input.info.shape = {bqengine::kBatch, shape.back()};
    if (shape.size() == 3) {
      input.info.shape = {bqengine::kBatch, shape[1], shape[2], shape[0]};
    }
    graph->inputs.push_back(std::move(input));
    tensor_ = "input";
  }

  Status Add(const std::string& name, const nn::Module& module);
  const std::string& tensor() const { return tensor_; }

 private:
  Status Emit(const std::string& name, const std::string& op,
              const Attributes& attributes = {},
              const Constants& constants = {});
  Status EmitLayer(const std::string& name, const BinaryLayer& layer,
                   const std::string& op, const Attributes& attributes);
  Status EmitFloatProduct(const std::string& name, const std::string& op,
                          const Tensor& weight, const Tensor& bias,
                          const Attributes& attributes);
  Status AddLayer(const std::string& name, const nn::Module& module,
                  bool* known);
  Status AddPool(const std::string& name, const nn::Module& module,
                 bool* known);
  Status AddElementwise(const std::string& name, const nn::Module& module,
                        bool* known);
  Status AddFlatten(const std::string& name, const nn::FlattenImpl& flatten);
  template <typename BatchNorm>
  Status AddBatchNorm(const std::string& name, const BatchNorm& module);
  Node MakeNode(const std::string& name, const std::string& op,
                const Attributes& attributes) const;
  // The shape of the tensor at hand; also finds what does not fit.
  Result<Shape> CurrentShape() const;

  Graph* graph_;
  GraphWriter writer_;
  std::string tensor_;
  // After Flatten: for each feature in the engine's order, where torch has it.
  Ints columns_;
};

Result<Shape> SequentialExporter::CurrentShape() const {
  if (graph_->nodes.empty()) return graph_->inputs[0].info.shape;
  Graph so_far = *graph_;
  so_far.outputs = {{.name = tensor_}};
  const auto shapes = bqengine::InferShapes(so_far);
  if (!shapes.ok()) {
    return Status(StatusCode::kInvalidArgument, shapes.status().message());
  }
  return shapes->at(tensor_).shape;
}

Node SequentialExporter::MakeNode(const std::string& name,
                                  const std::string& op,
                                  const Attributes& attributes) const {
  return {.name = name,
          .op = op,
          .inputs = {tensor_},
          .outputs = {name},
          .constants = {},
          .attributes = attributes};
}

Status SequentialExporter::Emit(const std::string& name, const std::string& op,
                                const Attributes& attributes,
                                const Constants& constants) {
  writer_.Add(MakeNode(name, op, attributes), constants);
  tensor_ = name;
  const auto shape = CurrentShape();
  return shape.ok() ? Status() : shape.status();
}

Status SequentialExporter::EmitLayer(const std::string& name,
                                     const BinaryLayer& layer,
                                     const std::string& op,
                                     const Attributes& attributes) {
  writer_.AddLayer(MakeNode(name, op, attributes), layer,
                   std::exchange(columns_, {}));
  tensor_ = name;
  const auto shape = CurrentShape();
  return shape.ok() ? Status() : shape.status();
}

Status SequentialExporter::EmitFloatProduct(const std::string& name,
                                            const std::string& op,
                                            const Tensor& weight,
                                            const Tensor& bias,
                                            const Attributes& attributes) {
  Tensor values = weight.detach();
  if (!columns_.empty()) {
    values = values.index_select(1, torch::tensor(columns_));
    columns_.clear();
  }
  Constants constants = {
      {"weight", FloatConstant(ChannelsLastWeights(values))}};
  if (bias.defined()) constants["bias"] = FloatConstant(bias);
  return Emit(name, op, attributes, constants);
}

Status SequentialExporter::AddLayer(const std::string& name,
                                    const nn::Module& module, bool* known) {
  *known = true;
  if (const auto* conv = module.as<BinaryConv2dImpl>()) {
    const BinaryConv2dOptions& o = conv->options;
    return EmitLayer(name, *conv, "Conv",
                     {{"kernel_shape", ToInts(o.kernel_size())},
                      {"strides", ToInts(o.stride())},
                      {"pads", ToInts(o.padding())},
                      {"dilations", ToInts(o.dilation())},
                      {"group", o.groups()}});
  }
  if (const auto* linear = module.as<BinaryLinearImpl>()) {
    return EmitLayer(name, *linear, "Gemm", {});
  }
  if (const auto* conv = module.as<nn::Conv2dImpl>()) {
    const auto& o = conv->options;
    const auto* padding = c10::get_if<torch::ExpandingArray<2>>(&o.padding());
    if (padding == nullptr ||
        !c10::holds_alternative<torch::enumtype::kZeros>(o.padding_mode())) {
      return Status(StatusCode::kUnsupported,
                    "module '" + name + "': only padding by numbers of zeros");
    }
    return EmitFloatProduct(name, "Conv", conv->weight, conv->bias,
                            {{"kernel_shape", ToInts(o.kernel_size())},
                             {"strides", ToInts(o.stride())},
                             {"pads", Pads(*padding)},
                             {"dilations", ToInts(o.dilation())},
                             {"group", o.groups()}});
  }
  if (const auto* linear = module.as<nn::LinearImpl>()) {
    return EmitFloatProduct(name, "Gemm", linear->weight, linear->bias, {});
  }
  *known = false;
  return Status();
}

Status SequentialExporter::AddPool(const std::string& name,
                                   const nn::Module& module, bool* known) {
  *known = true;
  if (const auto* pool = module.as<nn::MaxPool2dImpl>()) {
    const auto& o = pool->options;
    return Emit(name, "MaxPool",
                {{"kernel_shape", ToInts(o.kernel_size())},
                 {"strides", ToInts(o.stride())},
                 {"pads", Pads(o.padding())},
                 {"dilations", ToInts(o.dilation())},
                 {"ceil_mode", int64_t{o.ceil_mode()}}});
  }
  if (const auto* pool = module.as<nn::AvgPool2dImpl>()) {
    const auto& o = pool->options;
    if (o.divisor_override()) {
      return Status(StatusCode::kUnsupported,
                    "module '" + name + "': divisor_override");
    }
    return Emit(name, "AveragePool",
                {{"kernel_shape", ToInts(o.kernel_size())},
                 {"strides", ToInts(o.stride())},
                 {"pads", Pads(o.padding())},
                 {"ceil_mode", int64_t{o.ceil_mode()}},
                 {"count_include_pad", int64_t{o.count_include_pad()}}});
  }
  if (const auto* pool = module.as<nn::AdaptiveAvgPool2dImpl>()) {
    for (const auto& size : *pool->options.output_size()) {
      if (size != int64_t{1}) {
        return Status(StatusCode::kUnsupported,
                      "module '" + name + "': only to a size of 1 x 1");
      }
    }
    return Emit(name, "GlobalAveragePool");
  }
  *known = false;
  return Status();
}

template <typename BatchNorm>
Status SequentialExporter::AddBatchNorm(const std::string& name,
                                        const BatchNorm& module) {
  if (!module.running_mean.defined()) {
    return Status(StatusCode::kUnsupported,
                  "module '" + name + "': keeps no running mean");
  }
  const Tensor mean = module.running_mean;
  const bool affine = module.weight.defined();
  return Emit(
      name, "BatchNormalization",
      {{"epsilon", static_cast<float>(module.options.eps())}},
      {{"scale",
        FloatConstant(affine ? module.weight : torch::ones_like(mean))},
       {"bias", FloatConstant(affine ? module.bias : torch::zeros_like(mean))},
       {"mean", FloatConstant(mean)},
       {"var", FloatConstant(module.running_var)}});
}

Status SequentialExporter::AddElementwise(const std::string& name,
                                          const nn::Module& module,
                                          bool* known) {
  *known = true;
  if (module.as<nn::ReLUImpl>()) return Emit(name, "Relu");
  if (const auto* prelu = module.as<nn::PReLUImpl>()) {
    return Emit(name, "PRelu", {}, {{"slope", FloatConstant(prelu->weight)}});
  }
  if (const auto* clip = module.as<nn::HardtanhImpl>()) {
    const auto& o = clip->options;
    return Emit(name, "Clip",
                {{"min", static_cast<float>(o.min_val())},
                 {"max", static_cast<float>(o.max_val())}});
  }
  if (const auto* norm = module.as<nn::BatchNorm2dImpl>()) {
    return AddBatchNorm(name, *norm);
  }
  if (const auto* norm = module.as<nn::BatchNorm1dImpl>()) {
    return AddBatchNorm(name, *norm);
  }
  if (module.as<nn::DropoutImpl>() || module.as<nn::Dropout2dImpl>() ||
      module.as<nn::IdentityImpl>()) {
    return Status();
  }
  *known = false;
  return Status();
}

Status SequentialExporter::AddFlatten(const std::string& name,
                                      const nn::FlattenImpl& flatten) {
  if (flatten.options.start_dim() != 1 || flatten.options.end_dim() != -1) {
    return Status(StatusCode::kUnsupported,
                  "module '" + name + "': only of all but the batch");
  }
  const auto shape = CurrentShape();
  if (!shape.ok()) return shape.status();
  if (shape->size() == 4 && (*shape)[3] > 1 && (*shape)[1] * (*shape)[2] > 1) {
    const Tensor order = torch::arange((*shape)[1] * (*shape)[2] * (*shape)[3])
                             .view({(*shape)[3], (*shape)[1], (*shape)[2]})
                             .permute({1, 2, 0})
                             .contiguous();
    const int64_t* places = order.data_ptr<int64_t>();
    columns_.assign(places, places + order.numel());
  }
  return Emit(name, "Flatten");
}

Status SequentialExporter::Add(const std::string& name,
                               const nn::Module& module) {
  if (const auto* inner = module.as<nn::SequentialImpl>()) {
    for (const auto& child : inner->named_children()) {
      const Status s = Add(name + "." + child.key(), *child.value());
      if (!s.ok()) return s;
    }
    return Status();
  }
  if (const auto* flatten = module.as<nn::FlattenImpl>()) {
    return AddFlatten(name, *flatten);
  }
  if (module.as<BinaryLinearImpl>() || module.as<nn::LinearImpl>()) {
    // torch's would take columns of pixels, the engine's takes channels.
    const auto shape = CurrentShape();
    if (shape.ok() && shape->size() != 2) {
      return Status(
          StatusCode::kUnsupported,
          "module '" + name + "': a dense layer needs Flatten before it");
    }
  }
  bool known = false;
  for (const auto add :
       {&SequentialExporter::AddLayer, &SequentialExporter::AddPool,
        &SequentialExporter::AddElementwise}) {
    const bool ordered =
        columns_.empty() || module.as<BinaryLinearImpl>() ||
        module.as<nn::LinearImpl>() || module.as<nn::DropoutImpl>() ||
        module.as<nn::ReLUImpl>() || module.as<nn::HardtanhImpl>();
    if (!ordered) {
      return Status(StatusCode::kUnsupported,
                    "module '" + name +
                        "': per-channel ops between Flatten "
                        "and a dense layer must stand in front of Flatten");
    }
    const Status s = (this->*add)(name, module, &known);
    if (known || !s.ok()) return s;
  }
  return Status(
      StatusCode::kUnsupported,
      "module '" + name + "' (" + module.name() + ") cannot be exported");
}

}  // namespace

Result<Graph> ExportSequential(const nn::Sequential& network,
                               const ExportOptions& options) {
  const size_t rank = options.input_shape.size();
  if (rank != 1 && rank != 3) {
    return Status(
        StatusCode::kInvalidArgument,
        "input_shape must be {channels, height, width} or {features}");
  }
  Graph graph;
  graph.name = options.name;
  graph.producer = "bqtrain";
  graph.labels = options.labels;
  SequentialExporter exporter(options, &graph);
  for (const auto& child : network->named_children()) {
    const Status s = exporter.Add(child.key(), *child.value());
    if (!s.ok()) return s;
  }
  if (graph.nodes.empty()) {
    return Status(StatusCode::kInvalidArgument, "the network has no modules");
  }
  graph.outputs.push_back({.name = exporter.tensor()});
  if (const auto shapes = bqengine::InferShapes(graph); !shapes.ok()) {
    return Status(StatusCode::kInvalidArgument, shapes.status().message());
  }
  return graph;
}

}  // namespace bqtrain
