#include "common/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace bqengine::tools {
namespace {

// What stopped standard output: an errno, or 0.
int print_error = 0;

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

// The bytes of the character at the start of `text`; 0 if they are none, or one
// that neither terminals nor XML should get.
size_t CharacterSize(std::string_view text) {
  const auto first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  uint32_t code = first & (0xffu >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if (!IsContinuation(text[i])) return 0;
    code = code << 6 | (static_cast<uint8_t>(text[i]) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  const bool noncharacter = code == 0xfffe || code == 0xffff;
  const bool wrong = code < kLeast[size] || code > 0x10ffff;
  return surrogate || noncharacter || wrong ? 0 : size;
}

std::string WrapLine(std::string_view line, size_t width, size_t indent) {
  const size_t start = std::min(line.find_first_not_of(' '), line.size());
  std::string wrapped(line.substr(0, start));
  size_t column = start;
  bool first = true;
  line.remove_prefix(start);
  while (!line.empty()) {
    const size_t gap = std::min(line.find_first_not_of(' '), line.size());
    const size_t end = std::min(line.find(' ', gap), line.size());
    if (!first && column + end > width) {
      wrapped += '\n';
      wrapped.append(start + indent, ' ');
      wrapped += line.substr(gap, end - gap);
      column = start + indent + end - gap;
    } else {
      wrapped += line.substr(0, end);
      column += end;
    }
    first = false;
    line.remove_prefix(end);
  }
  return wrapped;
}

// Three digits that matter, but never fewer than the integer part has.
std::string ThreeDigits(double value) {
  return fmt::format("{:.{}f}", value,
                     value < 9.995   ? 2
                     : value < 99.95 ? 1
                                     : 0);
}

}  // namespace

int TerminalWidth(int fd, int otherwise) {
  winsize size;
  if (!IsTerminal(fd) || ioctl(fd, TIOCGWINSZ, &size) != 0 ||
      size.ws_col == 0) {
    return otherwise;
  }
  return size.ws_col;
}

bool IsTerminal(int fd) { return isatty(fd) == 1; }

void IgnoreWriteSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

void Print(std::string_view text) {
  while (!text.empty() && print_error == 0) {
    const ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      print_error = errno;
    }
  }
}

void PrintError(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      return;
    }
  }
}

Status FinishPrinting() {
  if (print_error == 0 || print_error == EPIPE) return Status();
  return Status(StatusCode::kIo,
                std::string("cannot write to standard output (") +
                    std::strerror(print_error) + ")");
}

std::string WrapLines(std::string_view text, int width, int indent) {
  std::string wrapped;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    wrapped += WrapLine(text.substr(0, end), static_cast<size_t>(width),
                        static_cast<size_t>(indent));
    if (end < text.size()) wrapped += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return wrapped;
}

std::string FormatMicroseconds(double us) {
  if (us < 999.5) return ThreeDigits(us) + " us";
  if (us < 999500) return ThreeDigits(us / 1e3) + " ms";
  return ThreeDigits(us / 1e6) + " s";
}

std::string FormatCount(double count) {
  if (count < 999.5) return ThreeDigits(count);
  if (count < 999.5e3) return ThreeDigits(count / 1e3) + " k";
  if (count < 999.5e6) return ThreeDigits(count / 1e6) + " M";
  if (count < 999.5e9) return ThreeDigits(count / 1e9) + " G";
  return ThreeDigits(count / 1e12) + " T";
}

std::string FormatBytes(int64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  const double count = static_cast<double>(bytes);
  if (bytes < 1000000) return fmt::format("{:.1f} kB", count / 1e3);
  return fmt::format("{:.2f} MB", count / 1e6);
}

std::string FormatRate(double per_second, std::string_view unit) {
  return fmt::format("{} {}/s", FormatCount(per_second), unit);
}

std::string Printable(std::string_view text) {
  std::string printable;
  while (!text.empty()) {
    const size_t size = CharacterSize(text);
    if (size == 0) {
      printable += '?';
    } else {
      printable += text.substr(0, size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return printable;
}

}  // namespace bqengine::tools
