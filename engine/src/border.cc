#include "border.h"

#include <exception>
#include <new>
#include <stdexcept>
#include <string>

namespace bqengine {
namespace {

// Short enough for a std::string without memory of its own.
constexpr char kNoMemory[] = "out of memory";

Status Describe(StatusCode code, std::string_view what,
                const char* message) noexcept {
  try {
    return Status(code,
                  what.empty() ? message : std::string(what) + ": " + message);
  } catch (...) {
    return Status(StatusCode::kOutOfMemory, kNoMemory);
  }
}

}  // namespace

Status StatusOfException(std::string_view what) noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return Describe(StatusCode::kOutOfMemory, what, kNoMemory);
  } catch (const std::length_error&) {  // of a vector: more than there can be
    return Describe(StatusCode::kOutOfMemory, what, kNoMemory);
  } catch (const std::exception& e) {
    return Describe(StatusCode::kInternal, what, e.what());
  } catch (...) {
    return Describe(StatusCode::kInternal, what, "unknown exception");
  }
}

}  // namespace bqengine
