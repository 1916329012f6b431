// A model's two files, or their contents, to a graph. Unlike ReadGraph, this
// also gives what the checks found.
#ifndef ENGINE_SRC_FORMAT_READER_H_
#define ENGINE_SRC_FORMAT_READER_H_

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "bqengine/graph.h"
#include "bqengine/model.h"
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

Result<ReadModel> ReadModelFile(const std::string& path, Weights weights,
                                const ModelOptions& options);

// The same of what stands in memory, which is copied; see
// Model::LoadFromMemory.
Result<ReadModel> ReadModelMemory(std::string_view json,
                                  std::span<const std::byte> weights,
                                  const ModelOptions& options);

}  // namespace bqengine

#endif  // ENGINE_SRC_FORMAT_READER_H_
