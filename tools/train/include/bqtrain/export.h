// From trained modules to a network that libbqengine runs.
#ifndef BQTRAIN_EXPORT_H_
#define BQTRAIN_EXPORT_H_

#include <torch/torch.h>

#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/status.h"

namespace bqtrain {

struct ExportOptions {
  std::string name = "network";
  // What forward() takes, without the batch: {channels, height, width} or
  // {features}.
  std::vector<int64_t> input_shape = {};
  // How pixels become that input; see bqengine/graph.h.
  bqengine::Preprocess preprocess = {};
  std::vector<std::string> labels = {};
};

// The function that `network` computes in evaluation, as a graph: write it with
// bqengine::WriteGraph, or run it with bqengine::Model::FromGraph. It knows
// BinaryConv2d, BinaryLinear, and torch's Conv2d (zero padding), Linear,
// BatchNorm1d, BatchNorm2d, ReLU, PReLU, Hardtanh, MaxPool2d, AvgPool2d,
// AdaptiveAvgPool2d (to 1 x 1), Flatten, Dropout (which does nothing), and
// Sequential among them. The graph is channels-last; what torch flattens is
// put in that order, so that a network that ends in Flatten gives its outputs
// in the order of rows, columns, channels.
//
// The engine computes batch norms as x * mul + add. torch's own round in
// another way, so that a sign behind one may be another where x is almost
// exactly at its threshold.
//
// kUnsupported names the first module that it does not know, kInvalidArgument a
// network whose shapes do not fit the input. Parameters must be float32 on the
// CPU. Throws what torch throws if memory ends.
bqengine::Result<bqengine::Graph> ExportSequential(
    const torch::nn::Sequential& network, const ExportOptions& options);

}  // namespace bqtrain

#endif  // BQTRAIN_EXPORT_H_
