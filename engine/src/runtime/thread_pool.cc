#include "runtime/thread_pool.h"

#include <oneapi/tbb/info.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <atomic>

namespace bqengine {

struct ThreadPool::Arena {
  explicit Arena(int threads) : arena(threads) {}
  tbb::task_arena arena;
};

ThreadPool::ThreadPool(int threads)
    : threads_(std::min(threads, DefaultThreads())),
      arena_(threads_ > 1 ? std::make_unique<Arena>(threads_) : nullptr) {}

ThreadPool::~ThreadPool() = default;

void ThreadPool::ParallelFor(int64_t count, bqe_task task, void* argument) {
  if (arena_ == nullptr || count <= 1) {
    for (int64_t i = 0; i < count; ++i) task(argument, i, 0);
    return;
  }
  // Each thread takes the next index until none is left: tasks balance
  // themselves, and TBB makes one task object a thread, not one an index.
  std::atomic<int64_t> next{0};
  const auto drain = [&](uint32_t thread) {
    for (int64_t i = next.fetch_add(1, std::memory_order_relaxed); i < count;
         i = next.fetch_add(1, std::memory_order_relaxed)) {
      task(argument, i, thread);
    }
  };
  try {
    arena_->arena.execute([&] {
      tbb::parallel_for(
          0, threads_,
          [&](int) {
            drain(static_cast<uint32_t>(
                tbb::this_task_arena::current_thread_index()));
          },
          tbb::simple_partitioner());
    });
  } catch (...) {
    // TBB could not start tasks. All that did start have ended; the caller does
    // the rest.
    drain(0);
  }
}

int DefaultThreads() { return tbb::info::default_concurrency(); }

}  // namespace bqengine
