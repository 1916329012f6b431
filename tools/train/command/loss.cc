#include "train/command/loss.h"

namespace bqengine::train {

torch::Tensor Loss(const std::string& name, const torch::Tensor& scores,
                   const torch::Tensor& labels) {
  if (name == "cross-entropy") {
    return torch::nn::functional::cross_entropy(scores, labels);
  }
  const torch::Tensor targets =
      torch::full_like(scores, -1).scatter_(1, labels.unsqueeze(1), 1);
  return (1 - scores * targets).clamp_min(0).square().mean();
}

}  // namespace bqengine::train
