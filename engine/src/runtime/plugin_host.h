// What a plug-in gets from the process, and how its library is opened.
#ifndef ENGINE_SRC_RUNTIME_PLUGIN_HOST_H_
#define ENGINE_SRC_RUNTIME_PLUGIN_HOST_H_

#include <string>

#include "bqengine/backend.h"
#include "bqengine/status.h"

namespace bqengine {

// Room for a backend's error message.
inline constexpr size_t kPluginMessageBytes = 512;

const bqe_host* PluginHost();

// kInvalidArgument: "plug-in <path>: <message>".
Status PluginError(const std::string& path, const std::string& message);

struct OpenedPlugin {
  std::string path;  // absolute, without links: one library, one path
  bqe_plugin_init_fn init;
};

// Opens the library for good and asks its score; does not call init.
Result<OpenedPlugin> OpenPlugin(const std::string& path);

}  // namespace bqengine

#endif  // ENGINE_SRC_RUNTIME_PLUGIN_HOST_H_
