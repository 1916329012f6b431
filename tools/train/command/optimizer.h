// Optimizers over a network's parameters, and how their rate goes.
#ifndef BQENGINE_TOOLS_TRAIN_COMMAND_OPTIMIZER_H_
#define BQENGINE_TOOLS_TRAIN_COMMAND_OPTIMIZER_H_

#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "bqtrain/network.h"
#include "train/command/options.h"

namespace bqengine::train {

// The learning rate's factor at `step` of `steps`: "constant" 1; "cosine" from
// 1 to 0; "step" 1, from half of the steps 1/10, from three quarters 1/100;
// "one-cycle" (arXiv:1708.07120) up from 1/25 to 1 in three tenths of the
// steps, then a cosine down to 1/10000.
double ScheduleFactor(const std::string& schedule, int64_t step, int64_t steps);

class Optimizer {
 public:
  Optimizer(bqtrain::NetworkImpl* network, const Options& options);

  // One step at `factor` times the learning rate, from the gradients at hand;
  // then weights are clipped, as the method wants.
  void Step(double factor);
  void ZeroGradients() { optimizer_->zero_grad(); }
  double learning_rate() const { return learning_rate_; }
  torch::optim::Optimizer& torch() { return *optimizer_; }

 private:
  bqtrain::NetworkImpl* network_;
  double learning_rate_;
  std::vector<double> scales_;  // of each parameter group
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
};

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_COMMAND_OPTIMIZER_H_
