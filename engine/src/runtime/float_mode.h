// The floating-point mode in which everything here computes.
#ifndef ENGINE_SRC_RUNTIME_FLOAT_MODE_H_
#define ENGINE_SRC_RUNTIME_FLOAT_MODE_H_

#include <cfenv>
#include <cstdint>

namespace bqengine {

// Puts the calling thread into the default mode for as long as it lives: round
// to nearest, keep subnormals, trap nothing. Then restores the caller's mode,
// also if somebody else (a plug-in) has changed it meanwhile. Costs a look at
// two registers where the caller's mode is the default one, as it nearly always
// is.
//
// Every public function that computes with floats has one, and so has every
// call into a backend and every part that a helper thread takes in a loop: a
// program may have set flush-to-zero or another rounding for its own ends, and
// results depend on neither that nor the thread.
class DefaultFloatMode {
 public:
  // Not inline: calls that the compiler cannot look into keep what is computed
  // between them there.
  DefaultFloatMode();
  ~DefaultFloatMode();
  DefaultFloatMode(const DefaultFloatMode&) = delete;
  DefaultFloatMode& operator=(const DefaultFloatMode&) = delete;

 private:
  bool was_default_;
#if defined(__aarch64__)
  uint64_t callers_;  // FPCR
#else
  std::fenv_t callers_;  // unset if was_default_
#endif
};

}  // namespace bqengine

#endif  // ENGINE_SRC_RUNTIME_FLOAT_MODE_H_
