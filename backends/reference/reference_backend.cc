#include "reference_backend.h"

#include <string_view>

#include "builtin_backends.h"

namespace bqengine::backends::reference {
namespace {

using backend::Backend;
using backend::Error;
using backend::Plugin;

const Op* FindOp(std::string_view name) {
  for (const std::span<const Op> group :
       {BinaryOps(), FloatOps(), DataMovementOps()}) {
    for (const Op& op : group) {
      if (name == op.name) return &op;
    }
  }
  return nullptr;
}

// Types that the interface may gain one day are not ours; and every op here
// counts on an innermost dimension that is not the batch.
bool IsKnown(const TensorView& tensor) {
  return (tensor.type() == BQE_FLOAT32 || tensor.is_bits()) &&
         tensor.rank() >= 2 && tensor.rank() <= BQE_MAX_RANK;
}

class ReferenceBackend : public Backend {
 public:
  bool Supports(const NodeView& node) const override {
    for (size_t i = 0; i < node.num_inputs(); ++i) {
      if (!IsKnown(node.input(i))) return false;
    }
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      if (!IsKnown(node.output(i))) return false;
    }
    return FindOp(node.op()) != nullptr;
  }

  std::unique_ptr<Kernel> Compile(const NodeView& node) const override {
    if (!Supports(node)) {
      throw Error(BQE_ERROR_UNSUPPORTED,
                  "the reference backend does not know this op, or a tensor "
                  "type or rank of it");
    }
    return FindOp(node.op())->compile(node);
  }
};

Plugin MakePlugin(const bqe_host* /*host*/) {
  Plugin plugin("reference", "1");
  plugin.Add("reference", "Every op in plain scalar code, on one thread", 1,
             std::make_unique<ReferenceBackend>());
  return plugin;
}

}  // namespace
}  // namespace bqengine::backends::reference

extern "C" bqe_status bqe_reference_init(const bqe_host* host,
                                         bqe_plugin* plugin, bqe_error* error) {
  return bqengine::backend::InitPlugin<
      bqengine::backends::reference::MakePlugin>(host, plugin, error);
}
