#include "bqengine/session.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <new>
#include <utility>

#include "border.h"
#include "graph/limits.h"
#include "graph/packed.h"
#include "runtime/backend_border.h"
#include "runtime/backend_registry.h"
#include "runtime/memory_planner.h"
#include "runtime/model_impl.h"
#include "runtime/thread_pool.h"

namespace bqengine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostThreads = 1024;

constexpr std::align_val_t kAlignment{kArenaAlignment};

struct Free {
  void operator()(void* memory) const { ::operator delete(memory, kAlignment); }
};

double Microseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

Status InvalidArgument(std::string message) {
  return Status(StatusCode::kInvalidArgument, std::move(message));
}

void RunParallel(void* pool, int64_t count, bqe_task task, void* argument) {
  static_cast<ThreadPool*>(pool)->ParallelFor(count, task, argument);
}

uintptr_t Address(const void* data) {
  return reinterpret_cast<uintptr_t>(data);
}

template <typename View>
bool Overlap(const OutputView& output, const View& other) {
  return Address(other.data) < Address(output.data) + output.bytes &&
         Address(output.data) < Address(other.data) + other.bytes;
}

// A view of caller's memory must be as long as the tensor and aligned.
Status CheckView(const std::string& name, const TensorInfo& info, int64_t batch,
                 const void* data, size_t bytes) {
  auto expected = ByteCount(info, batch);
  if (!expected.ok() || static_cast<uint64_t>(*expected) != bytes) {
    return InvalidArgument(
        "tensor '" + name + "' has " + std::to_string(bytes) +
        " bytes, but a batch of " + std::to_string(batch) + " needs " +
        (expected.ok() ? std::to_string(*expected) : "too many"));
  }
  const size_t alignment = IsBits(info.type)      ? sizeof(uint64_t)
                           : IsInteger(info.type) ? sizeof(uint8_t)
                                                  : sizeof(float);
  if (data == nullptr || Address(data) % alignment != 0) {
    return InvalidArgument("tensor '" + name + "' is null or not aligned");
  }
  return Status();
}

// The same, and nothing beyond the ends of packed rows.
Status CheckInput(const std::string& name, const TensorInfo& info,
                  int64_t batch, const InputView& view) {
  if (Status s = CheckView(name, info, batch, view.data, view.bytes); !s.ok()) {
    return s;
  }
  if (!IsBits(info.type)) return Status();
  const std::span words(static_cast<const uint64_t*>(view.data),
                        view.bytes / sizeof(uint64_t));
  if (const auto row = RowWithStrayBits(words, info.shape.back())) {
    return InvalidArgument(
        "tensor '" + name + "': row " + std::to_string(*row) + " of " +
        std::to_string(info.shape.back()) + " bits has bits beyond its end");
  }
  return Status();
}

// The backend of most steps.
std::string MainBackend(const Program& program) {
  std::map<std::string, int> count;
  std::string best;
  for (const Step& step : program.steps()) {
    if (++count[step.backend] > count[best]) best = step.backend;
  }
  return best;
}

