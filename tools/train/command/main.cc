// bq-train: from data and an architecture to a model that bq-run runs.
#include <dlfcn.h>

#include <CLI/CLI.hpp>

#include "bqengine/model.h"
#include "common/command_line.h"
#include "common/file.h"
#include "common/model_files.h"
#include "common/terminal.h"
#include "train/command/evaluate.h"
#include "train/command/inputs.h"
#include "train/command/options.h"
#include "train/command/report.h"
#include "train/command/trainer.h"

namespace bqengine::train {
namespace {

// OpenBLAS, which does LibTorch's matrix products on Debian, has threads of its
// own that LibTorch does not count. Left alone, they are one per core, and wait
// for work by spinning.
void SetThreads(int threads) {
  torch::set_num_threads(threads);
  using SetNumThreads = void (*)(int);
  const auto set = reinterpret_cast<SetNumThreads>(
      dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
  if (set != nullptr) set(threads);
}

// Writes the model, and runs what was written.
Result<Report> Export(const Options& options, const Data& data,
                      bqtrain::NetworkImpl* network, Report report) {
  Graph graph = network->Export();
  graph.producer = "bq-train " BQENGINE_VERSION;
  if (graph.labels.empty()) graph.labels = data.test.class_names;
  const auto optimized = OptimizeGraph(graph);
  if (!optimized.ok()) return optimized.status();
  if (const Status s = WriteGraph(*optimized, options.output); !s.ok())
    return s;
  const auto model = Model::Load(options.output, options.limits.model);
  if (!model.ok()) return model.status();

  const auto trained = EvaluateNetwork(network, data.test, graph.inputs[0]);
  if (!trained.ok()) return trained.status();
  const auto exported =
      EvaluateModel(*model, data.test,
                    {.threads = options.threads,
                     .max_arena_bytes = options.limits.max_arena_bytes});
  if (!exported.ok()) return exported.status();
  report.test_images = data.test.images.count;
  report.test_accuracy = Accuracy(*trained, data.test);
  report.exported_accuracy = Accuracy(*exported, data.test);
  report.comparison = Compare(*trained, *exported);
  report.model_bytes = tools::TotalBytes(tools::ModelFiles(options.output));
  return report;
}

Status Train(Options* options) {
  if (const Status s = Complete(options); !s.ok()) return s;
  const auto plan = ReadPlan(*options);
  if (!plan.ok()) return plan.status();
  SetThreads(options->threads);
  torch::manual_seed(options->seed);
  const auto network = bqtrain::NetworkImpl::Make(plan->graph, plan->layers);
  if (!network.ok()) {
    return tools::FileError(StatusCode::kInvalidModel, options->architecture,
                            network.status().message());
  }
  const auto data = ReadData(*options, plan->graph);
  if (!data.ok()) return data.status();
  options->dataset_hash = Hash(*data);

  const GraphInput& input = plan->graph.inputs[0];
  Trainer trainer(*options, input, data->train, data->test, network->get());
  if (const Status s = trainer.Prepare(); !s.ok()) return s;
  if (const Status s = trainer.Run(); !s.ok()) return s;
  const auto report =
      Export(*options, *data, network->get(),
             {.history = trainer.history(), .steps = trainer.steps_done()});
  if (!report.ok()) return report.status();
  if (!options->json.empty() && options->json != "-") {
    const Status s =
        tools::WriteFile(options->json, ReportJson(*report, *options));
    if (!s.ok()) return s;
  }
  tools::Print(options->json == "-" ? ReportJson(*report, *options)
                                    : ReportText(*report, *options));
  return Status();
}

// What LibTorch throws has a stack trace in its text.
Status TrainCatching(Options* options) {
  try {
    return Train(options);
  } catch (const c10::Error& e) {
    return Status(StatusCode::kInternal, e.what_without_backtrace());
  }
}

}  // namespace
}  // namespace bqengine::train

int main(int argc, char** argv) {
  using namespace bqengine;
  train::Options options;
  return tools::RunMain(
      "bq-train", argc, argv,
      [&options](CLI::App* app) { train::DeclareOptions(app, &options); },
      [&options] { return train::TrainCatching(&options); });
}
