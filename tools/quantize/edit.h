// Changes of a graph: products that become binary.
#ifndef BQENGINE_TOOLS_QUANTIZE_EDIT_H_
#define BQENGINE_TOOLS_QUANTIZE_EDIT_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/quantize.h"

namespace bqengine::ptq {

// `wanted`, or something like it that `taken` does not hold; it does then.
std::string NewName(const std::string& wanted, std::set<std::string>* taken);

std::set<std::string> NodeNames(const Graph& graph);
std::set<std::string> TensorNames(const Graph& graph);

// Gives the node a constant of its own in that role.
void SetConstant(Graph* graph, Node* node, const std::string& role,
                 Constant value);

// What a product takes instead of its float input.
struct BinaryInputs {
  std::vector<std::string> bits;  // tensors; empty: the floats as they are
  std::vector<float> beta;        // of each
};

// Adds the nodes that make bits of `tensor` by each threshold; their tensors.
std::vector<std::string> AddBinarize(Graph* graph, const std::string& tensor,
                                     DataType encoding,
                                     const std::vector<float>& thresholds);

// `product` is a Conv or Gemm: the same with binary weights, and with binary
// inputs if there are any; without constants.
Node BinaryProduct(const Node& product, const BinaryInputs& inputs);

// Makes the float product at graph->nodes[node] binary. `add` has an entry for
// each output channel, or none. Constants that no node needs go.
void MakeBinary(Graph* graph, size_t node, const BinaryInputs& inputs,
                const quantize::Weights& weights, std::vector<float> add);

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_EDIT_H_