// The name of the node that writes the largest buffer, or has the largest
// workspace.
const std::string& LargestNode(const Program& program,
                               const std::vector<BufferLifetime>& lifetimes) {
  const auto largest = std::max_element(
      lifetimes.begin(), lifetimes.end(),
      [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
  const auto step = static_cast<size_t>(largest->first);
  return program.steps()[step].node->node().name;
}

}  // namespace

struct Session::Impl {
  Impl(Model model, const SessionOptions& options)
      : model(std::move(model)), options(options), pool(options.threads) {}

  Status Reserve();
  void Bind(std::span<const InputView> inputs,
            std::span<const OutputView> outputs);
  Status Execute(int64_t batch);

  Model model;
  SessionOptions options;
  ThreadPool pool;
  std::shared_ptr<const Program> program;
  std::string backend;

  std::unique_ptr<void, Free> arena;
  size_t arena_bytes = 0;
  std::vector<void*> memory;  // of each buffer; the caller's are set in a run
  std::vector<void*> workspaces;                 // of each step
  std::vector<std::vector<const void*>> inputs;  // of each step
  std::vector<std::vector<void*>> outputs;       // of each step
  std::vector<NodeProfile> profile;              // of each step
};

// Plans the arena for the largest batch: buffers, then workspaces, each alive
// in its own step.
Status Session::Impl::Reserve() {
  std::vector<BufferLifetime> lifetimes;
  for (const Buffer& buffer : program->buffers()) {
    uint64_t bytes = 0;
    if (buffer.storage == Storage::kArena) {
      auto count = ByteCount(buffer.info, options.max_batch);
      if (!count.ok()) {
        return Status(StatusCode::kOutOfMemory, count.status().message());
      }
      bytes = static_cast<uint64_t>(*count);
    }
    lifetimes.push_back({bytes, buffer.first_step, buffer.last_step});
  }
  for (size_t i = 0; i < program->steps().size(); ++i) {
    const bqe_kernel* kernel = program->steps()[i].kernel.get();
    uint64_t bytes = 0;
    if (kernel->workspace_bytes != nullptr) {
      const std::string& who = program->steps()[i].kernel.get_deleter().who;
      Status status = CallBackend(who, [&](bqe_error* /*error*/) {
        bytes = kernel->workspace_bytes(kernel, options.max_batch,
                                        static_cast<uint32_t>(pool.threads()));
        return BQE_OK;
      });
      if (!status.ok()) return status;
      if (bytes == UINT64_MAX) {
        return Status(StatusCode::kOutOfMemory,
                      who + ": cannot express its workspace");
      }
    }
    const int64_t step = static_cast<int64_t>(i);
    lifetimes.push_back({bytes, step, step});
  }
  auto plan = PlanMemory(lifetimes);
  if (!plan.ok()) {
    return Status(plan.status().code(), "the activations of a batch of " +
                                            std::to_string(options.max_batch) +
                                            ": " + plan.status().message());
  }

  if (plan->bytes > options.max_arena_bytes) {
    return LimitExceeded(
        "node '" + LargestNode(*program, lifetimes) + "' needs most of the " +
            std::to_string(plan->bytes) + " bytes that a batch of " +
            std::to_string(options.max_batch) + " takes",
        "max_arena_bytes", options.max_arena_bytes);
  }
  arena_bytes = plan->bytes;
  if (arena_bytes > 0) {
    arena.reset(::operator new(arena_bytes, kAlignment, std::nothrow));
    if (arena == nullptr) {
      return Status(StatusCode::kOutOfMemory,
                    "no memory for an arena of " + std::to_string(arena_bytes) +
                        " bytes (batch " + std::to_string(options.max_batch) +
                        ")");
    }
  }
  const auto place = [&](size_t i) -> void* {
    return static_cast<char*>(arena.get()) + plan->offsets[i];
  };
  const size_t buffers = program->buffers().size();
  for (size_t i = 0; i < buffers; ++i) memory.push_back(place(i));
  for (const Step& step : program->steps()) {
    workspaces.push_back(place(buffers + workspaces.size()));
    inputs.emplace_back(step.inputs.size());
    outputs.emplace_back(step.outputs.size());
    profile.push_back({.name = step.node->node().name,
                       .op = step.node->node().op,
                       .backend = step.backend,
                       .output_shape = step.output_shape});
  }
  return Status();
}

void Session::Impl::Bind(std::span<const InputView> input_views,
                         std::span<const OutputView> output_views) {
  const std::vector<Buffer>& buffers = program->buffers();
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (buffers[i].storage == Storage::kGraphInput) {
      // Only ever read: the interface passes it as const.
      memory[i] = const_cast<void*>(input_views[buffers[i].position].data);
    } else if (buffers[i].storage == Storage::kGraphOutput) {
      memory[i] = output_views[buffers[i].position].data;
    }
  }
}

