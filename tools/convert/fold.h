// Evaluates ONNX nodes whose inputs are all constants: what exporters leave of
// shapes and of weights that a layer binarizes each time it runs.
#ifndef BQENGINE_TOOLS_CONVERT_FOLD_H_
#define BQENGINE_TOOLS_CONVERT_FOLD_H_

#include <string>
#include <vector>

#include "array.h"
#include "source_model.h"

namespace bqengine::convert {

// Inputs in the order of the node; nullptr where one is left out.
using FoldInputs = std::vector<const Array*>;

bool CanFold(const SourceNode& node);

// True for ops whose result at a place depends on the operands at this place
// only, so that they may be applied to the values of step functions.
bool IsElementwise(const SourceNode& node);

// The first output of `node`. Throws ConvertError. Precondition: CanFold.
Array Fold(const SourceNode& node, const FoldInputs& inputs);

// The input at `i`, or the attribute that held the same numbers in older
// opsets; empty if neither is there.
std::vector<int64_t> IntsOf(const SourceNode& node, const FoldInputs& inputs,
                            size_t i, const std::string& attribute);

// BipolarQuant (QONNX and Brevitas): +scale where x >= 0, -scale elsewhere.
bool IsBipolarQuant(const SourceNode& node);

// A constant that is computed may have so many elements, or as many as the one
// it comes from: a small file must not fill the memory.
inline constexpr int64_t kMaxFolded = int64_t{1} << 24;

// Throws if one of `shape`, from constants of `from` elements, is too large.
void CheckFolded(const Shape& shape, int64_t from);

// Parts of Fold: false if the op is none of theirs.
bool FoldElementwise(const SourceNode& node, const FoldInputs& inputs,
                     Array* out);
bool FoldShape(const SourceNode& node, const FoldInputs& inputs, Array* out);

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_FOLD_H_
