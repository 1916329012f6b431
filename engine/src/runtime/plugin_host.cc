#include "runtime/plugin_host.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "bqengine/registry.h"
#include "runtime/backend_border.h"

namespace bqengine {
namespace {

std::atomic<LogHandler> g_log_handler{nullptr};

void* Allocate(void* /*context*/, uint64_t bytes, uint64_t alignment) {
  // aligned_alloc wants a multiple of the alignment.
  const uint64_t rounded = (bytes + alignment - 1) / alignment * alignment;
  if (rounded < bytes) return nullptr;
  return std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
}

void Deallocate(void* /*context*/, void* memory) { std::free(memory); }

void Log(void* /*context*/, bqe_log_level level, const char* message) {
  const LogHandler handler = g_log_handler.load();
  if (handler == nullptr || message == nullptr) return;
  handler(level >= BQE_LOG_ERROR     ? LogLevel::kError
          : level == BQE_LOG_WARNING ? LogLevel::kWarning
                                     : LogLevel::kInfo,
          message);
}

}  // namespace

void SetLogHandler(LogHandler handler) { g_log_handler = handler; }

void LogError(const std::string& message) {
  Log(nullptr, BQE_LOG_ERROR, message.c_str());
}

const bqe_host* PluginHost() {
  static const bqe_host host = {.struct_size = sizeof(bqe_host),
                                .abi_version = BQE_ABI_VERSION,
                                .context = nullptr,
                                .allocate = Allocate,
                                .deallocate = Deallocate,
                                .log = Log};
  return &host;
}

Status PluginError(const std::string& path, const std::string& message) {
  return Status(StatusCode::kInvalidArgument,
                "plug-in " + path + ": " + message);
}

Result<std::string> PluginFile(const std::string& path) {
  std::error_code missing;
  const std::filesystem::path real = std::filesystem::canonical(path, missing);
  if (missing) {
    return Status(missing == std::errc::not_enough_memory
                      ? StatusCode::kOutOfMemory
                      : StatusCode::kNotFound,
                  "plug-in " + path + ": " + missing.message());
  }
  if (!std::filesystem::is_regular_file(real, missing)) {
    return PluginError(path, "is not a regular file");
  }
  return real.string();
}

Result<bqe_plugin_init_fn> OpenPlugin(const std::string& path) {
  // Now, so that a missing symbol is an error here and not a crash later.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return PluginError(path, std::string("cannot be loaded: ") + dlerror());
  }
  const auto score = reinterpret_cast<bqe_plugin_score_fn>(
      dlsym(library, BQE_PLUGIN_SCORE_SYMBOL));
  const auto init = reinterpret_cast<bqe_plugin_init_fn>(
      dlsym(library, BQE_PLUGIN_INIT_SYMBOL));
  if (score == nullptr || init == nullptr) {
    return PluginError(path, "is not a plug-in: it does not export " +
                                 std::string(BQE_PLUGIN_SCORE_SYMBOL) +
                                 " and " + BQE_PLUGIN_INIT_SYMBOL);
  }
  int32_t usable = 0;
  Status status = CallBackend("plug-in " + path, [&](bqe_error* /*error*/) {
    usable = score();
    return BQE_OK;
  });
  if (!status.ok()) return status;
  if (usable == 0) {
    return Status(StatusCode::kUnsupported,
                  "plug-in " + path + ": cannot run on this machine");
  }
  return init;
}

}  // namespace bqengine