Status Session::Impl::Execute(int64_t batch) {
  const Clock::time_point run_start = Clock::now();
  for (size_t i = 0; i < program->steps().size(); ++i) {
    const Step& step = program->steps()[i];
    for (size_t k = 0; k < step.inputs.size(); ++k) {
      inputs[i][k] = memory[step.inputs[k]];
    }
    for (size_t k = 0; k < step.outputs.size(); ++k) {
      outputs[i][k] = memory[step.outputs[k]];
    }
    const bqe_run run = {.struct_size = sizeof(bqe_run),
                         .threads = static_cast<uint32_t>(pool.threads()),
                         .batch = batch,
                         .inputs = inputs[i].data(),
                         .outputs = outputs[i].data(),
                         .workspace = workspaces[i],
                         .parallel_for = RunParallel,
                         .parallel_context = &pool};
    const Clock::time_point start =
        options.profile ? Clock::now() : Clock::time_point();
    Status status =
        CallBackend(step.kernel.get_deleter().who, [&](bqe_error* error) {
          return step.kernel->run(step.kernel.get(), &run, error);
        });
    if (!status.ok()) return status;
    if (options.profile) {
      NodeProfile& entry = profile[i];
      entry.last_us = Microseconds(Clock::now() - start);
      entry.last_start_us = Microseconds(start - run_start);
      entry.total_us += entry.last_us;
      entry.macs = step.macs_per_item * static_cast<double>(batch);
      ++entry.runs;
    }
  }
  return Status();
}

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::Create(const Model& model,
                                const SessionOptions& given) {
  return AtBorder("a session", [&]() -> Result<Session> {
    SessionOptions options = given;
    if (options.threads == 0) options.threads = DefaultThreads();
    if (options.threads < 1 || options.threads > kMostThreads) {
      return InvalidArgument("the number of threads must be 0 to " +
                             std::to_string(kMostThreads) + ", not " +
                             std::to_string(options.threads));
    }
    if (options.max_batch < 1) {
      return InvalidArgument("the largest batch must be 1 or more, not " +
                             std::to_string(options.max_batch));
    }
    if (options.backend.empty()) {
      const char* variable = std::getenv("BQENGINE_BACKEND");
      if (variable != nullptr) options.backend = variable;
    }
    auto backends = BackendsInOrder(options.backend);
    if (!backends.ok()) return backends.status();

    auto impl = std::make_unique<Impl>(model, options);
    auto program = model.impl_->ProgramFor(*backends, options.optimize);
    if (!program.ok()) return program.status();
    impl->program = *std::move(program);
    impl->backend = MainBackend(*impl->program);
    if (Status s = impl->Reserve(); !s.ok()) return s;
    return Session(std::move(impl));
  });
}

Status Session::Run(int64_t batch, std::span<const InputView> inputs,
                    std::span<const OutputView> outputs) {
  return AtBorder([&]() -> Status {
    const Model& model = impl_->model;
    if (batch < 1 || batch > impl_->options.max_batch) {
      return InvalidArgument("the batch is " + std::to_string(batch) +
                             ", but this session was made for 1 to " +
                             std::to_string(impl_->options.max_batch));
    }
    if (inputs.size() != model.num_inputs() ||
        outputs.size() != model.num_outputs()) {
      return InvalidArgument(
          "the model has " + std::to_string(model.num_inputs()) +
          " inputs and " + std::to_string(model.num_outputs()) + " outputs");
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (Status s =
              CheckInput(model.input_name(i), model.input(i), batch, inputs[i]);
          !s.ok()) {
        return s;
      }
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (Status s = CheckView(model.output_name(i), model.output(i), batch,
                               outputs[i].data, outputs[i].bytes);
          !s.ok()) {
        return s;
      }
      for (const InputView& input : inputs) {
        if (Overlap(outputs[i], input)) {
          return InvalidArgument("output '" + model.output_name(i) +
                                 "' overlaps an input");
        }
      }
      for (size_t k = 0; k < i; ++k) {
        if (Overlap(outputs[i], outputs[k])) {
          return InvalidArgument("output '" + model.output_name(i) +
                                 "' overlaps another output");
        }
      }
    }
    impl_->Bind(inputs, outputs);
    return impl_->Execute(batch);
  });
}

Status Session::Run(std::span<const float> input, std::span<float> output) {
  return AtBorder([&]() -> Status {
    const Model& model = impl_->model;
    if (model.num_inputs() != 1 || model.num_outputs() != 1 ||
        model.input(0).type != DataType::kFloat32 ||
        model.output(0).type != DataType::kFloat32) {
      return InvalidArgument(
          "the model does not have one input and one output of floats");
    }
    auto item_bytes = ByteCount(model.input(0));
    if (!item_bytes.ok()) return item_bytes.status();
    const int64_t batch =
        static_cast<int64_t>(input.size_bytes()) / *item_bytes;
    const InputView input_view = {input.data(), input.size_bytes()};
    const OutputView output_view = {output.data(), output.size_bytes()};
    return Run(batch, {&input_view, 1}, {&output_view, 1});
  });
}

const Model& Session::model() const { return impl_->model; }
int Session::threads() const { return impl_->pool.threads(); }
const std::string& Session::backend() const { return impl_->backend; }
const std::vector<NodeProfile>& Session::profile() const {
  return impl_->profile;
}
size_t Session::arena_bytes() const { return impl_->arena_bytes; }

}  // namespace bqengine
