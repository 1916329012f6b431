// Functions of one float tensor that take few values: what signs, comparisons
// and their combinations are.
#ifndef BQENGINE_TOOLS_CONVERT_STEP_FUNCTION_H_
#define BQENGINE_TOOLS_CONVERT_STEP_FUNCTION_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bqengine/graph.h"

namespace bqengine::convert {

// values[i] where thresholds[i - 1] <= source < thresholds[i]. Elementwise ops
// are applied to the values instead of the tensor, so that the encoding is
// decided when a consumer needs the bits: these are made one tensor for each
// threshold (a base), and `source` is cleared. Bit i is 1 from threshold i on,
// so that values[n] is the value where n bits are 1, and NaN counts as less
// than all thresholds.
struct StepFunction {
  std::vector<float> values;  // one more than thresholds
  // Each ascending from one to the next in every channel; equal ones leave a
  // value out there. One number, or one per innermost element.
  std::vector<std::vector<float>> thresholds;
  std::string source;                  // a float tensor laid out as the value
  std::vector<std::string> bits;       // if they are made
  DataType type = DataType::kBipolar;  // of the bits
  // The ONNX nodes whose sign of zero this depends on, for the report.
  std::vector<std::string> signs;

  size_t bases() const { return values.size() - 1; }
  bool emitted() const { return source.empty(); }
  bool rising() const;  // values, from one to the next
  bool falling() const;

  // Joins neighbours of one value; at least two stay.
  void JoinEqual();
};

// The function of the same source, or of the same bits, whose values `function`
// computes from those of the operands. Nothing if their sources differ, if
// their thresholds stand in another order from channel to channel, or if there
// would be more than kMostThresholds.
inline constexpr size_t kMostThresholds = 64;
std::optional<StepFunction> Combined(
    const std::vector<StepFunction>& operands,
    const std::function<float(const std::vector<float>&)>& function);

// Makes the operands functions of a common source: a tensor from which each
// comes by a chain of Add, Mul, Relu, Clip and Floor with constants. Thresholds
// are found by evaluating it, which `budget` limits: the number of ops. False,
// and nothing changes, if there is none.
using ProducerOf = std::function<const Node*(const std::string& tensor)>;
bool GiveCommonSource(const Graph& graph, const ProducerOf& producer_of,
                      std::vector<StepFunction>* operands, int64_t* budget);

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_STEP_FUNCTION_H_
