#include "common/command_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "common/terminal.h"

namespace bqengine::tools {
namespace {

class ReadableFormatter : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option,
                          bool is_positional) const override {
    return WrapLines("  " + make_option_name(option, is_positional) +
                         make_option_opts(option) + "\n      " +
                         make_option_desc(option) + "\n",
                     HelpWidth());
  }
  std::string make_description(const CLI::App* app) const override {
    return WrapLines(app->get_description() + "\n", HelpWidth());
  }
  std::string make_footer(const CLI::App* app) const override {
    return WrapLines("\n" + app->get_footer() + "\n", HelpWidth(), 4);
  }

 private:
  static int HelpWidth() {
    return std::clamp(TerminalWidth(STDOUT_FILENO, 80), 30, 90);
  }
};

}  // namespace

int ExitStatus(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
      return kExitOk;
    case StatusCode::kInvalidArgument:
    case StatusCode::kInvalidModel:
    case StatusCode::kNotFound:
      return kExitBadInput;
    case StatusCode::kIo:
    case StatusCode::kUnsupported:
    case StatusCode::kOutOfMemory:
    case StatusCode::kInternal:
      return kExitFailure;
  }
  return kExitFailure;
}

Status InputError(Status status) {
  if (status.code() != StatusCode::kIo) return status;
  return Status(StatusCode::kInvalidArgument, status.message());
}

void UseReadableHelp(CLI::App* app) {
  app->formatter(std::make_shared<ReadableFormatter>());
}

std::optional<int> Parse(CLI::App* app, int argc, const char* const* argv) {
  try {
    app->parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    Print(app->help());
  } catch (const CLI::CallForVersion& version) {
    Print(std::string(version.what()) + "\n");
  } catch (const CLI::ParseError& error) {
    PrintMessage(app->get_name(), fmt::format("{} (try --help)", error.what()));
    return kExitBadInput;
  }
  return ExitStatus(FinishPrinting());
}

void PrintMessage(const std::string& command, const std::string& message) {
  fmt::print(stderr, "{}: {}\n", command, message);
}

}  // namespace bqengine::tools
