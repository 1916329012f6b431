#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "common/command_line.h"
#include "common/progress.h"
#include "common/statistics.h"
#include "common/terminal.h"
#include "run/inputs.h"
#include "run/modes.h"
#include "run/report.h"
#include "run/runner.h"

namespace bqengine::run {
namespace {

constexpr double kWarmUpUs = 0.2e6;
constexpr int64_t kWarmUpRuns = 3;
constexpr double kMeasureUs = 2e6;
constexpr int64_t kFewestRuns = 20;
constexpr int64_t kMostRuns = 1000000;

// Normal values: zeros would flatter anything that skips them.
Result<Inputs> RandomInputs(const Model& model, int64_t count) {
  constexpr unsigned kSeed = 1;
  std::mt19937 generator(kSeed);
  std::normal_distribution<float> normal;
  Inputs inputs;
  inputs.count = count;
  for (size_t i = 0; i < model.num_inputs(); ++i) {
    const Result<int64_t> elements = ElementCount(model.input(i).shape, count);
    if (!elements.ok()) return elements.status();
    std::vector<float> values(static_cast<size_t>(*elements));
    std::generate(values.begin(), values.end(),
                  [&] { return normal(generator); });
    inputs.values.push_back(std::move(values));
  }
  return inputs;
}

// Runs the batches of the inputs in turn, `runs` times if that is given, or
// else until both a number of runs and a time are reached.
Result<std::vector<double>> Measure(const Inputs& inputs, int64_t runs,
                                    int64_t fewest, double least_us,
                                    Runner* runner) {
  const int64_t batch = runner->max_batch();
  const int64_t batches = inputs.count / batch;
  tools::Progress progress("runs", runs > 0 ? runs : fewest);
  std::vector<double> times;
  double total_us = 0;
  const auto enough = [&](int64_t done) {
    if (runs > 0) return done >= runs;
    return (done >= fewest && total_us >= least_us) || done >= kMostRuns;
  };
  for (int64_t done = 0; !enough(done); ++done) {
    const Status status =
        runner->Run(done % batches * batch, batch, inputs.values);
    if (!status.ok()) return status;
    times.push_back(runner->last_us());
    total_us += runner->last_us();
    progress.Update(std::min(done + 1, runs > 0 ? runs : fewest));
  }
  return times;
}

}  // namespace

Status Benchmark(const Model& model, const Options& options) {
  const int64_t wanted = std::max<int64_t>(options.batch, 1);
  const bool random = options.inputs.empty();
  const Result<Inputs> inputs =
      random ? RandomInputs(model, wanted)
             : ReadInputs(model, options.inputs, [](const std::string& line) {
                 tools::PrintMessage("bq-run", line);
               });
  if (!inputs.ok()) return tools::InputError(inputs.status());
  if (inputs->count < wanted) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("--batch {}: --input holds {} items only", wanted,
                              inputs->count));
  }

  Result<Runner> runner = Runner::Create(model, options, wanted);
  if (!runner.ok()) return runner.status();
  const Result<std::vector<double>> warm_up =
      Measure(*inputs, 0, kWarmUpRuns, kWarmUpUs, &*runner);
  if (!warm_up.ok()) return warm_up.status();
  const Result<std::vector<double>> times =
      Measure(*inputs, options.runs, kFewestRuns, kMeasureUs, &*runner);
  if (!times.ok()) return times.status();

  Report report(options, *runner);
  report.Line("input", random ? "random normal values" : options.inputs[0]);
  report.Line("runs", fmt::format("{} after {} to warm up", times->size(),
                                  warm_up->size()));
  const tools::Summary summary = tools::Summarize(*times);
  report.Latency(summary, wanted, "item");
  const double rate =
      static_cast<double>(wanted) * 1e6 / std::max(summary.mean, 1e-3);
  report.Line("speed", tools::FormatRate(rate, "inferences"));
  report.json()["runs"] = times->size();
  report.json()["warm_up_runs"] = warm_up->size();
  report.json()["inferences_per_second"] = rate;
  const Status status = AddProfile(options, *runner, &report);
  if (!status.ok()) return status;
  report.Print();
  return Status();
}

}  // namespace bqengine::run
