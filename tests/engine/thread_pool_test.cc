// The parallel loops of a session: every index once, thread numbers that no two
// tasks share at a time, and pools that come and go while helpers linger.
#include "runtime/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

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
}

// Helpers end between loops, or are about to.
TEST(ThreadPool, AfterPauses) {
  ThreadPool pool(2);
  for (int us = 0; us < 600; us += 7) {
    RunLoops(pool, 3);
    std::this_thread::sleep_for(std::chrono::microseconds(us));
  }
}

TEST(ThreadPool, DestroyedWhileHelpersWait) {
  for (int i = 0; i < 300; ++i) {
    ThreadPool pool(2);
    RunLoops(pool, i % 40);
  }
}

TEST(ThreadPool, SeveralAtOnce) {
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
  ThreadPool pool(2);
  if (pool.threads() < 2) GTEST_SKIP() << "one core";
  Meet(pool, 2000);
}

// TBB has one thread for both on a machine with two cores.
TEST(ThreadPool, BusyPoolsShareThreads) {
  ThreadPool busy(2);
  if (busy.threads() < 2) GTEST_SKIP() << "one core";
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

}  // namespace
}  // namespace bqengine
