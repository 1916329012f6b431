// C++ adapter over bqengine/backend.h: derive from Kernel and Backend, list the
// backends in a Plugin, and define the entry points with BQE_DEFINE_PLUGIN. The
// built-in backends are written with it. Header-only; needs C++20 and nothing
// to link.
//
//   class DoubleKernel : public bqengine::backend::Kernel { ... };
//   class MyBackend : public bqengine::backend::Backend {
//    public:
//     bool Supports(const NodeView& node) const override;
//     std::unique_ptr<Kernel> Compile(const NodeView& node) const override;
//   };
//
// Exceptions may be thrown inside Supports, Compile and Run; the adapter turns
// them into status codes at the border: Error into its own code, bad_alloc into
// BQE_ERROR_OUT_OF_MEMORY, all others into BQE_ERROR_INTERNAL.
#ifndef BQENGINE_BACKEND_HPP_
#define BQENGINE_BACKEND_HPP_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bqengine/backend.h"

namespace bqengine::backend {

// Failure of Compile or Run, with the code that the host gets.
class Error : public std::runtime_error {
 public:
  Error(bqe_status code, const std::string& message)
      : std::runtime_error(message), code_(code) {}
  bqe_status code() const { return code_; }

 private:
  bqe_status code_;
};

// ------------------------------------------------------------------ node views
// All views are as short-lived as the bqe_node they look at.

class TensorView {
 public:
  explicit TensorView(const bqe_tensor& tensor) : tensor_(&tensor) {}
  bqe_type type() const { return tensor_->type; }
  bool is_bits() const {
    return type() == BQE_BIPOLAR || type() == BQE_UNIPOLAR;
  }
  bool is_integer() const { return type() == BQE_INT8 || type() == BQE_UINT8; }
  size_t rank() const { return tensor_->rank; }
  // Negative positions count from the end.
  int64_t dim(int position) const {
    return tensor_->dims[position < 0 ? position + int(rank()) : position];
  }
  std::span<const int64_t> dims() const {
    return {tensor_->dims, tensor_->rank};
  }
  std::string_view name() const { return tensor_->name; }

  // Product of the dimensions in [begin, end), BQE_BATCH left out.
  int64_t Count(size_t begin, size_t end) const {
    int64_t count = 1;
    for (size_t i = begin; i < end; ++i) {
      if (tensor_->dims[i] != BQE_BATCH) count *= tensor_->dims[i];
    }
    return count;
  }
  // Rows of the innermost dimension in one item of the batch.
  int64_t RowsPerItem() const { return Count(0, rank() - 1); }

 private:
  const bqe_tensor* tensor_;
};

class ConstantView {
 public:
  // A null pointer stands for an absent constant.
  explicit ConstantView(const bqe_constant* constant) : constant_(constant) {}
  explicit operator bool() const { return constant_ != nullptr; }
  TensorView tensor() const { return TensorView(*constant_->tensor); }
  // The values, which outlive the kernel (see bqe_constant); null if absent.
  const float* floats() const { return data<float>(); }
  const uint64_t* words() const { return data<uint64_t>(); }

 private:
  template <typename T>
  const T* data() const {
    return constant_ ? static_cast<const T*>(constant_->data) : nullptr;
  }
  const bqe_constant* constant_;
};

class NodeView {
 public:
  explicit NodeView(const bqe_node& node) : node_(&node) {}
  std::string_view name() const { return node_->name; }
  std::string_view op() const { return node_->op; }
  size_t num_inputs() const { return node_->num_inputs; }
  size_t num_outputs() const { return node_->num_outputs; }
  TensorView input(size_t i) const { return TensorView(*node_->inputs[i]); }
  TensorView output(size_t i) const { return TensorView(*node_->outputs[i]); }

  ConstantView constant(std::string_view role) const {
    for (uint32_t i = 0; i < node_->num_constants; ++i) {
      if (role == node_->constants[i]->role) {
        return ConstantView(node_->constants[i]);
      }
    }
    return ConstantView(nullptr);
  }

  // True if the node has no attribute and no constant role but these. Supports
  // must refuse others: a later version of an op may have more (backend.h).
  bool HasOnly(std::span<const std::string_view> attributes,
               std::span<const std::string_view> roles) const {
    const auto known = [](std::span<const std::string_view> list,
                          std::string_view name) {
      return std::find(list.begin(), list.end(), name) != list.end();
    };
    for (uint32_t i = 0; i < node_->num_attributes; ++i) {
      if (!known(attributes, node_->attributes[i]->name)) return false;
    }
    for (uint32_t i = 0; i < node_->num_constants; ++i) {
      if (!known(roles, node_->constants[i]->role)) return false;
    }
    return true;
  }
  // The same with lists written out: HasOnly({"axis"}, {}).
  bool HasOnly(std::initializer_list<std::string_view> attributes,
               std::initializer_list<std::string_view> roles) const {
    return HasOnly(
        std::span<const std::string_view>(attributes.begin(),
                                          attributes.size()),
        std::span<const std::string_view>(roles.begin(), roles.size()));
  }

