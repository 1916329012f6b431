// Memory whose size a file or the user decides.
#ifndef BQENGINE_TOOLS_COMMON_MEMORY_H_
#define BQENGINE_TOOLS_COMMON_MEMORY_H_

#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "bqengine/status.h"

namespace bqengine::tools {

// `count` zeros; kOutOfMemory that says for what if there cannot be as many.
template <typename T>
Result<std::vector<T>> MakeVector(int64_t count, const std::string& what) {
  try {
    return std::vector<T>(static_cast<size_t>(count));
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  return Status(StatusCode::kOutOfMemory,
                what + ": no memory for " + std::to_string(count) + " times " +
                    std::to_string(sizeof(T)) + " bytes");
}

// Of what can fail only for want of memory: the value, or std::bad_alloc, which
// RunMain reports.
template <typename T>
T OrThrow(Result<T> result) {
  if (!result.ok()) throw std::bad_alloc();
  return *std::move(result);
}

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_MEMORY_H_
