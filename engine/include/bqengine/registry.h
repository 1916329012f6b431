// The backends of this process: those built in, and plug-ins that were loaded.
// The interface for writing one is bqengine/backend.h.
#ifndef BQENGINE_REGISTRY_H_
#define BQENGINE_REGISTRY_H_

#include <string>
#include <vector>

#include "bqengine/export.h"
#include "bqengine/status.h"

namespace bqengine {

struct BackendInfo {
  std::string name;         // "cpu:avx2"
  std::string description;  // one line
  std::string origin;       // "built-in", or the path of the plug-in
  int score = 0;            // 0: this machine cannot run it
};

// All known backends, best score first. Thread-safe.
BQENGINE_API Result<std::vector<BackendInfo>> ListBackends();

// Loads a backend from a shared library (see backend.h) and adds it to the
// process for good: libraries are never unloaded. Sessions that exist already
// are not affected. Loading runs the library's code: only load what you trust.
// kNotFound, kInvalidArgument (not a regular file, not a plug-in, or of another
// ABI version), kUnsupported (cannot run on this machine), kInternal (its init
// function fails or throws). Thread-safe; loading a path again does nothing. A
// plug-in's init function may call anything here, but not load itself.
BQENGINE_API Status LoadPlugin(const std::string& path);

enum class LogLevel { kInfo, kWarning, kError };
using LogHandler = void (*)(LogLevel level, const char* message);

// Where messages of plug-ins go; null, the default, drops them: the library
// itself prints nothing. The handler is called from any thread.
BQENGINE_API void SetLogHandler(LogHandler handler);

}  // namespace bqengine

#endif  // BQENGINE_REGISTRY_H_
