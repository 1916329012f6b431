// The border of the library: what every public function that computes or
// allocates is wrapped in. Inside, errors that nobody foresees are exceptions;
// none leaves. Inside, the floating-point mode is the default one.
#ifndef ENGINE_SRC_BORDER_H_
#define ENGINE_SRC_BORDER_H_

#include <string_view>
#include <type_traits>

#include "bqengine/status.h"
#include "runtime/float_mode.h"

namespace bqengine {

// Of the exception that is being handled: kOutOfMemory, or kInternal for one
// that should not have come here. `what` begins the message, unless it is empty
// or there is no memory for it either.
Status StatusOfException(std::string_view what) noexcept;

// What `body` returns, a Status or a Result, or what it throws as that.
template <typename Body>
std::invoke_result_t<const Body&> AtBorder(std::string_view what,
                                           const Body& body) noexcept {
  const DefaultFloatMode mode;
  try {
    return body();
  } catch (...) {
    return StatusOfException(what);
  }
}
template <typename Body>
std::invoke_result_t<const Body&> AtBorder(const Body& body) noexcept {
  return AtBorder(std::string_view(), body);
}

}  // namespace bqengine

#endif  // ENGINE_SRC_BORDER_H_
