// The ops of an architecture as modules: how each computes, and what it leaves
// in the exported graph.
#ifndef BQENGINE_TOOLS_TRAIN_SRC_OPERATIONS_H_
#define BQENGINE_TOOLS_TRAIN_SRC_OPERATIONS_H_

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "bqengine/graph.h"
#include "bqtrain/quantization.h"
#include "graph_writer.h"

namespace bqtrain {

// Images are [B, C, H, W] to these modules, in memory channels-last, as the
// engine has them.
class Operation : public torch::nn::Module {
 public:
  virtual torch::Tensor Forward(const std::vector<torch::Tensor>& inputs) = 0;
  // Adds `node`, the one that the module was made from.
  virtual void Export(const bqengine::Node& node, GraphWriter* writer) const {
    writer->Add(node);
  }
};

// A Conv or Gemm; `layer` is its only module.
class LayerOperation : public Operation {
 public:
  explicit LayerOperation(std::shared_ptr<BinaryLayer> layer);
  torch::Tensor Forward(const std::vector<torch::Tensor>& inputs) override;
  void Export(const bqengine::Node& node, GraphWriter* writer) const override;
  const std::shared_ptr<BinaryLayer> layer;
};

// The module of a node; `input` is the shape of its first input, [batch, ..,
// C]. kUnsupported if no one trains such nodes. The graph has been checked.
bqengine::Result<std::shared_ptr<Operation>> MakeOperation(
    const bqengine::Graph& graph, const bqengine::Node& node,
    const bqengine::Shape& input, const Quantization& quantization);

}  // namespace bqtrain

#endif  // BQENGINE_TOOLS_TRAIN_SRC_OPERATIONS_H_
