// ReadGraph for those who need what its checks found, and would otherwise have
// to check the graph once more.
#ifndef ENGINE_SRC_FORMAT_READER_H_
#define ENGINE_SRC_FORMAT_READER_H_

#include <map>
#include <string>

#include "bqengine/graph.h"
#include "bqengine/status.h"

namespace bqengine {

enum class Weights { kOptional, kRequired };

// A graph that keeps the rules of InferShapes, and what that returned. What its
// constants have of data keeps those of CheckConstantData; with kRequired, all
// have data.
struct ReadModel {
  Graph graph;
  std::map<std::string, TensorInfo> tensors;
};

Result<ReadModel> ReadModelFile(const std::string& path, Weights weights);

}  // namespace bqengine

#endif  // ENGINE_SRC_FORMAT_READER_H_
