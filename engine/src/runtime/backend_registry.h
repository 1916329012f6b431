// The list of backends behind bqengine/registry.h.
#ifndef ENGINE_SRC_RUNTIME_BACKEND_REGISTRY_H_
#define ENGINE_SRC_RUNTIME_BACKEND_REGISTRY_H_

#include <string>
#include <vector>

#include "bqengine/backend.h"
#include "bqengine/status.h"

namespace bqengine {

// The backends to ask for each node, in this order. `requested` is the name of
// one or of a family (then its best usable member), and comes first; other
// members of its family are left out, so that a forced instruction set is not
// helped by another. Empty: all usable ones, best score first.
Result<std::vector<const bqe_backend*>> BackendsInOrder(
    const std::string& requested);

// The path of the plug-in that a backend is from; empty if it is built in.
std::string PluginOf(const bqe_backend& backend);

}  // namespace bqengine

#endif  // ENGINE_SRC_RUNTIME_BACKEND_REGISTRY_H_
