// Builds the bqengine graph node by node, and keeps account of how each
// activation lies in memory compared with how ONNX sees it.
#ifndef BQENGINE_TOOLS_CONVERT_GRAPH_BUILDER_H_
#define BQENGINE_TOOLS_CONVERT_GRAPH_BUILDER_H_

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "array.h"
#include "bqengine/graph.h"

namespace bqengine::convert {

// A tensor whose elements take two values only: `high` where source >=
// threshold, `low` elsewhere. Elementwise ops with scalars are applied to the
// two values instead of the tensor, so the encoding is decided when a consumer
// needs the bits: that emits Binarize and clears `source`.
struct TwoValued {
  float low = -1;
  float high = 1;
  std::string source;            // a float tensor laid out as the value
  std::vector<float> threshold;  // one, or one per innermost element
};

// Padding of height and width that has not been emitted: a convolution takes it
// in for nothing.
struct PendingPad {
  std::array<int64_t, 4> pads = {};  // top, left, bottom, right
  float value = 0;
};

// An activation. ONNX sees `shape`; in memory lie the dimensions of `logical`
// in the order `perm` (memory dimension i is logical dimension perm[i]), with
// all but the batch joined if the value is flattened. That a flattened image
// keeps its channels-last order saves moving it: whoever consumes it moves
// constants instead, at conversion time.
struct Value {
  Shape shape;
  Shape logical;  // shape, or that before flattening or before the pending pad
  std::vector<int> perm;
  std::string tensor;  // name in the graph; for two-valued ones maybe not yet
  DataType type = DataType::kFloat32;
  std::optional<TwoValued> two;
  std::optional<PendingPad> pad;

  bool flattened() const { return shape.size() == 2 && logical.size() > 2; }
  bool emitted() const { return !two || two->source.empty(); }
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

  // Adds a node with one output and returns the name of that tensor.
  std::string Emit(NodeSpec spec);

  void AddInput(GraphInput input);
  // Makes `value`, a float tensor, an output called `name`.
  void AddOutput(const Value& value, const std::string& name);

  // The value as bits; it must be two-valued and without a pending pad. If its
  // tensor has yet to be made, bit 1 will stand for the larger value.
  Value ToBits(const Value& value);
  // The value as plain floats, pending padding included.
  Value ToFloat(const Value& value);
  // Moves dimensions so that `perm` describes the memory, which for rank 2 is
  // ONNX's own order.
  Value ToOrder(const Value& value, const std::vector<int>& perm);
  // shape[0] must be kBatch, the elements of an item as many as before.
  Value Reshaped(const Value& value, const Shape& shape);

  Graph& graph() { return graph_; }

 private:
  std::string UniqueName(const std::string& wanted);
  void RenameTensor(const std::string& from, const std::string& to);
  Value EmitPad(const Value& value);
  Value Dequantized(const Value& bits);
  std::string EmitReshape(const std::string& tensor, const Shape& shape,
                          const std::string& name);

  Graph graph_;
  std::set<std::string> names_;
  std::map<std::string, int>
      copies_;  // how many of a name were asked for  // of tensors, which are
                // those of nodes too
  // Conversions of a value that several consumers share are made once.
  std::map<std::string, Value> made_;
};

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_GRAPH_BUILDER_H_
