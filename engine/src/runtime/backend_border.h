// Calls into backends. A plug-in may be wrong in every way that code can be:
// what it throws stops here and becomes a Status, as what it says does.
#ifndef ENGINE_SRC_RUNTIME_BACKEND_BORDER_H_
#define ENGINE_SRC_RUNTIME_BACKEND_BORDER_H_

#include <memory>
#include <string>

#include "bqengine/backend.h"
#include "bqengine/status.h"
#include "runtime/float_mode.h"

namespace bqengine {

// Room for a backend's error message.
inline constexpr size_t kBackendMessageBytes = 512;

// "node 'y': backend 'fast' of plug-in /opt/fast.so": who is called, in every
// message of CallBackend.
std::string BackendCaller(const std::string& node, const bqe_backend& backend);

// The exception of the moment, from a call to `who`: kOutOfMemory or kInternal.
// For a catch (...) block.
Status ThrownBy(const std::string& who);

// The error of a call to `who`.
Status FailureOf(const std::string& who, bqe_status code, const char* message);

// Calls `call`, a bqe_status(bqe_error*), which calls the backend `who`, in the
// default floating-point mode. Errors are kOutOfMemory, kUnsupported or else
// kInternal. Allocates nothing unless there is one.
template <typename Call>
Status CallBackend(const std::string& who, const Call& call) {
  char message[kBackendMessageBytes] = "no reason given";
  bqe_error error = {sizeof(bqe_error), sizeof(message), message};
  bqe_status code = BQE_OK;
  const DefaultFloatMode mode;
  try {
    code = call(&error);
  } catch (...) {
    return ThrownBy(who);
  }
  if (code == BQE_OK) return Status();
  message[sizeof(message) - 1] = '\0';
  return FailureOf(who, code, message);
}

// A kernel, and whom it is from.
struct KernelDeleter {
  void operator()(bqe_kernel* kernel) const;
  std::string who = "a backend";
};
using KernelPtr = std::unique_ptr<bqe_kernel, KernelDeleter>;

}  // namespace bqengine

#endif  // ENGINE_SRC_RUNTIME_BACKEND_BORDER_H_
