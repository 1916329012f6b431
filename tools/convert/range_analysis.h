// What values the float tensors of a graph can take, per channel: whether they
// can be exactly 0 is what decides how a sign is expressed.
#ifndef BQENGINE_TOOLS_CONVERT_RANGE_ANALYSIS_H_
#define BQENGINE_TOOLS_CONVERT_RANGE_ANALYSIS_H_

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "value_set.h"

namespace bqengine::convert {

// Of a graph that grows at its end while it is asked. Knows the ops that the
// converter emits; all else can be anything.
class RangeAnalysis {
 public:
  // One entry per innermost element, or fewer that repeat: those of an image's
  // channels also stand for the flattened image.
  using Sets = std::vector<ValueSet>;

  // `graph` must outlive this. It may keep so many bytes, and when they are
  // spent all else is Any: a small file can ask for much.
  explicit RangeAnalysis(const Graph& graph, size_t bytes = size_t{1} << 28)
      : graph_(graph), bytes_left_(bytes) {}

  const Sets& Of(const std::string& tensor);

  // The node that makes `tensor`; none for inputs.
  const Node* Producer(const std::string& tensor);

 private:
  void Index();
  Sets Evaluate(const Node& node);
  Sets Sum(const Node& node);
  Sets BinaryProduct(const Node& node);
  Sets FloatProduct(const Node& node);
  Sets Retold(const Node& node);
  Sets Joined(const Node& node);
  std::optional<std::set<std::string>> Origins(const std::string& tensor) const;
  // Empty where it is not known.
  Shape ShapeOf(const std::string& tensor);
  std::span<const float> Floats(const Node& node,
                                const std::string& role) const;

  const Graph& graph_;
  size_t indexed_ = 0;                      // nodes in producer_
  std::map<std::string, size_t> producer_;  // of tensors that nodes make
  std::map<std::string, Sets> known_;
  std::map<std::string, TensorInfo> shapes_;
  size_t bytes_left_;
  int inferences_left_ = 256;  // of all shapes, for the same reason
};

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_RANGE_ANALYSIS_H_
