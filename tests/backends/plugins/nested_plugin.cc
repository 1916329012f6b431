// A plug-in whose parallel loops start parallel loops. It says so to the host
// when it is loaded.
#include <stdexcept>

#include "bqengine/backend.hpp"

namespace {

using namespace bqengine::backend;

class NestedRelu : public Kernel {
 public:
  explicit NestedRelu(const NodeView& node)
      : count_(node.input(0).Count(1, node.input(0).rank())) {}

  void Run(const RunContext& run) const override {
    const float* x = run.input<float>(0);
    float* y = run.output<float>(0);
    run.ParallelFor(run.batch(), [&](int64_t item, uint32_t thread) {
      run.ParallelFor(count_, [&](int64_t i, uint32_t inner) {
        if (inner != thread) throw std::logic_error("another thread");
        // One more, of a single task.
        run.ParallelFor(1, [&](int64_t /*index*/, uint32_t innermost) {
          if (innermost != thread) throw std::logic_error("another thread");
          const float value = x[item * count_ + i];
          y[item * count_ + i] = value < 0 ? 0 : value;
        });
      });
    });
  }

 private:
  int64_t count_;
};

class NestedBackend : public Backend {
 public:
  bool Supports(const NodeView& node) const override {
    return node.op() == "Relu";
  }
  std::unique_ptr<Kernel> Compile(const NodeView& node) const override {
    return std::make_unique<NestedRelu>(node);
  }
};

Plugin MakePlugin(const bqe_host* host) {
  host->log(host->context, BQE_LOG_INFO, BACKEND_NAME " is here");
  Plugin plugin(BACKEND_NAME, "1");
  plugin.Add(BACKEND_NAME, "Relu by loops in loops, for tests", 1,
             std::make_unique<NestedBackend>());
  return plugin;
}

}  // namespace

BQE_DEFINE_PLUGIN(MakePlugin)
