// A plug-in on the C++ adapter; its kernels throw, to test the border.
#include <new>
#include <stdexcept>
#include <string>

#include "bqengine/backend.hpp"

namespace {

using namespace bqengine::backend;

class ReluKernel : public Kernel {
 public:
  explicit ReluKernel(const NodeView& node)
      : count_(node.input(0).Count(1, node.input(0).rank())),
        row_(node.input(0).dim(-1)) {}

  uint64_t WorkspaceBytes(int64_t /*batch*/, uint32_t threads) const override {
    return threads * uint64_t(row_) * sizeof(float);
  }

  // y = max(x, 0) by way of the workspace, row by row in parallel.
  void Run(const RunContext& run) const override {
    const float* x = run.input<float>(0);
    float* y = run.output<float>(0);
    if (x[0] == 12345.0f) throw std::runtime_error("unlucky number");
    run.ParallelFor(
        run.batch() * count_ / row_, [&](int64_t row, uint32_t thread) {
          float* scratch = static_cast<float*>(run.workspace()) + thread * row_;
          for (int64_t i = 0; i < row_; ++i) {
            const float value = x[row * row_ + i];
            scratch[i] = value < 0 ? 0 : value;
          }
          for (int64_t i = 0; i < row_; ++i) {
            y[row * row_ + i] = scratch[i];
          }
        });
  }

 private:
  int64_t count_, row_;
};

// Fails in the middle of a parallel loop.
class ThrowingKernel : public Kernel {
 public:
  void Run(const RunContext& run) const override {
    run.ParallelFor(run.batch(), [&](int64_t item, uint32_t /*thread*/) {
      if (item == 1) throw std::runtime_error("item 1 is bad");
    });
  }
};

class HungryKernel : public Kernel {
 public:
  uint64_t WorkspaceBytes(int64_t /*batch*/,
                          uint32_t /*threads*/) const override {
    throw std::overflow_error("too much");
  }
  void Run(const RunContext& /*run*/) const override {}
};

// Relu works; the other ops are mistakes that a plug-in can make.
class CxxBackend : public Backend {
 public:
  bool Supports(const NodeView& node) const override {
    if (node.op() == "Clip") return node.HasOnly({"min", "max"}, {});
    return node.HasOnly({"axis"}, {});
  }
  std::unique_ptr<Kernel> Compile(const NodeView& node) const override {
    if (node.op() == "Floor") throw std::bad_alloc();
    if (node.op() == "Clip") return nullptr;
    if (node.op() == "Softmax") return std::make_unique<ThrowingKernel>();
    if (node.op() == "Flatten") return std::make_unique<HungryKernel>();
    return std::make_unique<ReluKernel>(node);
  }
};

Plugin MakePlugin(const bqe_host* /*host*/) {
  Plugin plugin("cxx", "1");
  // Behind the built-in ones: used only when asked for.
  plugin.Add("cxx", "Relu in C++, for tests", 1,
             std::make_unique<CxxBackend>());
  plugin.Add("cxx-unusable", "Cannot run here", 0,
             std::make_unique<CxxBackend>());
  return plugin;
}

}  // namespace

BQE_DEFINE_PLUGIN(MakePlugin)
