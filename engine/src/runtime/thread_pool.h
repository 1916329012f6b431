// Threads for the parallel loops of one session.
#ifndef ENGINE_SRC_RUNTIME_THREAD_POOL_H_
#define ENGINE_SRC_RUNTIME_THREAD_POOL_H_

#include <cstdint>
#include <memory>

#include "bqengine/backend.h"

namespace bqengine {

class ThreadPool {
 public:
  // `threads` >= 1 share each loop, the caller of ParallelFor included, but no
  // more than the process has cores: TBB has no others, and says so on stderr.
  // One, where there was no memory when TBB should start. Throws
  // std::bad_alloc.
  explicit ThreadPool(int threads);
  ~ThreadPool();

  int threads() const { return threads_; }

  // See bqe_run::parallel_for. Loops of one pool must not overlap.
  void ParallelFor(int64_t count, bqe_task task, void* argument);

 private:
  class Team;
  int threads_;
  std::shared_ptr<Team> team_;  // null with one thread
};

// One per core that this process may use.
int DefaultThreads();

}  // namespace bqengine

#endif  // ENGINE_SRC_RUNTIME_THREAD_POOL_H_
