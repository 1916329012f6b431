#include <fmt/format.h>

#include <algorithm>

#include "common/command_line.h"
#include "common/progress.h"
#include "run/inputs.h"
#include "run/modes.h"
#include "run/random_inputs.h"
#include "run/report.h"
#include "run/runner.h"

namespace bqengine::run {
namespace {

constexpr double kWarmUpUs = 0.2e6;
constexpr double kMeasureUs = 2e6;
constexpr int64_t kFewestRuns = 20;
constexpr int64_t kMostRuns = 1000000;

// Runs the batches of the inputs in turn, `runs` times if that is given, or
// else until both a number of runs and a time are reached.
Result<std::vector<double>> Measure(const Inputs& inputs, int64_t runs,
                                    Runner* runner) {
  const int64_t batch = runner->max_batch();
  const int64_t batches = inputs.count / batch;
  const int64_t expected = runs > 0 ? runs : kFewestRuns;
  tools::Progress progress("runs", expected);
  std::vector<double> times;
  double total_us = 0;
  const auto enough = [&](int64_t done) {
    if (runs > 0) return done >= runs;
    return (done >= kFewestRuns && total_us >= kMeasureUs) || done >= kMostRuns;
  };
  for (int64_t done = 0; !enough(done); ++done) {
    const Status status =
        runner->Run(done % batches * batch, batch, inputs.values);
    if (!status.ok()) return status;
    times.push_back(runner->last_us());
    total_us += runner->last_us();
    progress.Update(std::min(done + 1, expected));
  }
  return times;
}

}  // namespace

Status Benchmark(const Model& model, const Options& options) {
  const int64_t wanted = std::max<int64_t>(options.batch, 1);
  const bool random = options.inputs.empty();
  const Result<Inputs> inputs =
      random ? RandomInputs(model, wanted, options.limits)
             : ReadInputs(
                   model, options.inputs,
                   [](const std::string& line) {
                     tools::PrintMessage("bq-run", line);
                   },
                   options.limits);
  if (!inputs.ok()) return tools::InputError(inputs.status());
  if (inputs->count < wanted) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("--batch {}: --input holds {} items only", wanted,
                              inputs->count));
  }

  Result<Runner> runner = Runner::Create(model, options, wanted);
  if (!runner.ok()) return runner.status();
  const Result<int64_t> warm_up =
      runner->WarmUp(inputs->count, kWarmUpUs, inputs->values);
  if (!warm_up.ok()) return warm_up.status();
  const Result<std::vector<double>> times =
      Measure(*inputs, options.runs, &*runner);
  if (!times.ok()) return times.status();

  Report report(options, runner->session());
  report.Line("input", random ? "random values" : options.inputs[0]);
  report.Line("runs",
              fmt::format("{} after {} to warm up", times->size(), *warm_up));
  report.Latency(*times, wanted, "item", /*cold=*/false);
  report.json()["runs"] = times->size();
  report.json()["warm_up_runs"] = *warm_up;
  report.Speed(*times, wanted, "inferences_per_second", "inferences");
  const Status status = AddProfile(options, *runner, &report);
  if (!status.ok()) return status;
  report.Print();
  return Status();
}

}  // namespace bqengine::run
