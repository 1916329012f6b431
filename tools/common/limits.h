// How much memory a model may make a command take: one set of flags for all.
#ifndef BQENGINE_TOOLS_COMMON_LIMITS_H_
#define BQENGINE_TOOLS_COMMON_LIMITS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "bqengine/model.h"
#include "bqengine/session.h"
#include "bqengine/status.h"

namespace bqengine::tools {

struct Limits {
  ModelOptions model;
  uint64_t max_arena_bytes = SessionOptions().max_arena_bytes;
};

// Adds --max-tensor-elements, --max-weight-bytes and --max-arena-bytes.
void DeclareLimits(CLI::App* app, Limits* limits);

// kOutOfMemory if a command's own buffer for `batch` items of a tensor, `name`
// in the message, would be larger than the arena may be. Before it is taken.
Status CheckBuffer(const std::string& name, const TensorInfo& info,
                   int64_t batch, const Limits& limits);

// An error of the engine about one of its limits, with the flag in place of the
// option that it names.
Status NameFlags(Status status);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_LIMITS_H_
