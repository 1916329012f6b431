// Ops with float activations, for kOps in cpu_backend.cc.
#ifndef BACKENDS_CPU_FLOAT_OPS_H_
#define BACKENDS_CPU_FLOAT_OPS_H_

#include <memory>

#include "cpu_backend.h"

namespace bqengine::backends::cpu {

// float_product.cc
std::unique_ptr<Kernel> CompileConv(const NodeView& node, Target target);
std::unique_ptr<Kernel> CompileGemm(const NodeView& node, Target target);

// binary_weight.cc
std::unique_ptr<Kernel> CompileBinaryWeightConv(const NodeView& node,
                                                Target target);
std::unique_ptr<Kernel> CompileBinaryWeightGemm(const NodeView& node,
                                                Target target);

// float_pool.cc
std::unique_ptr<Kernel> CompileMaxPool(const NodeView& node, Target target);
std::unique_ptr<Kernel> CompileAveragePool(const NodeView& node, Target target);
std::unique_ptr<Kernel> CompileGlobalAveragePool(const NodeView& node,
                                                 Target target);

// elementwise.cc
std::unique_ptr<Kernel> CompileBatchNormalization(const NodeView& node,
                                                  Target target);
std::unique_ptr<Kernel> CompileAdd(const NodeView& node, Target target);
std::unique_ptr<Kernel> CompileMul(const NodeView& node, Target target);
std::unique_ptr<Kernel> CompileRelu(const NodeView& node, Target target);
std::unique_ptr<Kernel> CompilePRelu(const NodeView& node, Target target);
std::unique_ptr<Kernel> CompileClip(const NodeView& node, Target target);
std::unique_ptr<Kernel> CompileFloor(const NodeView& node, Target target);

// softmax.cc
std::unique_ptr<Kernel> CompileSoftmax(const NodeView& node, Target target);

}  // namespace bqengine::backends::cpu

#endif  // BACKENDS_CPU_FLOAT_OPS_H_
