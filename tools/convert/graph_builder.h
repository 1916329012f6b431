// Builds the bqengine graph node by node, and keeps account of how each
// activation lies in memory compared with how ONNX sees it.
#ifndef BQENGINE_TOOLS_CONVERT_GRAPH_BUILDER_H_
#define BQENGINE_TOOLS_CONVERT_GRAPH_BUILDER_H_

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "array.h"
#include "bqengine/graph.h"
#include "convert.h"
#include "range_analysis.h"
#include "step_function.h"

namespace bqengine::convert {

// Padding of height and width that has not been emitted: a convolution takes it
// in for nothing.
struct PendingPad {
  std::array<int64_t, 4> pads = {};  // top, left, bottom, right
  float value = 0;
};

// Bits as a sum: offset + scale * sum_i beta[i] * bits[i]. No beta stands for
// ones.
struct SumOfBits {
  float offset = 0, scale = 1;
  std::vector<float> beta;
};
SumOfBits AsSum(const StepFunction& function);

// An activation. ONNX sees `shape`; in memory lie the dimensions of `logical`
// in the order `perm` (memory dimension i is logical dimension perm[i]), with
// all but the batch joined if the value is flattened. That a flattened image
// keeps its channels-last order saves moving it: whoever consumes it moves
// constants instead, at conversion time.
struct Value {
  Shape shape;
  Shape logical;  // shape, or that before flattening or before the pending pad
  std::vector<int> perm;
  std::string tensor;                // its name in the graph, or for its bits
  std::optional<StepFunction> step;  // few values
  std::optional<PendingPad> pad;

  bool flattened() const { return shape.size() == 2 && logical.size() > 2; }
  bool emitted() const { return !step || step->emitted(); }
};

std::vector<int> IdentityPerm(size_t rank);
// [0, 2, .., 1]: the order of images in bqengine.
std::vector<int> ChannelsLastPerm(size_t rank);
// The dimensions that lie in memory (before flattening).
Shape MemoryShape(const Value& value);
// For each element of an item in memory, where ONNX has it.
std::vector<int64_t> MemoryMap(const Value& value);
// Dimensions of size 1 can stand anywhere: whether `perm` moves any other.
bool MovesNothing(const Shape& shape, const std::vector<int>& perm);

class GraphBuilder {
 public:
  struct NodeSpec {
    std::string op;
    std::string name;  // of node and output tensor; made unique
    std::vector<std::string> inputs;
    std::map<std::string, Constant> constants;  // by role
    std::map<std::string, Attribute> attributes;
  };

  GraphBuilder() = default;
  GraphBuilder(const GraphBuilder&) = delete;  // the analysis refers to it
  GraphBuilder& operator=(const GraphBuilder&) = delete;

  // Adds a node with one output and returns the name of that tensor.
  std::string Emit(NodeSpec spec);

  void AddInput(GraphInput input);
  // Makes float tensors the outputs, under these names. To be called last.
  void AddOutputs(const std::vector<std::pair<std::string, Value>>& outputs);

  // The step function `value` as bits; without a pending pad. Values that
  // cannot come are left out. With `rising`, of values that fall from one to
  // the next the bits are made the other way round, if they have yet to be.
  Value ToBits(const Value& value, bool rising = false);
  // The value as plain floats, pending padding included.
  Value ToFloat(const Value& value);
  // Without pending padding, and a step function still where it can be one.
  Value WithoutPad(const Value& value);
  // Moves dimensions so that `perm` describes the memory, which for rank 2 is
  // ONNX's own order.
  Value ToOrder(const Value& value, const std::vector<int>& perm);
  // shape[0] must be kBatch, the elements of an item as many as before.
  Value Reshaped(const Value& value, const Shape& shape);

  // Applies `function`, string to string, to the tensor of the value, or to
  // each of its bases: a step function must have its bits.
  template <typename Function>
  static Value ForEachTensor(Value value, const Function& function) {
    if (!value.step) {
      value.tensor = function(value.tensor);
      return value;
    }
    for (std::string& bits : value.step->bits) bits = function(bits);
    return value;
  }

  Graph& graph() { return graph_; }
  const Node* Producer(const std::string& tensor) {
    return ranges_.Producer(tensor);
  }
  // What became of the signs, in the order in which their bits were made.
  const std::vector<SignReport>& signs() const { return signs_; }

 private:
  std::string UniqueName(const std::string& wanted);
  void RenameTensor(const std::string& from, const std::string& to);
  Value EmitPad(const Value& value);
  Value Dequantized(const Value& bits);
  // Leaves out values that cannot come; the source has so many innermost
  // elements.
  void Prune(StepFunction* function, size_t innermost);
  std::string EmitReshape(const std::string& tensor, const Shape& shape,
                          const std::string& name);

  Graph graph_;
  RangeAnalysis ranges_{graph_};
  std::vector<SignReport> signs_;
  int64_t prune_budget_ = int64_t{1} << 22;  // values and channels to look at
  std::set<std::string> names_;  // of tensors, which are those of nodes, too
  std::map<std::string, int> copies_;  // how many of a name were asked for
  // Conversions of a tensor that several consumers share are made once.
  std::map<std::string, std::string> made_;
};

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_GRAPH_BUILDER_H_
