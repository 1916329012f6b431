#include "graph_writer.h"

#include <span>
#include <utility>

#include "bqengine/quantize.h"

namespace bqtrain {
namespace {

using bqengine::Constant;
using bqengine::DataType;
using bqengine::Node;
using torch::Tensor;

Tensor PutInOrder(const Tensor& weight, const std::vector<int64_t>& columns) {
  if (columns.empty()) return weight;
  return weight.index_select(-1, torch::tensor(columns));
}

// Values of two kinds, -1 and 1 or 0 and 1.
Constant BitConstant(const Tensor& values, DataType encoding) {
  const Tensor dense = values.contiguous();
  const std::span<const float> span(dense.data_ptr<float>(),
                                    static_cast<size_t>(dense.numel()));
  const float between = encoding == DataType::kBipolar ? 0.0f : 0.5f;
  auto constant = bqengine::quantize::BinarizeToBits(span, dense.sizes().vec(),
                                                     between, encoding);
  TORCH_CHECK(constant.ok(), constant.status().message());
  return *std::move(constant);
}

}  // namespace

Constant FloatConstant(const Tensor& values) {
  const Tensor dense = values.detach().contiguous();
  const float* data = dense.data_ptr<float>();
  return Constant::Floats(dense.sizes().vec(), {data, data + dense.numel()});
}

Tensor ChannelsLastWeights(const Tensor& weight) {
  if (weight.dim() < 4) return weight;
  return weight.movedim(-3, -1);
}

void GraphWriter::Add(Node node,
                      const std::map<std::string, Constant>& constants) {
  node.constants.clear();
  for (const auto& [role, constant] : constants) {
    const std::string name = node.name + "." + role;
    graph_->constants[name] = constant;
    node.constants[role] = name;
  }
  graph_->nodes.push_back(std::move(node));
}

std::vector<std::string> GraphWriter::AddBinarize(const Node& node,
                                                  const BinaryLayer& layer) {
  const bool unipolar =
      layer.quantization().activations == ActivationMethod::kUnipolar;
  const std::vector<float> thresholds = layer.ActivationThresholds();
  std::vector<std::string> names;
  for (size_t n = 0; n < thresholds.size(); ++n) {
    const std::string name =
        node.name + "/bits" +
        (thresholds.size() > 1 ? std::to_string(n) : std::string());
    const std::string encoding = unipolar ? "unipolar" : "bipolar";
    std::map<std::string, Constant> constants;
    if (thresholds[n] != 0) {
      constants["threshold"] = Constant::Floats({1}, {thresholds[n]});
    }
    Add({.name = name,
         .op = "Binarize",
         .inputs = node.inputs,
         .outputs = {name},
         .constants = {},
         .attributes = {{"encoding", encoding}}},
        constants);
    names.push_back(name);
  }
  return names;
}

void GraphWriter::AddLayer(const Node& node, const BinaryLayer& layer,
                           const std::vector<int64_t>& columns) {
  const Quantization& q = layer.quantization();
  std::map<std::string, Constant> constants;
  if (q.weights == WeightMethod::kFloat) {
    constants["weight"] = FloatConstant(
        ChannelsLastWeights(PutInOrder(layer.weight.detach(), columns)));
    if (layer.bias.defined()) constants["bias"] = FloatConstant(layer.bias);
    Add(node, constants);
    return;
  }
  const BinaryLayer::Bases bases = layer.WeightBases();
  constants["weight"] =
      BitConstant(ChannelsLastWeights(PutInOrder(bases.bits, columns)),
                  q.weights == WeightMethod::kUnipolar ? DataType::kUnipolar
                                                       : DataType::kBipolar);
  if (bases.alpha.defined()) constants["alpha"] = FloatConstant(bases.alpha);
  if (const Tensor shift = layer.OutputShift(); shift.defined()) {
    constants["add"] = FloatConstant(shift);
  }
  Node product = node;
  if (q.activations == ActivationMethod::kFloat) {
    product.op = "BinaryWeight" + node.op;
  } else {
    product.op = "Binary" + node.op;
    product.inputs = AddBinarize(node, layer);
    if (q.activations == ActivationMethod::kAbcNet) {
      constants["beta"] = FloatConstant(layer.beta);
    }
  }
  Add(std::move(product), constants);
}

}  // namespace bqtrain
