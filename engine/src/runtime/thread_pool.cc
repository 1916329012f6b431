#include "runtime/thread_pool.h"

#include <oneapi/tbb/task_arena.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/float_mode.h"

namespace bqengine {
namespace {

// Helpers of all teams that TBB has not started yet.
std::atomic<int64_t> waiting{0};

// The loops that this thread is in a task of, the innermost first.
struct Frame {
  const void* team;
  uint32_t thread;  // its number there
  const Frame* outer;
};
thread_local const Frame* frames = nullptr;

const Frame* FindFrame(const void* team) {
  const Frame* frame = frames;
  while (frame != nullptr && frame->team != team) frame = frame->outer;
  return frame;
}

// TBB starts with its first arena. Where that finds no memory, whoever tries
// again waits for ever.
std::mutex start;
enum class Tbb { kNotStarted, kStarted, kCannotStart };
Tbb tbb_state = Tbb::kNotStarted;

bool HelpersCanBe() {
  const std::lock_guard lock(start);
  return tbb_state != Tbb::kCannotStart;
}

// With its number given here, for an arena that makes itself at first use waits
// for ever, too, once that has failed.
void MakeArena(tbb::task_arena* arena, int threads) {
  const std::lock_guard lock(start);
  if (tbb_state == Tbb::kCannotStart) throw std::bad_alloc();
  try {
    arena->initialize(threads);
    tbb_state = Tbb::kStarted;
  } catch (...) {
    if (tbb_state == Tbb::kNotStarted) tbb_state = Tbb::kCannotStart;
    throw;
  }
}

}  // namespace

// The loop of the moment, and the helpers: tasks of TBB that take part in it
// and in those that follow soon, for a sleeping thread takes as long to wake as
// a layer to compute. A helper that has found no loop for a while ends. So
// does, after a longer while, one that has: TBB has few threads, and the
// helpers of other sessions wait for them.
//
// Helpers own the team with the pool, which therefore need not wait for one
// that TBB has not started yet.
class ThreadPool::Team {
 public:
  // Throws std::bad_alloc.
  explicit Team(int threads) : helping_(size_t(threads - 1)) {
    MakeArena(&arena_, threads);
  }

  static void Run(const std::shared_ptr<Team>& team, int64_t count,
                  bqe_task task, void* argument) {
    team->task_ = task;
    team->argument_ = argument;
    team->count_ = count;
    team->next_.store(0);
    team->joined_.fetch_sub(kClosed);
    for (size_t i = 0; i < team->helping_.size(); ++i) Call(team, i);
    team->Drain(0);
    team->Close();
    if (team->failed_.load()) {
      team->failed_.store(false);
      std::rethrow_exception(std::exchange(team->exception_, nullptr));
    }
  }

  void Stop() { stopping_.store(true); }

 private:
  // Far above the number of threads. An int: what the system can wait for.
  static constexpr int kClosed = 1 << 24;
  static constexpr std::chrono::microseconds kPatience{200};
  static constexpr std::chrono::microseconds kSpin{50};
  static constexpr std::chrono::milliseconds kShift{5};
  static constexpr std::chrono::milliseconds kRest{100};
  using Clock = std::chrono::steady_clock;
  static Clock::rep Now() { return Clock::now().time_since_epoch().count(); }

  // Makes helper i unless it is there.
  static void Call(const std::shared_ptr<Team>& team, size_t i) {
    if (waiting.load() > 0 && Now() < team->rest_end_.load()) return;
    if (team->helping_[i].exchange(true)) return;
    waiting.fetch_add(1);
    try {
      team->arena_.enqueue([team, i] { team->Help(i); });
    } catch (...) {
      // No memory for a task: the others do its part.
      waiting.fetch_sub(1);
      team->helping_[i].store(false);
    }
  }

