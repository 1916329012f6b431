// bq-run: runs, checks and measures a model.
#include <CLI/CLI.hpp>

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
    case Mode::kCheck:
      return Check(model, options);
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

  const Result<Model> model = Model::Load(options.model, options.limits.model);
  if (!model.ok()) return tools::InputError(model.status());
  return NameModel(RunModel(*mode, *model, options), options);
}

void ShowLog(LogLevel level, const char* message) {
  if (level != LogLevel::kInfo) tools::PrintMessage(kCommand, message);
}

}  // namespace
}  // namespace bqengine::run

int main(int argc, char** argv) {
  using namespace bqengine;
  SetLogHandler(run::ShowLog);
  run::Options options;
  return tools::RunMain(
      run::kCommand, argc, argv,
      [&options](CLI::App* app) { run::DeclareOptions(app, &options); },
      [&options] { return run::Run(options); }, &options.model);
}
