// bq-run: runs, checks and measures a model.
#include <CLI/CLI.hpp>
#include <exception>
#include <new>
#include <stdexcept>

#include "bqengine/registry.h"
#include "common/command_line.h"
#include "common/file.h"
#include "common/terminal.h"
#include "run/modes.h"
#include "run/options.h"

namespace bqengine::run {
namespace {

constexpr char kCommand[] = "bq-run";

Status RunModel(Mode mode, const Model& model, const Options& options) {
  switch (mode) {
    case Mode::kInfer:
      return Infer(model, options);
    case Mode::kDataset:
      return Evaluate(model, options);
    case Mode::kBenchmark:
      return Benchmark(model, options);
    case Mode::kDescribe:
      return Describe(model, options);
    case Mode::kListBackends:
      break;
  }
  return Status(StatusCode::kInternal, "no such mode");
}

// A session knows nothing about files; what ails a model or is too much of it
// starts with its name.
Status NameModel(Status status, const Options& options) {
  const bool concerns_model = status.code() == StatusCode::kInvalidModel ||
                              status.code() == StatusCode::kUnsupported ||
                              status.code() == StatusCode::kOutOfMemory;
  if (!concerns_model || status.message().starts_with(options.model + ": ")) {
    return status;
  }
  return tools::FileError(status.code(), options.model, status.message());
}

Status Run(const Options& options) {
  const Result<Mode> mode = SelectMode(options);
  if (!mode.ok()) return mode.status();
  const Status outputs = CheckOutputs(options);
  if (!outputs.ok()) return outputs;
  for (const std::string& plugin : options.plugins) {
    const Status loaded = LoadPlugin(plugin);
    if (!loaded.ok()) return tools::InputError(loaded);
  }
  if (*mode == Mode::kListBackends) return ListBackendsMode(options);

  const Result<Model> model = Model::Load(options.model);
  if (!model.ok()) return tools::InputError(model.status());
  return NameModel(RunModel(*mode, *model, options), options);
}

Status OutOfMemory(const Options& options) {
  return NameModel(Status(StatusCode::kOutOfMemory, "out of memory"), options);
}

Status RunCatching(const Options& options) {
  try {
    return Run(options);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options);
  } catch (const std::length_error&) {  // of a vector
    return OutOfMemory(options);
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