  // Attributes. The host fills in defaults, so a missing one is an error; those
  // that are younger than the interface are there only where they are not the
  // default (backend.h), which is `otherwise`.
  int64_t Int(std::string_view name) const {
    return Find(name, BQE_ATTRIBUTE_INT).ints[0];
  }
  float Float(std::string_view name) const {
    return Find(name, BQE_ATTRIBUTE_FLOAT).floats[0];
  }
  std::string_view String(std::string_view name) const {
    return Find(name, BQE_ATTRIBUTE_STRING).string;
  }
  std::string_view String(std::string_view name,
                          std::string_view otherwise) const {
    for (uint32_t i = 0; i < node_->num_attributes; ++i) {
      if (name == node_->attributes[i]->name) return String(name);
    }
    return otherwise;
  }
  std::span<const int64_t> Ints(std::string_view name) const {
    const bqe_attribute& attribute = Find(name, BQE_ATTRIBUTE_INTS);
    return {attribute.ints, size_t(attribute.count)};
  }
  std::span<const float> Floats(std::string_view name) const {
    const bqe_attribute& attribute = Find(name, BQE_ATTRIBUTE_FLOATS);
    return {attribute.floats, size_t(attribute.count)};
  }

 private:
  const bqe_attribute& Find(std::string_view name,
                            bqe_attribute_kind kind) const {
    for (uint32_t i = 0; i < node_->num_attributes; ++i) {
      const bqe_attribute& attribute = *node_->attributes[i];
      if (name == attribute.name && attribute.kind == kind) return attribute;
    }
    throw Error(BQE_ERROR_INVALID_ARGUMENT,
                "no attribute '" + std::string(name) + "' of the right kind");
  }
  const bqe_node* node_;
};

// --------------------------------------------------------------------- running

class RunContext {
 public:
  explicit RunContext(const bqe_run& run) : run_(&run) {}
  int64_t batch() const { return run_->batch; }
  uint32_t threads() const { return run_->threads; }
  template <typename T>
  const T* input(size_t i) const {
    return static_cast<const T*>(run_->inputs[i]);
  }
  template <typename T>
  T* output(size_t i) const {
    return static_cast<T*>(run_->outputs[i]);
  }
  void* workspace() const { return run_->workspace; }

  // body(index, thread) for every index in [0, count); see bqe_task. Within a
  // body, a loop runs on the body's own thread. If a body
  // throws, the loop ends, with some bodies left out, and the first exception
  // is thrown here.
  template <typename Body>
  void ParallelFor(int64_t count, const Body& body) const {
    struct Loop {
      const Body* body;
      std::atomic<bool> failed{false};
      std::exception_ptr exception;
    } loop{&body, {}, {}};
    run_->parallel_for(
        run_->parallel_context, count,
        [](void* argument, int64_t index, uint32_t thread) {
          Loop& loop = *static_cast<Loop*>(argument);
          if (loop.failed.load(std::memory_order_relaxed)) return;
          try {
            (*loop.body)(index, thread);
          } catch (...) {
            if (!loop.failed.exchange(true)) {
              loop.exception = std::current_exception();
            }
          }
        },
        &loop);
    if (loop.exception) std::rethrow_exception(loop.exception);
  }

 private:
  const bqe_run* run_;
};

// A compiled node. Immutable: Run is called from several threads at once.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual uint64_t WorkspaceBytes(int64_t /*batch*/,
                                  uint32_t /*threads*/) const {
    return 0;
  }
  virtual void Run(const RunContext& run) const = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  // constants' data may be null here.
  virtual bool Supports(const NodeView& node) const = 0;
  virtual std::unique_ptr<Kernel> Compile(const NodeView& node) const = 0;
};

// ------------------------------------------------------------------ the border

