// A network made from an architecture: a module that trains, and exports.
#ifndef BQTRAIN_NETWORK_H_
#define BQTRAIN_NETWORK_H_

#include <torch/torch.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/status.h"
#include "bqtrain/binary_modules.h"

namespace bqtrain {

class NetworkImpl : public torch::nn::Module {
 public:
  // `architecture` holds float ops only, nodes in order of execution, and has
  // one float input and one output; `layers` says how each Conv and Gemm is
  // quantized, by node. Weights are random (torch::manual_seed). kInvalidModel
  // or kUnsupported name the node.
  static bqengine::Result<std::shared_ptr<NetworkImpl>> Make(
      const bqengine::Graph& architecture,
      const std::map<std::string, Quantization>& layers);
  ~NetworkImpl() override;

  // x as the graph's input: [B, H, W, C] or [B, K]. Gives [B, ...], too. In
  // evaluation signs switch where they do in the engine, for the parameters as
  // they were at the last call of eval().
  torch::Tensor forward(const torch::Tensor& x);
  void train(bool on = true) override;  // and eval()

  // The function of evaluation, with all values.
  bqengine::Graph Export() const;

  // Conv and Gemm in order of execution, by the name of their node.
  struct Layer {
    std::string name;
    std::shared_ptr<BinaryLayer> module;
  };
  const std::vector<Layer>& layers() const { return layers_; }

  // BinaryLayer::ClipWeights of all.
  void ClipWeights();

 private:
  struct Step;
  explicit NetworkImpl(bqengine::Graph architecture);

  bqengine::Graph architecture_;
  std::vector<Step> steps_;
  std::vector<Layer> layers_;
  size_t output_ = 0;  // the number of the result's tensor
};
TORCH_MODULE(Network);

}  // namespace bqtrain

#endif  // BQTRAIN_NETWORK_H_
