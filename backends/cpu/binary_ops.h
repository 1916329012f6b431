// The ops on bits; each in a file of its own.
#ifndef BACKENDS_CPU_BINARY_OPS_H_
#define BACKENDS_CPU_BINARY_OPS_H_

#include <memory>

#include "cpu_backend.h"

namespace bqengine::backends::cpu {

std::unique_ptr<Kernel> CompileBinarize(const NodeView& node, Target target);
std::unique_ptr<Kernel> CompileBinaryConv(const NodeView& node, Target target);
std::unique_ptr<Kernel> CompileBinaryGemm(const NodeView& node, Target target);
std::unique_ptr<Kernel> CompileBinaryMaxPool(const NodeView& node,
                                             Target target);

}  // namespace bqengine::backends::cpu

#endif  // BACKENDS_CPU_BINARY_OPS_H_
