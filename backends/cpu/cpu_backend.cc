#include "cpu_backend.h"

#include <iterator>
#include <string>

#include "binary_ops.h"
#include "builtin_backends.h"
#include "float_ops.h"
#include "known_nodes.h"
#include "node_shapes.h"

namespace bqengine::backends::cpu {
namespace {

using backend::Backend;
using backend::Error;
using backend::Plugin;

// Ops that only move data are left to the reference backend: memcpy is as fast
// there.
constexpr Op kOps[] = {
    {"Binarize", CompileBinarize},
    {"BinaryConv", CompileBinaryConv},
    {"BinaryGemm", CompileBinaryGemm},
    {"BinaryMaxPool", CompileBinaryMaxPool},

    {"BinaryWeightConv", CompileBinaryWeightConv},
    {"BinaryWeightGemm", CompileBinaryWeightGemm},
    {"Conv", CompileConv},
    {"Gemm", CompileGemm},

    {"Add", CompileAdd},
    {"BatchNormalization", CompileBatchNormalization},
    {"Clip", CompileClip},
    {"Floor", CompileFloor},
    {"Mul", CompileMul},
    {"PRelu", CompilePRelu},
    {"Relu", CompileRelu},
    {"Softmax", CompileSoftmax},

    {"AveragePool", CompileAveragePool},
    {"GlobalAveragePool", CompileGlobalAveragePool},
    {"MaxPool", CompileMaxPool},
};

const Op* FindOp(std::string_view name) {
  for (const Op& op : kOps) {
    if (name == op.name) return &op;
  }
  return nullptr;
}

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(Target target) : target_(target) {}

  bool Supports(const NodeView& node) const override {
    if (FindOp(node.op()) == nullptr || !IsKnownNode(node)) return false;
    // Products of bytes lay out whole lines of the window.
    return node.op() != "BinaryWeightConv" || !node.input(0).is_integer() ||
           kernels::IsCompact(WindowOf(node));
  }
  std::unique_ptr<Kernel> Compile(const NodeView& node) const override {
    if (!Supports(node)) {
      throw Error(BQE_ERROR_UNSUPPORTED,
                  "the cpu backend does not know this kind of node");
    }
    return FindOp(node.op())->compile(node, target_);
  }

 private:
  Target target_;
};

Plugin MakePlugin(const bqe_host* /*host*/) {
  Plugin plugin("cpu", "1");
  int32_t score = 10;  // targets come worst first
  for (Target target : kernels::CompiledTargets()) {
    plugin.Add(std::string("cpu:") + kernels::TargetName(target),
               kernels::TargetDescription(target),
               kernels::IsUsable(target) ? score : 0,
               std::make_unique<CpuBackend>(target));
    score += 10;
  }
  return plugin;
}

}  // namespace
}  // namespace bqengine::backends::cpu

extern "C" bqe_status bqe_cpu_init(const bqe_host* host, bqe_plugin* plugin,
                                   bqe_error* error) {
  return bqengine::backend::InitPlugin<bqengine::backends::cpu::MakePlugin>(
      host, plugin, error);
}
