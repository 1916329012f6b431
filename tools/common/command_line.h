// What all commands agree on: exit statuses, --help, messages.
#ifndef BQENGINE_TOOLS_COMMON_COMMAND_LINE_H_
#define BQENGINE_TOOLS_COMMON_COMMAND_LINE_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "bqengine/status.h"

namespace bqengine::tools {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;   // something went wrong at run time
inline constexpr int kExitBadInput = 2;  // bad usage, or a bad input file

// The exit status of a command that ends with `status`. An error of reading or
// writing (kIo) counts as one at run time; see InputError.
int ExitStatus(const Status& status);

// Makes an error of reading an input file (kIo: no permission, say) the fault
// of that input.
Status InputError(Status status);

// --help that is readable at any width: each option on its line, and what it
// does below. Call it before adding options.
void UseReadableHelp(CLI::App* app);

// Parses the arguments. Prints help, or what was wrong, and returns the exit
// status if that is all there is to do.
std::optional<int> Parse(CLI::App* app, int argc, const char* const* argv);

// One line on standard error, made Printable: "bq-run: MESSAGE".
void PrintMessage(const std::string& command, const std::string& message);

// The main function of a command: reads the arguments that `declare` adds,
// runs, prints what went wrong, a message for each line of it, and returns the
// exit status. An exception that leaves `run` becomes an error, which starts
// with the name *file if there is one.
int RunMain(const std::string& command, int argc, const char* const* argv,
            const std::function<void(CLI::App*)>& declare,
            const std::function<Status()>& run,
            const std::string* file = nullptr);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_COMMAND_LINE_H_
