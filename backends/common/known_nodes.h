// Whether a node is one that the built-in backends were written for: its op,
// attributes, constants, types and number of inputs. What a later version of
// the interface may add is refused, not ignored (bqengine/backend.h).
#ifndef BACKENDS_COMMON_KNOWN_NODES_H_
#define BACKENDS_COMMON_KNOWN_NODES_H_

#include "bqengine/backend.hpp"

namespace bqengine::backends {

// True for the ops of engine/README.md as they are today.
bool IsKnownNode(const backend::NodeView& node);

}  // namespace bqengine::backends

#endif  // BACKENDS_COMMON_KNOWN_NODES_H_
