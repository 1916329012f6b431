#include "runtime/backend_registry.h"

#include <algorithm>
#include <cassert>
#include <condition_variable>
#include <mutex>
#include <new>
#include <set>
#include <utility>

#include "border.h"
#include "bqengine/registry.h"
#include "builtin_backends.h"
#include "runtime/backend_border.h"
#include "runtime/plugin_host.h"

namespace bqengine {
namespace {

// The interface promises nothing about larger numbers, and a wrong count would
// send us reading far beyond an array.
constexpr uint64_t kMostBackends = 256;  // as bqe_plugin says

constexpr char kBuiltIn[] = "built-in";

struct Entry {
  const bqe_backend* backend;
  std::string origin;
};

std::string Family(const std::string& name) {
  return name.substr(0, name.find(':'));
}

// Empty if the backend keeps the rules of backend.h.
std::string Defect(const bqe_backend* backend) {
  if (backend == nullptr) return "a backend is null";
  if (!BQE_HAS_FIELD(backend, bqe_backend, compile)) {
    return "a backend has a struct_size that is too small";
  }
  if (backend->name == nullptr || backend->name[0] == '\0') {
    return "a backend has no name";
  }
  if (backend->supports == nullptr || backend->compile == nullptr) {
    return std::string("backend '") + backend->name + "' lacks a function";
  }
  return "";
}

class Registry {
 public:
  // Never destroyed: sessions may outlive static objects. Made by the first
  // call for which there is memory.
  static Registry& Get() {
    static Registry* const registry = new Registry();
    return *registry;
  }

  std::vector<Entry> Entries() {
    std::lock_guard lock(mutex_);
    return entries_;
  }

  Status Load(const std::string& path) {
    const auto real = PluginFile(path);
    if (!real.ok()) return real.status();
    // No lock while the plug-in's code runs, for it may call us. So a plug-in
    // that another thread is loading is waited for; but not by one that is in
    // an init function itself, lest the two wait for each other.
    {
      std::unique_lock lock(mutex_);
      while (loading_.contains(*real)) {
        if (loads_ > 0) return PluginError(*real, "is being loaded already");
        loaded_one_.wait(lock);
      }
      if (loaded_.contains(*real)) return Status();
      loading_.insert(*real);
    }
    const Loading loading(*this, *real);
    const auto init = OpenPlugin(*real);
    return init.ok() ? Init(*init, *real) : init.status();
  }

 private:
  Registry() {
    for (bqe_plugin_init_fn init : {bqe_reference_init, bqe_cpu_init}) {
      const Status status = Init(init, kBuiltIn);
      if (status.code() == StatusCode::kOutOfMemory) throw std::bad_alloc();
      assert(status.ok());
    }
  }

  // While it lives, this thread runs the code of the plug-in at `path`.
  struct Loading {
    Loading(Registry& registry, const std::string& path)
        : registry(registry), path(path) {
      ++loads_;
    }
    ~Loading() {
      --loads_;
      std::lock_guard lock(registry.mutex_);
      registry.loading_.erase(path);
      registry.loaded_one_.notify_all();
    }
    Registry& registry;
    const std::string& path;
  };

  // All or nothing: a plug-in with one bad backend adds none.
  Status Init(bqe_plugin_init_fn init, const std::string& origin) {
    bqe_plugin plugin = {};
    plugin.struct_size = sizeof(bqe_plugin);
    Status status = CallBackend("plug-in " + origin, [&](bqe_error* error) {
      return init(PluginHost(), &plugin, error);
    });
    if (!status.ok()) return status;
    if (plugin.abi_version != BQE_ABI_VERSION) {
      return PluginError(origin, "it was built for version " +
                                     std::to_string(plugin.abi_version) +
                                     " of the interface, this is version " +
                                     std::to_string(BQE_ABI_VERSION));
    }
    if (plugin.num_backends == 0 || plugin.num_backends > kMostBackends ||
        plugin.backends == nullptr) {
      return PluginError(origin, "it must list 1 to 256 backends");
    }
    std::lock_guard lock(mutex_);
    std::vector<Entry> all = entries_;
    for (uint64_t i = 0; i < plugin.num_backends; ++i) {
      const bqe_backend* backend = plugin.backends[i];
      if (std::string defect = Defect(backend); !defect.empty()) {
        return PluginError(origin, defect);
      }
      if (Find(all, backend->name)) {
        return PluginError(origin, std::string("there is a backend '") +
                                       backend->name + "' already");
      }
      all.push_back({backend, origin});
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Entry& a, const Entry& b) {
                       return a.backend->score > b.backend->score;
                     });
    loaded_.insert(origin);
    entries_.swap(all);
    return Status();
  }

  static bool Find(const std::vector<Entry>& entries, const char* name) {
    return std::any_of(entries.begin(), entries.end(), [&](const Entry& e) {
      return std::string_view(e.backend->name) == name;
    });
  }

  inline static thread_local int loads_ = 0;  // that this thread is in

  std::mutex mutex_;
  std::condition_variable loaded_one_;
  std::vector<Entry> entries_;  // best score first
  std::set<std::string> loading_, loaded_;
};

Status NoSuchBackend(const std::string& name,
                     const std::vector<Entry>& entries) {
  std::string known;
  for (const Entry& entry : entries) {
    if (entry.backend->score <= 0) continue;
    known += (known.empty() ? "" : ", ") + std::string(entry.backend->name);
  }
  return Status(StatusCode::kNotFound, "there is no backend '" + name +
                                           "' that this machine can run; " +
                                           "there are " + known);
}

}  // namespace

Result<std::vector<BackendInfo>> ListBackends() {
  return AtBorder([&]() -> Result<std::vector<BackendInfo>> {
    std::vector<BackendInfo> list;
    for (const Entry& entry : Registry::Get().Entries()) {
      const bqe_backend& backend = *entry.backend;
      list.push_back({backend.name,
                      backend.description == nullptr ? "" : backend.description,
                      entry.origin, std::max<int32_t>(backend.score, 0)});
    }
    return list;
  });
}

Status LoadPlugin(const std::string& path) {
  return AtBorder(path, [&]() -> Status { return Registry::Get().Load(path); });
}

std::string PluginOf(const bqe_backend& backend) {
  for (const Entry& entry : Registry::Get().Entries()) {
    if (entry.backend == &backend && entry.origin != kBuiltIn) {
      return entry.origin;
    }
  }
  return "";
}

Result<std::vector<const bqe_backend*>> BackendsInOrder(
    const std::string& requested) {
  const std::vector<Entry> entries = Registry::Get().Entries();
  std::vector<const bqe_backend*> order;
  for (const Entry& entry : entries) {
    const std::string name = entry.backend->name;
    if (entry.backend->score <= 0 || requested.empty()) continue;
    if (name == requested || Family(name) == requested) {
      order.push_back(entry.backend);
      break;
    }
  }
  if (!requested.empty() && order.empty()) {
    return NoSuchBackend(requested, entries);
  }
  for (const Entry& entry : entries) {
    const bool excluded = !requested.empty() && Family(entry.backend->name) ==
                                                    Family(order.front()->name);
    if (entry.backend->score > 0 && !excluded) order.push_back(entry.backend);
  }
  return order;
}

}  // namespace bqengine
