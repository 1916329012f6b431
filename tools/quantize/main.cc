// bq-quantize: a float network into a binary one, without training.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>

#include "bqengine/model.h"
#include "common/command_line.h"
#include "common/file.h"
#include "common/terminal.h"
#include "quantize/images.h"
#include "quantize/options.h"
#include "quantize/quantizer.h"
#include "quantize/report.h"
#include "quantize/scales.h"
#include "quantize/source.h"

namespace bqengine::ptq {
namespace {

constexpr char kCommand[] = "bq-quantize";

constexpr int kUnlimited = 1 << 20;  // columns of what is no terminal
constexpr int kIndent = 4;

int OutputWidth() {
  return std::max(tools::TerminalWidth(STDOUT_FILENO, kUnlimited), 20);
}

Status NameFile(const Status& status, const std::string& path) {
  return tools::FileError(status.code(), path, status.message());
}

Result<std::optional<Images>> ReadCalibration(const Options& options,
                                              const Source& source) {
  if (options.calibrate.empty()) return std::optional<Images>();
  const auto model = Model::FromGraph(source.graph, options.limits.model);
  if (!model.ok()) return NameFile(model.status(), options.input);
  const auto note = [](const std::string& line) {
    tools::PrintMessage(kCommand, tools::Printable(line));
  };
  auto images = ReadImages(*model, options.calibrate, options.calibrate_images,
                           note, options.limits);
  if (!images.ok()) return tools::InputError(images.status());
  const double fewest = ScaleFitter::kFewestSamples *
                        static_cast<double>(options.method.bases + 1);
  if (static_cast<double>(images->count) < fewest) {
    note(
        fmt::format("{} images are few: scales of dense layers are fitted to "
                    "{:.0f} or more, and stay those of the weights",
                    images->count, fewest));
  }
  return std::optional(*std::move(images));
}

Status Write(const Options& options, const Graph& graph) {
  const auto optimized = OptimizeGraph(graph);
  if (!optimized.ok()) return NameFile(optimized.status(), options.input);
  const Status status = WriteGraph(*optimized, options.output);
  // A folder that is not there is no fault of the float network.
  return status.code() == StatusCode::kNotFound
             ? Status(StatusCode::kIo, status.message())
             : status;
}

Status Run(Options* options) {
  if (const Status s = Complete(options); !s.ok()) return s;
  const auto source = ReadSource(*options);
  if (!source.ok()) return source.status();
  const auto images = ReadCalibration(*options, *source);
  if (!images.ok()) return images.status();
  auto quantization = QuantizeGraph(
      source->graph,
      {options->method, options->selection, options->activation_bases,
       options->threads, options->limits},
      *images ? &**images : nullptr);
  if (!quantization.ok()) {
    return NameFile(quantization.status(), options->input);
  }
  quantization->graph.producer = std::string("bq-quantize ") + BQENGINE_VERSION;
  if (const Status s = Write(*options, quantization->graph); !s.ok()) return s;

  const Report report = {*options, *source, *quantization,
                         *images ? (*images)->count : 0,
                         tools::ModelFiles(options->output)};
  if (!options->report.empty()) {
    const Status s = tools::WriteFile(options->report, ReportJson(report));
    if (!s.ok()) return Status(StatusCode::kIo, s.message());
  }
  tools::Print(options->json ? ReportJson(report)
                             : tools::WrapLines(ReportText(report),
                                                OutputWidth(), kIndent));
  return Status();
}

}  // namespace
}  // namespace bqengine::ptq

int main(int argc, char** argv) {
  using namespace bqengine;
  ptq::Options options;
  return tools::RunMain(
      ptq::kCommand, argc, argv,
      [&options](CLI::App* app) { ptq::DeclareOptions(app, &options); },
      [&options] { return ptq::Run(&options); },
      &options.input);
}
