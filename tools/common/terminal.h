// Standard output and the terminal, as far as commands need to know them.
#ifndef BQENGINE_TOOLS_COMMON_TERMINAL_H_
#define BQENGINE_TOOLS_COMMON_TERMINAL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "bqengine/status.h"

namespace bqengine::tools {

// Columns of the terminal that file descriptor `fd` is, or `otherwise` if it is
// none or does not tell.
int TerminalWidth(int fd, int otherwise);
bool IsTerminal(int fd);

// Makes a reader that went away (`bq-run | head -1`) and a limit on the size of
// files ordinary errors of writing. Print ignores the first: who stopped
// reading has what he wanted. Call it first in main.
void IgnoreWriteSignals();

// Writes to standard output at once. An error other than a broken pipe (a full
// disk) is kept for FinishPrinting.
void Print(std::string_view text);

// Writes to standard error at once, or as much of it as goes: no run ends for
// want of someone who reads its messages.
void PrintError(std::string_view text);

// kIo if something printed was lost. Call it last.
Status FinishPrinting();

// Breaks lines of more than `width` characters at spaces; what follows a break
// is indented by `indent` more than its line. Words stay whole.
std::string WrapLines(std::string_view text, int width, int indent = 0);

// "12.3 us", "4.56 ms", "1.23 s": three digits that matter.
std::string FormatMicroseconds(double us);

// "987 B", "12.3 kB", "1.23 MB".
std::string FormatBytes(int64_t bytes);

// 1234567 as "1.23 M".
std::string FormatCount(double count);

// "1.23 M images/s".
std::string FormatRate(double per_second, std::string_view unit);

// Text from files made safe to print and to write: UTF-8 without control
// characters; each byte of what is neither becomes '?'.
std::string Printable(std::string_view text);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_TERMINAL_H_
