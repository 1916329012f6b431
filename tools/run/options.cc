#include "run/options.h"

#include "common/command_line.h"
#include "common/output_paths.h"

namespace bqengine::run {
namespace {

constexpr char kDescription[] =
    "Runs, checks and measures a binary neural network. With a model and "
    "nothing to do, tells what is in it.";

constexpr char kFooter[] = R"(Examples:
  bq-run lenet.json
  bq-run lenet.json --input digit.png
  bq-run lenet.json --input x.npy --output y.npy
  bq-run lenet.json --dataset mnist:data/mnist --limit 1000 --show 5
  bq-run cnv.json --dataset cifar10:test_batch.bin --json
  bq-run signs.json --dataset folder:data/signs
  bq-run lenet.json --benchmark --threads 2 --batch 8
  bq-run lenet.json --benchmark --profile trace.json
  bq-run lenet.json --check reference --plugin mine.so --backend mine
  bq-run --list-backends

Pictures and idx files are prepared as the model says (scale, mean, std; a uint8 input takes the pixels as they are), and resized to its input. Dimensions of .npy files are in the model's order, NCHW or NHWC; the first is the batch, of any size.
Times are those of the network alone, without reading and preparing inputs.

Exit status: 0 success; 1 failure at run time; 2 bad usage, bad model or input file, unknown backend.)";

// More items at once than make sense; less than what overflows.
constexpr int64_t kMaxBatch = int64_t{1} << 20;
constexpr int kMaxThreads = 1024;

// CLI11 reads what overflows as the largest number; this refuses it.
constexpr int64_t kMaxCount = int64_t{1} << 40;

void DeclareModes(CLI::App* app, Options* o) {
  constexpr char kGroup[] = "What to do";
  auto* input = app->add_option("-i,--input", o->inputs,
                                ".npy, PNG, JPEG or idx file (plain or .gz) to "
                                "run. Once for each input of the model; once "
                                "for each picture");
  input->option_text("FILE")->allow_extra_args(false)->group(kGroup);
  auto* output = app->add_option("-o,--output", o->outputs,
                                 "Write the outputs as .npy. Once for each "
                                 "output of the model");
  output->option_text("FILE")->allow_extra_args(false)->group(kGroup);
  auto* topk = app->add_option("--topk", o->topk,
                               "Print the K best classes of each input "
                               "(default: 5 if there is no --output)");
  topk->option_text("K")
      ->check(CLI::Range(int64_t{1}, kMaxCount))
      ->group(kGroup);

  auto* dataset = app->add_option("--dataset", o->dataset,
                                  "Measure the accuracy on a test set: "
                                  "mnist:DIR, cifar10:FILE_OR_DIR or "
                                  "folder:DIR (a folder of PNG or JPEG files "
                                  "per class, in DIR/test or in DIR)");
  dataset->option_text("KIND:PATH")->group(kGroup);
  auto* limit = app->add_option("--limit", o->limit, "Only the first N images");
  limit->option_text("N")
      ->check(CLI::Range(int64_t{1}, kMaxCount))
      ->group(kGroup);
  auto* show = app->add_option("--show", o->show,
                               "Print the predictions of the first N images");
  show->option_text("N")
      ->check(CLI::Range(int64_t{1}, kMaxCount))
      ->group(kGroup);

  auto* benchmark = app->add_flag("--benchmark", o->benchmark,
                                  "Measure the time of a run, on --input or "
                                  "else on random values");
  benchmark->group(kGroup);
  auto* runs = app->add_option("--runs", o->runs,
                               "Runs to measure (default: 2 seconds of them)");
  runs->option_text("N")
      ->check(CLI::Range(int64_t{1}, kMaxCount))
      ->group(kGroup);

  auto* check = app->add_option(
      "--check", o->check,
      "Compare each layer's outputs with those of another backend (reference), "
      "on --input or else on random values, and say which is the first that "
      "differs");
  check->option_text("BACKEND")->group(kGroup);

  app->add_flag("--list-backends", o->list_backends,
                "List backends, and which one is chosen")
      ->group(kGroup);

  dataset->excludes(input)->excludes(benchmark);
  output->needs(input)->excludes(benchmark);
  topk->needs(input)->excludes(benchmark);
  check->excludes(dataset)->excludes(output)->excludes(topk)->excludes(
      benchmark);
  limit->needs(dataset);
  show->needs(dataset);
  runs->needs(benchmark);
}

void DeclareManner(CLI::App* app, Options* o) {
  constexpr char kGroup[] = "How to do it";
  app->add_option("-t,--threads", o->threads,
                  "Threads that share the work of one run; 0: one per core")
      ->option_text("N (default 1)")
      ->check(CLI::Range(0, kMaxThreads))
      ->group(kGroup);
  app->add_option("--batch", o->batch,
                  "Items in one run (default: 1 for --dataset and --benchmark; "
                  "up to 32 for --input)")
      ->option_text("N")
      ->check(CLI::Range(int64_t{1}, kMaxBatch))
      ->group(kGroup);
  app->add_option("--backend", o->backend,
                  "Use a backend (cpu:avx2), or the best of a family (cpu), "
                  "wherever it can. Default: the environment variable "
                  "BQENGINE_BACKEND, or the best for each layer")
      ->option_text("NAME")
      ->group(kGroup);
  app->add_option("--plugin", o->plugins,
                  "Load a backend from a shared library. It runs its code: "
                  "trust it. May be repeated")
      ->option_text("FILE.so")
      ->allow_extra_args(false)
      ->group(kGroup);
  app->add_flag("--map-weights", o->limits.model.map_weights,
                "Map the file of weights into memory in place of reading it: "
                "starts faster, but whoever writes into the file meanwhile "
                "changes the answers or ends this command")
      ->group(kGroup);
}

void DeclareReports(CLI::App* app, Options* o) {
  constexpr char kGroup[] = "What to report";
  app->add_option("--profile", o->profile,
                  "Print the time of each layer, and write the last run to "
                  "FILE for chrome://tracing or ui.perfetto.dev")
      ->option_text("FILE")
      ->group(kGroup);
  app->add_flag("--json", o->json,
                "Print one JSON object and nothing else on standard output")
      ->group(kGroup);
  app->set_help_flag("-h,--help", "Print this and exit")->group(kGroup);
  app->set_version_flag("--version", std::string("bq-run ") + BQENGINE_VERSION,
                        "Print the version and exit")
      ->group(kGroup);
}

}  // namespace

