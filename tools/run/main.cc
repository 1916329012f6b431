// bq-run: runs, checks and measures a model.
#include <CLI/CLI.hpp>
#include <exception>
#include <new>

#include "bqengine/registry.h"
#include "common/command_line.h"
#include "common/terminal.h"
#include "run/modes.h"
#include "run/options.h"

namespace bqengine::run {
namespace {

constexpr char kCommand[] = "bq-run";

Status Run(const Options& options) {
  const Result<Mode> mode = SelectMode(options);
  if (!mode.ok()) return mode.status();
  for (const std::string& plugin : options.plugins) {
    const Status loaded = LoadPlugin(plugin);
    if (!loaded.ok()) return tools::InputError(loaded);
  }
  if (*mode == Mode::kListBackends) return ListBackendsMode(options);

  const Result<Model> model = Model::Load(options.model);
  if (!model.ok()) return tools::InputError(model.status());
  switch (*mode) {
    case Mode::kInfer:
      return Infer(*model, options);
    case Mode::kDataset:
      return Evaluate(*model, options);
    case Mode::kBenchmark:
      return Benchmark(*model, options);
    case Mode::kListBackends:
      break;
  }
  return Status(StatusCode::kInternal, "no such mode");
}

Status RunCatching(const Options& options) {
  try {
    return Run(options);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kOutOfMemory, "out of memory");
  } catch (const std::exception& e) {
    return Status(StatusCode::kInternal, e.what());
  }
}

void ShowLog(LogLevel level, const char* message) {
  if (level != LogLevel::kInfo) tools::PrintMessage(kCommand, message);
}

int Main(int argc, char** argv) {
  tools::IgnoreBrokenPipes();
  SetLogHandler(ShowLog);
  Options options;
  CLI::App app("", kCommand);
  tools::UseReadableHelp(&app);
  DeclareOptions(&app, &options);
  if (const auto exit_status = tools::Parse(&app, argc, argv)) {
    return *exit_status;
  }
  Status status = RunCatching(options);
  if (status.ok()) status = tools::FinishPrinting();
  if (!status.ok()) {
    tools::PrintMessage(kCommand, tools::Printable(status.message()));
  }
  return tools::ExitStatus(status);
}

}  // namespace
}  // namespace bqengine::run

int main(int argc, char** argv) { return bqengine::run::Main(argc, argv); }
