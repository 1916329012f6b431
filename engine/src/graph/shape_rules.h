// How each op's output type and shape follow from its inputs. Each rule also
// checks everything about the node that kernels take for granted: after it, an
// op's shapes, attributes and constants are consistent and its sizes do not
// overflow.
#ifndef ENGINE_SRC_GRAPH_SHAPE_RULES_H_
#define ENGINE_SRC_GRAPH_SHAPE_RULES_H_

#include "graph/op_schema.h"

namespace bqengine {

// shape_rules_product.cc: convolutions and matrix products.
Result<TensorInfo> InferBinaryConv(const NodeContext& node);
Result<TensorInfo> InferBinaryGemm(const NodeContext& node);
Result<TensorInfo> InferBinaryWeightConv(const NodeContext& node);
Result<TensorInfo> InferBinaryWeightGemm(const NodeContext& node);
Result<TensorInfo> InferConv(const NodeContext& node);
Result<TensorInfo> InferGemm(const NodeContext& node);
// BinaryConv and BinaryGemm with two outputs: the bits.
Result<TensorInfo> InferSecondOfBinaryProduct(const NodeContext& node,
                                              const TensorInfo& first);

// shape_rules.cc: everything else.
Result<TensorInfo> InferBatchNormalization(const NodeContext& node);
Result<TensorInfo> InferBinarize(const NodeContext& node);
Result<TensorInfo> InferConcat(const NodeContext& node);
Result<TensorInfo> InferElementwise(const NodeContext& node);
Result<TensorInfo> InferFlatten(const NodeContext& node);
Result<TensorInfo> InferGlobalAveragePool(const NodeContext& node);
Result<TensorInfo> InferPRelu(const NodeContext& node);
Result<TensorInfo> InferPad(const NodeContext& node);
Result<TensorInfo> InferPool(const NodeContext& node);
Result<TensorInfo> InferReshape(const NodeContext& node);
Result<TensorInfo> InferSoftmax(const NodeContext& node);
Result<TensorInfo> InferTranspose(const NodeContext& node);
Result<TensorInfo> InferUnary(const NodeContext& node);

// ------------------------------------------------- shared by the rules above

// "1x28x28x64", with "N" for the batch.
std::string ShapeText(const Shape& shape);

// kernel_shape, strides, pads and (if the op has them) dilations of a window
// over [batch, h, w, ...]; gives the output height and width.
Result<std::pair<int64_t, int64_t>> InferWindow(const NodeContext& node);

// Every input is float32; or 8-bit integers, too; or each of the first `count`
// are bits, of one type and shape.
Status RequireFloat(const NodeContext& node);
Status RequireFloatOrInteger(const NodeContext& node);
Status RequireBits(const NodeContext& node, size_t count);

// Of BinaryConv and BinaryGemm: inputs that are activations, and no residual.
size_t ActivationBases(const NodeContext& node);

// The constant in `role`, if there is one, is float32 of shape [1] or
// [channels].
Status CheckPerChannel(const NodeContext& node, const char* role,
                       int64_t channels);

// The constant in `role`, if there is one, is of `type` and `shape`.
Status CheckConstant(const NodeContext& node, const char* role, DataType type,
                     const Shape& shape);

}  // namespace bqengine

#endif  // ENGINE_SRC_GRAPH_SHAPE_RULES_H_
