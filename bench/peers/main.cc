// bq-bench-peers: binary layers beside the same layers in int8 and fp32, in one
// process. See bench/README.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "common/command_line.h"
#include "common/file.h"
#include "common/progress.h"
#include "common/terminal.h"
#include "peers/compare.h"
#include "peers/contender.h"
#include "peers/layer.h"
#include "peers/plot.h"
#include "peers/report.h"

namespace bqengine::bench {
namespace {

constexpr char kCommand[] = "bq-bench-peers";

struct Options {
  int threads = int(std::max(1u, std::thread::hardware_concurrency()));
  std::string backend;
  std::vector<std::string> shapes = {BQE_BENCH_SHAPES_DIR "/resnet18.txt"};
  int rounds = 15;
  std::string json, plot;
};

void DeclareOptions(CLI::App* app, Options* options) {
  app->description(
      "Times binary layers in bqengine, and the same layers in oneDNN and "
      "XNNPACK in int8 and in fp32: all in this process, in turns, on one "
      "thread "
      "and then on several. Whose answer is not the layer's is not timed. "
      "Prints a table in microseconds with, in brackets, "
      "how "
      "many times longer than ours a peer takes.");
  app->add_option("--threads", options->threads,
                  "Measure with one thread, then with N")
      ->type_name("N")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app->add_option("--backend", options->backend,
                  "Backend of bqengine, such as cpu:avx2 (default: the best; "
                  "bq-run --list-backends)")
      ->type_name("NAME");
  app->add_option("--shapes", options->shapes,
                  "Files of layers (default: resnet18.txt of bench/shapes)")
      ->type_name("FILE...");
  app->add_option("--rounds", options->rounds,
                  "In each round everyone runs for some milliseconds")
      ->type_name("N")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app->add_option("--json", options->json, "Also write the results as JSON")
      ->type_name("FILE");
  app->add_option("--plot", options->plot, "Also draw them, as SVG")
      ->type_name("FILE");
  app->footer(
      "\"ours\" goes from packed bits to floats with a factor and a summand "
      "for "
      "each channel, \"packed\" from bits to bits, \"float in\" from floats to "
      "floats, packing included.\n\n"
      "Examples:\n"
      "  bq-bench-peers\n"
      "  bq-bench-peers --threads 1 --shapes bench/shapes/*.txt --json "
      "peers.json\n"
      "  bq-bench-peers --plot peers.svg\n"
      "  ONEDNN_MAX_CPU_ISA=AVX2 bq-bench-peers --backend cpu:avx2\n"
      "  ONEDNN_MAX_CPU_ISA=AVX512_CORE bq-bench-peers --backend cpu:avx512\n\n"
      "ONEDNN_MAX_CPU_ISA holds oneDNN to an instruction set (AVX2, "
      "AVX512_CORE, AVX512_CORE_VNNI, ...); XNNPACK always takes the best of "
      "the "
      "processor.");
}

Status CheckWritable(const std::string& path) {
  if (path.empty()) return Status();
  // To append nothing keeps what is there until there is something better.
  std::FILE* const file = std::fopen(path.c_str(), "ab");
  if (file == nullptr) {
    return Status(StatusCode::kIo,
                  path + ": cannot be written: " + std::strerror(errno));
  }
  std::fclose(file);
  return Status();
}

// Which engines are missing, and why.
void PrintMissing(const Engines& engines) {
  for (const Column& column : engines.columns) {
    if (column.make) continue;
    tools::PrintMessage(kCommand, column.heading + ": " + column.missing);
  }
}

// What peers cannot do is theirs; an answer of ours that is not right is a
// fault.
Status CheckOurs(const Report& report) {
  for (const Times& times : report.times) {
    for (size_t i = 0; i < report.engines.columns.size(); ++i) {
      const Column& column = report.engines.columns[i];
      if (!column.ours || times.verified[i].has_value()) continue;
      return Status(StatusCode::kInternal, column.heading + " was not timed");
    }
  }
  return Status();
}

// Threads that wait for each other take as long as the one that others hold up.
void WarnIfBusy(const Options& options) {
  double load = 0;
  const double cores = double(std::thread::hardware_concurrency());
  if (options.threads > 1 && getloadavg(&load, 1) == 1 && load > 0.5 * cores) {
    tools::PrintMessage(
        kCommand,
        fmt::format("other programs are running (load {:.1f}, {} cores): times "
                    "with {} threads will mean little",
                    load, cores, options.threads));
  }
}

std::vector<Times> CompareAll(const std::vector<BenchmarkShape>& shapes,
                              const std::vector<Column>& columns,
                              const Options& options) {
  std::vector<int> thread_counts = {1};
  if (options.threads > 1) thread_counts.push_back(options.threads);
  tools::Progress progress("layers",
                           int64_t(shapes.size() * thread_counts.size()));
  std::vector<Times> all;
  for (const int threads : thread_counts) {
    for (const BenchmarkShape& shape : shapes) {
      progress.Update(int64_t(all.size()));
      all.push_back(
          Compare(columns, MakeLayer(shape), threads, options.rounds));
    }
  }
  return all;
}

Status Run(const Options& options) {
  Report report = {
      .cpu = CpuName(), .engines = {}, .rounds = options.rounds, .times = {}};
  std::vector<BenchmarkShape> shapes;
  try {
    shapes = ReadLayerShapes(options.shapes);
    report.engines = AllEngines(options.backend);
  } catch (const std::runtime_error& error) {
    return Status(StatusCode::kInvalidArgument, error.what());
  }
  // Better now than after minutes.
  for (const std::string& path : {options.json, options.plot}) {
    if (Status status = CheckWritable(path); !status.ok()) return status;
  }
  WarnIfBusy(options);
  report.times = CompareAll(shapes, report.engines.columns, options);
  PrintMissing(report.engines);
  tools::Print(EnginesLine(report) + "\n\n" + AnswerLines(report) +
               MakeTables(report));
  if (!options.json.empty()) {
    const Status status = tools::WriteFile(options.json, MakeJson(report));
    if (!status.ok()) return status;
  }
  if (!options.plot.empty()) {
    const Status status = tools::WriteFile(options.plot, MakePlot(report));
    if (!status.ok()) return status;
  }
  return CheckOurs(report);
}

}  // namespace
}  // namespace bqengine::bench

int main(int argc, char** argv) {
  using namespace bqengine;
  bench::Options options;
  return tools::RunMain(
      bench::kCommand, argc, argv,
      [&options](CLI::App* app) { bench::DeclareOptions(app, &options); },
      [&options] { return bench::Run(options); });
}
