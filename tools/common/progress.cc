#include "common/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/terminal.h"

namespace bqengine::tools {

Progress::Progress(std::string label, int64_t total)
    : label_(std::move(label)),
      total_(std::max<int64_t>(total, 1)),
      terminal_(IsTerminal(STDERR_FILENO)),
      next_(Clock::now() + std::chrono::seconds(2)) {}

Progress::~Progress() {
  if (drawn_) PrintErrorRaw("\r\x1b[K");
}

void Progress::Update(int64_t done, const std::string& note) {
  if (!terminal_ || Clock::now() < next_) return;
  next_ = Clock::now() + std::chrono::milliseconds(100);
  drawn_ = true;

  // The last column stays free: some terminals wrap when it is filled.
  const int columns = TerminalWidth(STDERR_FILENO, 80) - 1;
  std::string text = fmt::format("{} {}/{} ", Printable(label_), done, total_);
  if (!note.empty()) text += Printable(note) + " ";
  text = text.substr(0, static_cast<size_t>(columns));
  const int room = columns - 2 - static_cast<int>(text.size());
  std::string bar;
  if (room >= 8) {
    const int width = std::min(room, 40);
    const int full = static_cast<int>(done * width / total_);
    bar = fmt::format("[{:-<{}}]", std::string(static_cast<size_t>(full), '#'),
                      width);
  }
  PrintErrorRaw(fmt::format("\r{}{}\x1b[K", text, bar));
}

}  // namespace bqengine::tools
