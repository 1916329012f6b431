// bq-convert: an ONNX file into a bqengine model.
#include <CLI/CLI.hpp>
#include <sstream>

#include "bqengine/model.h"
#include "common/command_line.h"
#include "common/file.h"
#include "common/terminal.h"
#include "convert.h"
#include "options.h"
#include "report.h"
#include "source_model.h"

namespace bqengine::convert {
namespace {

// What is wrong with a network starts with its file, on each line.
Status NameModel(const Status& status, const std::string& path) {
  std::istringstream lines(status.message());
  std::string message;
  for (std::string line; std::getline(lines, line);) {
    message += (message.empty() ? "" : "\n") + path + ": " + line;
  }
  return Status(status.code(), message);
}

Status Write(const Options& options, const SourceModel& source,
             const Conversion& conversion) {
  const auto optimized = OptimizeGraph(conversion.graph);
  if (!optimized.ok()) return NameModel(optimized.status(), options.input);
  if (const Status s = WriteGraph(*optimized, options.output); !s.ok()) {
    // A folder that is not there is no fault of the ONNX file.
    return s.code() == StatusCode::kNotFound
               ? Status(StatusCode::kIo, s.message())
               : s;
  }
  const auto report =
      MakeReport(source, options.input, conversion, *optimized, options.output);
  if (!report.ok()) return report.status();
  if (!options.report.empty()) {
    const std::string json = ReportJson(*report);
    const Status s = tools::WriteFile(options.report, json);
    if (!s.ok()) return Status(StatusCode::kIo, s.message());
  }
  if (options.json) {
    tools::PrintRaw(ReportJson(*report));
  } else {
    tools::Print(ReportText(*report));
  }
  return Status();
}

Status Run(Options* options) {
  if (const Status s = Complete(options); !s.ok()) return s;
  const auto source = ReadOnnx(options->input);
  if (!source.ok()) return tools::InputError(source.status());
  const auto conversion =
      ConvertModel(*source, options->import_options.convert);
  if (!conversion.ok()) return NameModel(conversion.status(), options->input);
  if (const auto shapes = InferShapes(conversion->graph); !shapes.ok()) {
    return NameModel(shapes.status(), options->input);
  }
  return Write(*options, *source, *conversion);
}

}  // namespace
}  // namespace bqengine::convert

int main(int argc, char** argv) {
  using namespace bqengine;
  convert::Options options;
  return tools::RunMain(
      "bq-convert", argc, argv,
      [&options](CLI::App* app) { convert::DeclareOptions(app, &options); },
      [&options] { return convert::Run(&options); }, &options.input);
}
