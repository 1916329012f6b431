// The reference backend: every op, scalar, on one thread. What it computes is
// what the others are measured against.
#ifndef BACKENDS_REFERENCE_REFERENCE_BACKEND_H_
#define BACKENDS_REFERENCE_REFERENCE_BACKEND_H_

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "bqengine/backend.hpp"

namespace bqengine::backends::reference {

using backend::Kernel;
using backend::NodeView;
using backend::RunContext;
using backend::TensorView;

// How this backend runs one op. To add an op, write its Compile function in the
// file of its group and add a line to the table at that file's end.
struct Op {
  const char* name;
  // Throws backend::Error.
  std::unique_ptr<Kernel> (*compile)(const NodeView& node);
};

std::span<const Op> BinaryOps();
std::span<const Op> FloatOps();
std::span<const Op> DataMovementOps();

// A kernel from a function of RunContext, which holds what Compile found out.
template <typename Function>
std::unique_ptr<Kernel> MakeKernel(Function function,
                                   uint64_t workspace_bytes = 0) {
  class FunctionKernel : public Kernel {
   public:
    FunctionKernel(Function function, uint64_t workspace_bytes)
        : function_(std::move(function)), workspace_bytes_(workspace_bytes) {}
    uint64_t WorkspaceBytes(int64_t /*batch*/,
                            uint32_t /*threads*/) const override {
      return workspace_bytes_;
    }
    void Run(const RunContext& run) const override { function_(run); }

   private:
    Function function_;
    uint64_t workspace_bytes_;
  };
  return std::make_unique<FunctionKernel>(std::move(function), workspace_bytes);
}

// Elements of one item of the batch.
inline int64_t ItemSize(const TensorView& tensor) {
  return tensor.Count(0, tensor.rank());
}

}  // namespace bqengine::backends::reference

#endif  // BACKENDS_REFERENCE_REFERENCE_BACKEND_H_
