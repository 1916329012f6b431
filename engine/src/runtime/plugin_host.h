// What a plug-in gets from the process, and how its library is opened.
#ifndef ENGINE_SRC_RUNTIME_PLUGIN_HOST_H_
#define ENGINE_SRC_RUNTIME_PLUGIN_HOST_H_

#include <string>

#include "bqengine/backend.h"
#include "bqengine/status.h"

namespace bqengine {

const bqe_host* PluginHost();

// kInvalidArgument: "plug-in <path>: <message>".
Status PluginError(const std::string& path, const std::string& message);

// For the log handler, if there is one.
void LogError(const std::string& message);

// The file's absolute path without links: one library, one path. Only of a
// regular file: to open another (a pipe) may wait for ever.
Result<std::string> PluginFile(const std::string& path);

// Opens the library at such a path for good and asks its score; gives its init
// function, not yet called.
Result<bqe_plugin_init_fn> OpenPlugin(const std::string& path);

}  // namespace bqengine

#endif  // ENGINE_SRC_RUNTIME_PLUGIN_HOST_H_
