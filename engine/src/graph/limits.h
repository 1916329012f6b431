// What a model may ask for; see ModelOptions and SessionOptions.
#ifndef ENGINE_SRC_GRAPH_LIMITS_H_
#define ENGINE_SRC_GRAPH_LIMITS_H_

#include <cstdint>
#include <map>
#include <string>

#include "bqengine/graph.h"
#include "bqengine/model.h"

namespace bqengine {

// "WHAT, more than OPTION, LIMIT": kOutOfMemory. The commands have a flag of
// the same name for each option (tools/common/limits.h).
Status LimitExceeded(const std::string& what, const char* option,
                     uint64_t limit);

// No activation has too many elements in one item, and no constant that has yet
// to get its data. `tensors` is what InferShapes found.
Status CheckLimits(const Graph& graph,
                   const std::map<std::string, TensorInfo>& tensors,
                   const ModelOptions& options);

}  // namespace bqengine

#endif  // ENGINE_SRC_GRAPH_LIMITS_H_