  void Help(size_t i) {
    waiting.fetch_sub(1);
    const auto shift_end = Clock::now() + kShift;
    bool relieved = false;
    do {
      auto end = Clock::now() + kPatience;
      while (!stopping_.load() && !relieved && Clock::now() < end) {
        if (Join(uint32_t(i) + 1)) {
          end = Clock::now() + kPatience;
        } else {
          std::this_thread::yield();
        }
        relieved = waiting.load() > 0 && Clock::now() > shift_end;
      }
      if (relieved)
        rest_end_.store((Clock::now() + kRest).time_since_epoch().count());
      helping_[i].store(false);
      // A loop may have been opened just before that, by one who saw us here.
    } while (!stopping_.load() && !relieved && IsOpen() &&
             !helping_[i].exchange(true));
  }

  bool IsOpen() const {
    return joined_.load() < kClosed && next_.load() < count_.load();
  }

  // Takes part in the loop, if there is one with tasks left.
  bool Join(uint32_t thread) {
    if (!IsOpen()) return false;
    const bool open = joined_.fetch_add(1) < kClosed;
    if (open) {
      const DefaultFloatMode mode;  // tasks are a backend's, who may change it
      Drain(thread);
    }
    if (joined_.fetch_sub(1) - 1 == kClosed) joined_.notify_one();
    return open;
  }

  // Who joins from now on finds the loop closed. Who has joined is waited for:
  // a moment in motion, since most are about to leave; then asleep, for one
  // that has lost its core may need ours, which a thread of real-time priority
  // does not give up by yielding.
  void Close() {
    int joined = joined_.fetch_or(kClosed) | kClosed;
    if (joined == kClosed) return;
    const auto end = Clock::now() + kSpin;
    while ((joined = joined_.load()) != kClosed && Clock::now() < end) {
      std::this_thread::yield();
    }
    for (; joined != kClosed; joined = joined_.load()) joined_.wait(joined);
  }

  // Each thread takes the next index until none is left: tasks balance
  // themselves.
  void Drain(uint32_t thread) {
    const Frame frame = {this, thread, frames};
    frames = &frame;
    const int64_t count = count_.load();
    try {
      for (int64_t i = next_.fetch_add(1); i < count; i = next_.fetch_add(1)) {
        task_(argument_, i, thread);
      }
    } catch (...) {
      next_.store(count);  // the tasks that nobody has begun are left out
      if (!failed_.exchange(true)) exception_ = std::current_exception();
    }
    frames = frame.outer;
  }

  tbb::task_arena arena_;
  std::vector<std::atomic<bool>> helping_;
  std::atomic<bool> stopping_{false};
  std::atomic<Clock::rep> rest_end_{0};  // until then others are called first

  // Helpers inside, plus kClosed if no more may enter: those who find that
  // leave at once.
  alignas(64) std::atomic<int> joined_{kClosed};
  std::atomic<int64_t> count_{0};
  // Written only while closed and nobody is inside.
  bqe_task task_ = nullptr;
  void* argument_ = nullptr;
  // What a task has thrown; the first counts.
  std::atomic<bool> failed_{false};
  std::exception_ptr exception_;
  alignas(64) std::atomic<int64_t> next_{0};
};

ThreadPool::ThreadPool(int threads)
    : threads_(HelpersCanBe() ? std::min(threads, DefaultThreads()) : 1),
      team_(threads_ > 1 ? std::make_shared<Team>(threads_) : nullptr) {}

ThreadPool::~ThreadPool() {
  if (team_ != nullptr) team_->Stop();
}

void ThreadPool::ParallelFor(int64_t count, bqe_task task, void* argument) {
  const Frame* const frame = FindFrame(team_.get());
  if (team_ == nullptr || count <= 1 || frame != nullptr) {
    const uint32_t thread = frame == nullptr ? 0 : frame->thread;
    for (int64_t i = 0; i < count; ++i) task(argument, i, thread);
    return;
  }
  Team::Run(team_, count, task, argument);
}

// Not tbb::info::default_concurrency: it is one more start that can fail.
int DefaultThreads() {
  cpu_set_t usable;
  const int count = sched_getaffinity(0, sizeof(usable), &usable) == 0
                        ? CPU_COUNT(&usable)
                        : static_cast<int>(std::thread::hardware_concurrency());
  return std::max(count, 1);
}

}  // namespace bqengine
