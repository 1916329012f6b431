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

// Writes lines to standard output at once, each as Printable makes it: whatever
// a file says, it does not reach the terminal as a command. An error other than
// a broken pipe (a full disk) is kept for FinishPrinting.
void Print(std::string_view text);

// The same to standard error, or as much of it as goes: no run ends for want of
// someone who reads its messages.
void PrintError(std::string_view text);

// The same as it is: JSON, and what is meant to move a cursor.
void PrintRaw(std::string_view text);
void PrintErrorRaw(std::string_view text);

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

// Text from outside made safe to print and to write: '?' for each byte that is
// no UTF-8, and for each character that could command a terminal, end a line,
// turn the direction of what stands beside it, or not be seen.
std::string Printable(std::string_view text);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_TERMINAL_H_