void DeclareOptions(CLI::App* app, Options* options) {
  app->description(kDescription);
  app->footer(kFooter);
  app->add_option("model", options->model, "Model to run (model.json)");
  DeclareModes(app, options);
  DeclareManner(app, options);
  DeclareReports(app, options);
  tools::DeclareLimits(app, &options->limits);
}

Result<Mode> SelectMode(const Options& o) {
  const auto invalid = [](const char* what) {
    return Status(StatusCode::kInvalidArgument,
                  std::string(what) + " (try --help)");
  };
  if (o.list_backends) {
    const bool other = !o.model.empty() || !o.inputs.empty() || o.benchmark ||
                       !o.dataset.empty() || !o.check.empty() ||
                       !o.profile.empty();
    if (other) return invalid("--list-backends takes no model and no mode");
    return Mode::kListBackends;
  }
  if (o.model.empty()) return invalid("no model given");
  if (!o.check.empty()) {
    if (!o.profile.empty()) return invalid("--profile excludes --check");
    return Mode::kCheck;
  }
  if (o.benchmark) return Mode::kBenchmark;
  if (!o.dataset.empty()) return Mode::kDataset;
  if (!o.inputs.empty()) return Mode::kInfer;
  if (!o.profile.empty()) {
    return invalid("--profile needs --input, --dataset or --benchmark");
  }
  return Mode::kDescribe;
}

Status CheckOutputs(const Options& o) {
  tools::OutputPaths paths;
  paths.AddInput(o.model, "the model");
  paths.AddInput(tools::WeightsPath(o.model), "the model's weights");
  for (const std::string& input : o.inputs) paths.AddInput(input, "--input");
  for (const std::string& plugin : o.plugins) {
    paths.AddInput(plugin, "--plugin");
  }
  paths.AddInput(o.dataset.substr(o.dataset.find(':') + 1), "--dataset");
  for (const std::string& output : o.outputs) {
    if (Status s = paths.AddOutput(output, "--output"); !s.ok()) return s;
  }
  return o.profile.empty() ? Status() : paths.AddOutput(o.profile, "--profile");
}

}  // namespace bqengine::run
