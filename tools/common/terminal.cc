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

void IgnoreBrokenPipes() { std::signal(SIGPIPE, SIG_IGN); }

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
  std::string printable(text);
  std::replace_if(
      printable.begin(), printable.end(),
      [](char c) {
        const unsigned char byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7f;
      },
      '?');
  return printable;
}

}  // namespace bqengine::tools
