// Nodes with the values of their constants, written to a graph one by one.
#ifndef BQENGINE_TOOLS_TRAIN_SRC_GRAPH_WRITER_H_
#define BQENGINE_TOOLS_TRAIN_SRC_GRAPH_WRITER_H_

#include <torch/torch.h>

#include <map>
#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "bqtrain/binary_modules.h"

namespace bqtrain {

// The values as they lie in memory, in the tensor's order of dimensions.
bqengine::Constant FloatConstant(const torch::Tensor& values);

// [.., O, I, KH, KW] to [.., O, KH, KW, I]; what has less than four dimensions
// stays.
torch::Tensor ChannelsLastWeights(const torch::Tensor& weight);

class GraphWriter {
 public:
  explicit GraphWriter(bqengine::Graph* graph) : graph_(graph) {}

  // Adds `node` with `constants`, by role, in place of those that it names.
  void Add(bqengine::Node node,
           const std::map<std::string, bqengine::Constant>& constants = {});

  // Adds what `layer` computes in evaluation: `node` is a Conv or Gemm with its
  // name, input, output and attributes. The columns of a dense layer are put in
  // the order `columns`, if that is not empty.
  void AddLayer(const bqengine::Node& node, const BinaryLayer& layer,
                const std::vector<int64_t>& columns = {});

 private:
  std::vector<std::string> AddBinarize(const bqengine::Node& node,
                                       const BinaryLayer& layer);

  bqengine::Graph* graph_;
};

}  // namespace bqtrain

#endif  // BQENGINE_TOOLS_TRAIN_SRC_GRAPH_WRITER_H_
