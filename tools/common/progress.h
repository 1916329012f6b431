// A progress bar for work that makes people wait.
#ifndef BQENGINE_TOOLS_COMMON_PROGRESS_H_
#define BQENGINE_TOOLS_COMMON_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace bqengine::tools {

// Draws on standard error, only if that is a terminal, and only from the third
// second on; clears its line in the end. Update is cheap enough for each step.
class Progress {
 public:
  Progress(std::string label, int64_t total);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  // `note` stands behind the count: "loss 0.12".
  void Update(int64_t done, const std::string& note = "");

 private:
  using Clock = std::chrono::steady_clock;

  std::string label_;
  int64_t total_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point next_;  // when to draw again
};

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_PROGRESS_H_
