// The parallel loops of a session: every index once, thread numbers that no two
// tasks share at a time, and pools that come and go while helpers linger.
#include "runtime/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/one_core.h"

namespace bqengine {
namespace {

// Bounds the wait for another thread, so that a test fails in place of hanging.
constexpr std::chrono::seconds kLong{60};

struct Loop {
  Loop(int64_t count, int threads)
      : done(size_t(count)), busy(size_t(threads)) {}

  static void Task(void* argument, int64_t index, uint32_t thread) {
    Loop& loop = *static_cast<Loop*>(argument);
    if (loop.busy.at(thread).exchange(true)) loop.shared_thread = true;
    loop.done.at(size_t(index)).fetch_add(1);
    loop.busy[thread] = false;
  }

  void Check() const {
    for (size_t i = 0; i < done.size(); ++i) {
      ASSERT_EQ(done[i].load(), 1) << "index " << i;
    }
    EXPECT_FALSE(shared_thread);
  }

  std::vector<std::atomic<int>> done;
  std::vector<std::atomic<bool>> busy;
  std::atomic<bool> shared_thread{false};
};

void RunLoops(ThreadPool& pool, int loops) {
  for (int i = 0; i < loops; ++i) {
    Loop loop(i % 23, pool.threads());
    pool.ParallelFor(i % 23, Loop::Task, &loop);
    loop.Check();
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(ThreadPool, EveryIndexOnce) {
  for (int threads : {1, 2, 7}) {
    SCOPED_TRACE(threads);
    ThreadPool pool(threads);
    EXPECT_GE(pool.threads(), 1);
    EXPECT_LE(pool.threads(), threads);
    RunLoops(pool, 5000);
  }
  BQE_SKIP_ON_ONE_CORE();
}

// Helpers end between loops, or are about to.
TEST(ThreadPool, AfterPauses) {
  BQE_SKIP_ON_ONE_CORE();
  ThreadPool pool(2);
  for (int us = 0; us < 600; us += 7) {
    RunLoops(pool, 3);
    std::this_thread::sleep_for(std::chrono::microseconds(us));
  }
}

TEST(ThreadPool, DestroyedWhileHelpersWait) {
  BQE_SKIP_ON_ONE_CORE();
  for (int i = 0; i < 300; ++i) {
    ThreadPool pool(2);
    RunLoops(pool, i % 40);
  }
}

TEST(ThreadPool, SeveralAtOnce) {
  BQE_SKIP_ON_ONE_CORE();
  std::vector<std::thread> users;
  for (int i = 0; i < 3; ++i) {
    users.emplace_back([] {
      ThreadPool pool(2);
      RunLoops(pool, 1000);
    });
  }
  for (std::thread& user : users) user.join();
}

// The first two tasks wait for each other a moment, so that both threads are in
// the loop at once and go on working there. A helper may be on its way to
// another pool: then the loop goes on without.
struct Meeting : Loop {
  using Loop::Loop;
  static void Task(void* argument, int64_t index, uint32_t thread) {
    using Clock = std::chrono::steady_clock;
    Meeting& meeting = *static_cast<Meeting*>(argument);
    if (meeting.busy.at(thread).exchange(true)) meeting.shared_thread = true;
    if (index < 2) {
      meeting.threads.fetch_or(1u << thread);
      const auto end = Clock::now() + std::chrono::milliseconds(1);
      while (!meeting.Met() && Clock::now() < end) std::this_thread::yield();
    }
    std::this_thread::yield();
    meeting.busy[thread] = false;
    meeting.done.at(size_t(index)).fetch_add(1);
  }
  bool Met() const { return threads.load() == 3; }
  std::atomic<uint32_t> threads{0};
};

// Loops until both threads have met so often.
void Meet(ThreadPool& pool, int wanted) {
  const auto end = std::chrono::steady_clock::now() + kLong;
  for (int i = 0, met = 0; met < wanted; ++i) {
    Meeting meeting(2 + i % 40, 2);
    pool.ParallelFor(2 + i % 40, Meeting::Task, &meeting);
    meeting.Check();
    if (testing::Test::HasFatalFailure()) return;
    met += meeting.Met();
    ASSERT_LT(std::chrono::steady_clock::now(), end) << met << " meetings";
  }
}

TEST(ThreadPool, SecondThreadHelps) {
  BQE_SKIP_ON_ONE_CORE();
  ThreadPool pool(2);
  Meet(pool, 2000);
}

// TBB has one thread for both on a machine with two cores.
TEST(ThreadPool, BusyPoolsShareThreads) {
  BQE_SKIP_ON_ONE_CORE();
  ThreadPool busy(2);
  std::atomic<bool> stop{false};
  std::thread user([&] {
    while (!stop.load()) RunLoops(busy, 10);
  });
  {
    ThreadPool pool(2);
    Meet(pool, 5);
  }
  stop = true;
  user.join();
}

// Those of the process are in tasks of another pool, which end when this one
// has done all of its work alone.
TEST(ThreadPool, GoesOnWithoutHelpers) {
  BQE_SKIP_ON_ONE_CORE();
  struct Wait {
    std::atomic<int> inside{0};
    std::atomic<bool> go_on{false};
  } wait;
  const int threads = DefaultThreads();
  std::thread user([&] {
    ThreadPool busy(threads);
    busy.ParallelFor(
        threads,
        [](void* argument, int64_t /*index*/, uint32_t /*thread*/) {
          Wait& wait = *static_cast<Wait*>(argument);
          ++wait.inside;
          wait.go_on.wait(false);
        },
        &wait);
  });
  while (wait.inside < threads) std::this_thread::yield();
  {
    ThreadPool pool(2);
    RunLoops(pool, 1000);
  }
  wait.go_on = true;
  wait.go_on.notify_all();
  user.join();
}

// A loop of two tasks, one of which the helper has while the caller is done
// with the other: the caller waits for it.
struct LastTask {
  static void Task(void* argument, int64_t /*index*/, uint32_t thread) {
    LastTask& last = *static_cast<LastTask*>(argument);
    if (thread == 0) {
      last.caller = gettid();
      // The helper may be on its way to another pool.
      for (int i = 0; i < 10'000 && !last.helper_is_in; ++i) {
        std::this_thread::yield();
      }
      if (!last.helper_is_in) {
        last.missed = true;
        return;
      }
      if (last.real_time) last.SetRealTime();
      last.caller_is_done = true;
    } else {
      cpu_set_t before;
      sched_getaffinity(0, sizeof(before), &before);
      if (last.real_time) sched_setaffinity(0, sizeof(last.core), &last.core);
      last.helper_is_in = true;
      // Until the caller sleeps, or if it never does, long enough to see that.
      for (int i = 0; i < 30'000 && !last.caller_slept && !last.missed; ++i) {
        last.caller_slept = last.caller_is_done && Sleeps(last.caller);
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
      sched_setaffinity(0, sizeof(before), &before);
    }
  }

  // The state of a thread comes behind its name, which is in brackets.
  static bool Sleeps(pid_t thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
    const std::string stat(std::istreambuf_iterator<char>(file), {});
    const size_t name_end = stat.rfind(')');
    return name_end != std::string::npos && stat.substr(name_end, 3) == ") S";
  }

  // Loops until the two were in one.
  void Run(ThreadPool& pool) {
    while (!caller_is_done) {
      helper_is_in = missed = false;
      pool.ParallelFor(2, Task, this);
    }
  }

  static bool SetRealTime() {
    const sched_param priority = {.sched_priority = 1};
    return sched_setscheduler(0, SCHED_FIFO, &priority) == 0;
  }

  bool real_time = false;  // the caller, on `core`, where the helper goes
  cpu_set_t core = {};
  std::atomic<pid_t> caller{0};
  std::atomic<bool> helper_is_in{false}, caller_is_done{false};
  std::atomic<bool> caller_slept{false}, missed{false};
};

TEST(ThreadPool, CallerSleepsUntilTheLastTaskIsDone) {
  BQE_SKIP_ON_ONE_CORE();
  ThreadPool pool(2);
  LastTask last;
  last.Run(pool);
  EXPECT_TRUE(last.caller_slept) << "it kept its core";
}

// A thread of real-time priority keeps a core from all others until it sleeps;
// that it yields means nothing to them.
TEST(ThreadPool, RealTimeCallerLeavesItsCoreToTheHelper) {
  BQE_SKIP_ON_ONE_CORE();
  bool permitted = false;
  LastTask last;
  std::thread user([&] {
    ThreadPool pool(2);
    permitted = LastTask::SetRealTime();
    if (!permitted) return;
    const sched_param none = {};
    sched_setscheduler(0, SCHED_OTHER, &none);
    last.real_time = true;
    CPU_ZERO(&last.core);
    CPU_SET(sched_getcpu(), &last.core);
    sched_setaffinity(0, sizeof(last.core), &last.core);
    last.Run(pool);
  });
  user.join();
  if (!permitted) GTEST_SKIP() << "real-time priority is not permitted";
  EXPECT_TRUE(last.caller_slept) << "it kept its core";
}

// What a task throws reaches the caller of the loop, whoever ran the task, and
// the pool goes on.
TEST(ThreadPool, ExceptionsReachTheCaller) {
  for (int threads : {1, 2}) {
    ThreadPool pool(threads);
    for (int i = 0; i < 500; ++i) {
      int first = i % 20;
      EXPECT_THROW(pool.ParallelFor(
                       20,
                       [](void* argument, int64_t index, uint32_t /*thread*/) {
                         std::this_thread::yield();
                         if (index >= *static_cast<int*>(argument)) {
                           throw std::runtime_error("a task");
                         }
                       },
                       &first),
                   std::runtime_error);
      RunLoops(pool, 3);
    }
  }
  BQE_SKIP_ON_ONE_CORE();
}

// A loop in a loop runs on its thread.
struct Nest {
  static void Outer(void* argument, int64_t /*index*/, uint32_t thread) {
    Nest nest = *static_cast<Nest*>(argument);
    nest.thread = thread;
    nest.pool->ParallelFor(3, Inner, &nest);
  }
  static void Inner(void* argument, int64_t /*index*/, uint32_t thread) {
    Nest& nest = *static_cast<Nest*>(argument);
    nest.done->fetch_add(1);
    if (thread != nest.thread) nest.wrong_thread->store(true);
  }
  ThreadPool* pool;
  std::atomic<int>* done;
  std::atomic<bool>* wrong_thread;
  uint32_t thread = 0;
};

TEST(ThreadPool, LoopsInLoops) {
  for (int threads : {1, 2}) {
    ThreadPool pool(threads);
    for (int i = 0; i < 500; ++i) {
      std::atomic<int> done{0};
      std::atomic<bool> wrong_thread{false};
      Nest nest = {&pool, &done, &wrong_thread};
      pool.ParallelFor(20, Nest::Outer, &nest);
      ASSERT_EQ(done.load(), 20 * 3);
      ASSERT_FALSE(wrong_thread.load());
    }
  }
  BQE_SKIP_ON_ONE_CORE();
}

}  // namespace
}  // namespace bqengine