namespace internal {

inline bqe_status Report(bqe_error* error, bqe_status code,
                         const char* message) {
  if (error != nullptr && error->message != nullptr &&
      error->message_bytes > 0) {
    const size_t length =
        std::min<size_t>(std::strlen(message), error->message_bytes - 1);
    std::memcpy(error->message, message, length);
    error->message[length] = '\0';
  }
  return code;
}

template <typename Body>
bqe_status Guard(bqe_error* error, const Body& body) noexcept {
  try {
    body();
    return BQE_OK;
  } catch (const Error& e) {
    return Report(error, e.code(), e.what());
  } catch (const std::bad_alloc&) {
    return Report(error, BQE_ERROR_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return Report(error, BQE_ERROR_INTERNAL, e.what());
  } catch (...) {
    return Report(error, BQE_ERROR_INTERNAL, "unknown exception");
  }
}

inline bqe_kernel* WrapKernel(std::unique_ptr<Kernel> kernel) {
  if (kernel == nullptr) {
    throw Error(BQE_ERROR_INTERNAL, "Compile returned no kernel");
  }
  auto table = std::make_unique<bqe_kernel>();
  table->struct_size = sizeof(bqe_kernel);
  table->reserved = 0;
  table->workspace_bytes = [](const bqe_kernel* self, int64_t batch,
                              uint32_t threads) -> uint64_t {
    uint64_t bytes = UINT64_MAX;
    Guard(nullptr, [&] {
      bytes = static_cast<const Kernel*>(self->state)
                  ->WorkspaceBytes(batch, threads);
    });
    return bytes;
  };
  table->run = [](const bqe_kernel* self, const bqe_run* run,
                  bqe_error* error) -> bqe_status {
    return Guard(error, [&] {
      static_cast<const Kernel*>(self->state)->Run(RunContext(*run));
    });
  };
  table->destroy = [](bqe_kernel* self) {
    delete static_cast<Kernel*>(self->state);
    delete self;
  };
  table->state = kernel.release();
  return table.release();
}

}  // namespace internal

// A list of backends that lives as long as the process.
class Plugin {
 public:
  Plugin(std::string name, std::string version)
      : name_(std::move(name)), version_(std::move(version)) {}

  void Add(std::string name, std::string description, int32_t score,
           std::unique_ptr<Backend> implementation) {
    auto entry = std::make_unique<Entry>();
    entry->name = std::move(name);
    entry->description = std::move(description);
    entry->implementation = std::move(implementation);
    bqe_backend& table = entry->table;
    table.struct_size = sizeof(bqe_backend);
    table.score = score;
    table.name = entry->name.c_str();
    table.description = entry->description.c_str();
    table.context = entry->implementation.get();
    table.supports = [](const bqe_backend* self,
                        const bqe_node* node) -> int32_t {
      bool supported = false;
      const bqe_status status = internal::Guard(nullptr, [&] {
        supported =
            static_cast<Backend*>(self->context)->Supports(NodeView(*node));
      });
      return status == BQE_ERROR_OUT_OF_MEMORY ? BQE_SUPPORTS_OUT_OF_MEMORY
                                               : status == BQE_OK && supported;
    };
    table.compile = [](const bqe_backend* self, const bqe_node* node,
                       bqe_kernel** kernel, bqe_error* error) -> bqe_status {
      return internal::Guard(error, [&] {
        *kernel = internal::WrapKernel(
            static_cast<Backend*>(self->context)->Compile(NodeView(*node)));
      });
    };
    entries_.push_back(std::move(entry));
    tables_.push_back(&table);
  }

  // Fills what bqe_plugin_init has to fill.
  void Describe(bqe_plugin* plugin) const {
    plugin->abi_version = BQE_ABI_VERSION;
    plugin->name = name_.c_str();
    plugin->version = version_.c_str();
    plugin->num_backends = tables_.size();
    plugin->backends = tables_.data();
  }

 private:
  struct Entry {
    std::string name, description;
    std::unique_ptr<Backend> implementation;
    bqe_backend table;
  };
  std::string name_, version_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::vector<const bqe_backend*> tables_;
};

// The body of an init function: runs kMake once, a function
// `Plugin kMake(const bqe_host* host)`, and describes the result. A template
// parameter, and not an argument: each plug-in needs a static of its own.
template <auto kMake>
bqe_status InitPlugin(const bqe_host* host, bqe_plugin* plugin,
                      bqe_error* error) noexcept {
  return internal::Guard(error, [&] {
    // Never destroyed: kernels may be used while statics are torn down.
    static const Plugin* const instance = new Plugin(kMake(host));
    instance->Describe(plugin);
  });
}

}  // namespace bqengine::backend

// Defines bqe_plugin_init; make_plugin as kMake above. bqe_plugin_score, which
// may have to be compiled without the ISA flags of the rest, is the plug-in's.
#define BQE_DEFINE_PLUGIN_INIT(make_plugin)                                   \
  extern "C" BQE_EXPORT bqe_status bqe_plugin_init(                           \
      const bqe_host* host, bqe_plugin* plugin, bqe_error* error) {           \
    return ::bqengine::backend::InitPlugin<make_plugin>(host, plugin, error); \
  }

// Both symbols, for a plug-in that runs wherever its library can be loaded.
#define BQE_DEFINE_PLUGIN(make_plugin)                               \
  extern "C" BQE_EXPORT int32_t bqe_plugin_score(void) { return 1; } \
  BQE_DEFINE_PLUGIN_INIT(make_plugin)

#endif  // BQENGINE_BACKEND_HPP_
