// A pool of threads for which there is no memory. TBB takes its memory from the
// system by mmap (tbbmalloc); this program stands between.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>
#include <thread>

#include "runtime/thread_pool.h"

namespace {

constexpr int kNever = 1 << 30;
std::atomic<int> g_left{kNever};  // requests that are still granted

bool IsGranted() { return g_left.load() == kNever || g_left.fetch_sub(1) > 0; }

}  // namespace

extern "C" {
__attribute__((visibility("default"))) void* mmap(void* address, size_t bytes,
                                                  int protection, int flags,
                                                  int file,
                                                  off_t offset) noexcept {
  if (!IsGranted()) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return reinterpret_cast<void*>(
      syscall(SYS_mmap, address, bytes, protection, flags, file, offset));
}
}

namespace bqengine {
namespace {

constexpr int kTasks = 1000;

// Every task runs once.
bool LoopIsRight(ThreadPool& pool) {
  std::atomic<int> done{0};
  pool.ParallelFor(
      kTasks,
      [](void* argument, int64_t, uint32_t) {
        static_cast<std::atomic<int>*>(argument)->fetch_add(1);
      },
      &done);
  return done.load() == kTasks;
}

// In a child, for TBB starts once in a process: the requests behind the first
// `granted` fail until a pool has been made and used.
int ExitCode(int granted, bool* failed) {
  const pid_t child = fork();
  if (child == 0) {
    bool right = true, all_granted = false;
    g_left.store(granted);
    try {
      ThreadPool pool(2);
      right = LoopIsRight(pool);
      all_granted = g_left.load() >= 0;
      g_left.store(kNever);
      for (int i = 0; i < 10; ++i) right = LoopIsRight(pool) && right;
    } catch (const std::bad_alloc&) {
    }
    g_left.store(kNever);
    ThreadPool pool(2);
    for (int i = 0; i < 10; ++i) right = LoopIsRight(pool) && right;
    _exit(!right ? 2 : all_granted ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status)) return -1;
  *failed = WEXITSTATUS(status) == 0;
  return WEXITSTATUS(status);
}

TEST(ThreadPoolMemory, AStartThatFailsCanBeRepeated) {
  if (std::thread::hardware_concurrency() < 2) {
    GTEST_SKIP() << "there is one core, and so no helper";
  }
  bool failed = true;
  int granted = 0;
  for (; failed; ++granted) {
    const int code = ExitCode(granted, &failed);
    ASSERT_GE(code, 0) << "the process died; granted: " << granted;
    ASSERT_LE(code, 1) << "tasks were left out; granted: " << granted;
  }
  if (granted == 1) GTEST_SKIP() << "TBB does without mmap: no tbbmalloc";
}

}  // namespace
}  // namespace bqengine
