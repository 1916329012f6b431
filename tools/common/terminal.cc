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

struct Character {
  uint32_t code;
  size_t bytes;  // 0: no valid UTF-8
};

// At the start of `text`, which is not empty.
Character FirstCharacter(std::string_view text) {
  constexpr Character kNone = {0, 0};
  const auto first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) return {first, 1};
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return kNone;
  uint32_t code = first & (0xffu >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if (!IsContinuation(text[i])) return kNone;
    code = code << 6 | (static_cast<uint8_t>(text[i]) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  const bool wrong = code < kLeast[size] || code > 0x10ffff;
  return surrogate || wrong ? kNone : Character{code, size};
}

// What commands a terminal, changes what stands around it, or cannot be seen:
// control characters (of both sets: 9B alone starts an escape sequence), line
// and paragraph ends, what turns the direction of text, what has no width or is
// no character.
bool IsUnwanted(uint32_t code) {
  constexpr struct {
    uint32_t first, last;
  } kUnwanted[] = {{0x00, 0x1f},       {0x7f, 0x9f},      {0xad, 0xad},
                   {0x34f, 0x34f},     {0x61c, 0x61c},    {0x115f, 0x1160},
                   {0x17b4, 0x17b5},   {0x180b, 0x180f},  {0x200b, 0x200f},
                   {0x2028, 0x202e},   {0x2060, 0x206f},  {0x3164, 0x3164},
                   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},  {0xfff0, 0xfffb},
                   {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}};
  for (const auto& range : kUnwanted) {
    if (code >= range.first && code <= range.last) return true;
  }
  return (code & 0xfffe) == 0xfffe || (code >= 0xfdd0 && code <= 0xfdef);
}

void WriteAll(int fd, std::string_view text, int* error) {
  while (!text.empty() && *error == 0) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      *error = errno;
    }
  }
}

// Each line as Printable makes it.
std::string PrintableLines(std::string_view text) {
  std::string lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines += Printable(text.substr(0, end));
    if (end < text.size()) lines += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
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

void PrintRaw(std::string_view text) {
  WriteAll(STDOUT_FILENO, text, &print_error);
}

void Print(std::string_view text) { PrintRaw(PrintableLines(text)); }

void PrintErrorRaw(std::string_view text) {
  int error = 0;
  WriteAll(STDERR_FILENO, text, &error);
}

void PrintError(std::string_view text) { PrintErrorRaw(PrintableLines(text)); }

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
    const Character character = FirstCharacter(text);
    if (character.bytes == 0 || IsUnwanted(character.code)) {
      printable += '?';
    } else {
      printable += text.substr(0, character.bytes);
    }
    text.remove_prefix(std::max<size_t>(character.bytes, 1));
  }
  return printable;
}

}  // namespace bqengine::tools
