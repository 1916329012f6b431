// What training makes small.
#ifndef BQENGINE_TOOLS_TRAIN_COMMAND_LOSS_H_
#define BQENGINE_TOOLS_TRAIN_COMMAND_LOSS_H_

#include <torch/torch.h>

#include <string>

namespace bqengine::train {

// The mean over a batch of scores [N, classes] and labels [N]: "cross-entropy"
// of softmax, or "square-hinge", that of BinaryConnect and BNN: max(0, 1 - s)^2
// for the right class, max(0, 1 + s)^2 for the others, and their mean.
torch::Tensor Loss(const std::string& name, const torch::Tensor& scores,
                   const torch::Tensor& labels);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_COMMAND_LOSS_H_
