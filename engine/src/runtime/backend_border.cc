#include "runtime/backend_border.h"

#include <exception>
#include <new>

#include "runtime/backend_registry.h"
#include "runtime/plugin_host.h"

namespace bqengine {

std::string BackendCaller(const std::string& node, const bqe_backend& backend) {
  const std::string plugin = PluginOf(backend);
  return "node '" + node + "': backend '" + backend.name + "'" +
         (plugin.empty() ? "" : " of plug-in " + plugin);
}

Status ThrownBy(const std::string& who) {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kOutOfMemory, who + ": out of memory");
  } catch (const std::exception& e) {
    return Status(StatusCode::kInternal,
                  who + ": threw an exception: " + e.what());
  } catch (...) {
    return Status(StatusCode::kInternal,
                  who + ": threw an exception of a type of its own");
  }
}

Status FailureOf(const std::string& who, bqe_status code, const char* message) {
  return Status(code == BQE_ERROR_OUT_OF_MEMORY ? StatusCode::kOutOfMemory
                : code == BQE_ERROR_UNSUPPORTED ? StatusCode::kUnsupported
                                                : StatusCode::kInternal,
                who + ": " + message);
}

// Nobody waits for an error of this.
void KernelDeleter::operator()(bqe_kernel* kernel) const {
  try {
    const Status status = CallBackend(who, [&](bqe_error* /*error*/) {
      kernel->destroy(kernel);
      return BQE_OK;
    });
    if (!status.ok()) LogError(status.message() + " (in destroy)");
  } catch (...) {
    // No memory for the message, or the log handler throws.
  }
}

}  // namespace bqengine
