#include "files/write_all.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

namespace bqengine::files {
namespace {

// Keeps SIGXFSZ, which ends a process that does not expect it, from this thread
// (that of the failed write is sent to its thread and no other).
class NoFileSizeSignal {
 public:
  NoFileSizeSignal() {
    sigemptyset(&signal_);
    sigaddset(&signal_, SIGXFSZ);
    sigset_t pending;
    was_pending_ =
        sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 1;
    is_blocked_ = pthread_sigmask(SIG_BLOCK, &signal_, &mask_) == 0;
  }
  NoFileSizeSignal(const NoFileSizeSignal&) = delete;
  NoFileSizeSignal& operator=(const NoFileSizeSignal&) = delete;
  ~NoFileSizeSignal() {
    if (is_blocked_) pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }

  // Takes back the signal of a write that failed; not one of the host's.
  void TakeBack() const {
    if (was_pending_) return;
    const timespec at_once = {};
    while (sigtimedwait(&signal_, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  }

 private:
  sigset_t signal_, mask_;
  bool was_pending_, is_blocked_;
};

}  // namespace

bool WriteAll(int descriptor, std::span<const std::byte> bytes) {
  const NoFileSizeSignal guard;
  while (!bytes.empty()) {
    const ssize_t done = write(descriptor, bytes.data(), bytes.size());
    if (done > 0) {
      bytes = bytes.subspan(static_cast<size_t>(done));
      continue;
    }
    const int error = done < 0 ? errno : EIO;
    if (error == EINTR) continue;
    if (error == EFBIG) guard.TakeBack();
    errno = error;
    return false;
  }
  return true;
}

}  // namespace bqengine::files
