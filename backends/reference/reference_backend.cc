#include "reference_backend.h"

#include <string_view>

#include "builtin_backends.h"
#include "known_nodes.h"

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

class ReferenceBackend : public Backend {
 public:
  bool Supports(const NodeView& node) const override {
    return FindOp(node.op()) != nullptr && IsKnownNode(node);
  }

  std::unique_ptr<Kernel> Compile(const NodeView& node) const override {
    if (!Supports(node)) {
      throw Error(BQE_ERROR_UNSUPPORTED,
                  "the reference backend does not know this kind of node");
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
