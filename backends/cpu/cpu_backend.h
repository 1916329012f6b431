// The cpu backend: Highway kernels, one registry entry per instruction set.
#ifndef BACKENDS_CPU_CPU_BACKEND_H_
#define BACKENDS_CPU_CPU_BACKEND_H_

#include <memory>
#include <span>

#include "bqengine/backend.hpp"
#include "kernels/targets.h"

namespace bqengine::backends::cpu {

using backend::Kernel;
using backend::NodeView;
using backend::RunContext;
using backend::TensorView;
using kernels::Target;

// How this backend runs one op. To add an op, write its Compile function in a
// file of its own and add a line to kOps in cpu_backend.cc.
struct Op {
  const char* name;
  // Packs the weights for `target`. Throws backend::Error.
  std::unique_ptr<Kernel> (*compile)(const NodeView& node, Target target);
};

}  // namespace bqengine::backends::cpu

#endif  // BACKENDS_CPU_CPU_BACKEND_H_
