#include "common/command_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>

#include "common/file.h"
#include "common/limits.h"
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
  // What excludes what is for the descriptions and the error messages to say.
  std::string make_option_opts(const CLI::Option* option) const override {
    if (!option->get_option_text().empty()) {
      return " " + option->get_option_text();
    }
    if (option->get_positional() || option->get_type_size() == 0) return "";
    const std::string value = option->get_default_str();
    return " " + option->get_type_name() +
           (value.empty() ? "" : " (default " + value + ")");
  }
  // One empty line before each group; CLI11 itself puts one between options'
  // groups.
  std::string make_group(
      std::string group, bool is_positional,
      std::vector<const CLI::Option*> options) const override {
    std::string text = group + ":\n";
    for (const CLI::Option* option : options) {
      text += make_option(option, is_positional);
    }
    return is_positional ? text + "\n" : text;
  }
  std::string make_usage(const CLI::App* app, std::string name) const override {
    return CLI::Formatter::make_usage(app, name) + "\n";
  }
  std::string make_description(const CLI::App* app) const override {
    return WrapLines(app->get_description() + "\n", HelpWidth());
  }
  // Examples, which are indented, continue further to the right; prose does
  // not.
  std::string make_footer(const CLI::App* app) const override {
    std::istringstream footer(app->get_footer());
    std::string text;
    for (std::string line; std::getline(footer, line);) {
      text +=
          WrapLines(line + "\n", HelpWidth(), line.starts_with(' ') ? 4 : 0);
    }
    return text;
  }

 private:
  static int HelpWidth() {
    return std::clamp(TerminalWidth(STDOUT_FILENO, 80), 30, 90);
  }
};

Status Catch(const std::function<Status()>& run, const std::string* file) {
  const auto error = [file](StatusCode code, const std::string& what) {
    return file == nullptr || file->empty() ? Status(code, what)
                                            : FileError(code, *file, what);
  };
  try {
    return run();
  } catch (const std::bad_alloc&) {
    return error(StatusCode::kOutOfMemory, "out of memory");
  } catch (const std::length_error&) {  // of a vector
    return error(StatusCode::kOutOfMemory, "out of memory");
  } catch (const std::exception& e) {
    return error(StatusCode::kInternal, e.what());
  }
}

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
  const auto formatter = std::make_shared<ReadableFormatter>();
  formatter->label("Positionals", "Arguments");
  app->formatter(formatter);
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
  PrintError(fmt::format("{}: {}\n", command, message));
}

int RunMain(const std::string& command, int argc, const char* const* argv,
            const std::function<void(CLI::App*)>& declare,
            const std::function<Status()>& run, const std::string* file) {
  IgnoreWriteSignals();
  CLI::App app("", command);
  UseReadableHelp(&app);
  declare(&app);
  if (const auto exit_status = Parse(&app, argc, argv)) return *exit_status;
  Status status = NameFlags(Catch(run, file));
  if (status.ok()) status = FinishPrinting();
  std::istringstream lines(status.message());
  for (std::string line; std::getline(lines, line);) {
    PrintMessage(command, Printable(line));
  }
  return ExitStatus(status);
}

}  // namespace bqengine::tools
