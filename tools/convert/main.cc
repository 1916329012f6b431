// bq-convert: an ONNX file into a bqengine model.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "bqengine/model.h"
#include "convert.h"
#include "report.h"
#include "source_model.h"

namespace bqengine::convert {
namespace {

constexpr int kExitFailure = 1;   // of the machine
constexpr int kExitBadInput = 2;  // of the user or of the file

constexpr char kFooter[] = R"(Examples:
  bq-convert lenet.onnx -o lenet.json --scale 1/255 --mean 0.5 --std 0.5
  bq-convert cnv.onnx -o cnv.json --scale 1/255 --labels plane,car,bird,cat,deer,dog,frog,horse,ship,truck
  bq-convert net.onnx -o net.json --report net-report.json

Pixels p from 0 to 255 become (p * scale - mean) / std.
Large weights go to a .safetensors file beside the model.
Exit status: 0 converted; 1 could not write; 2 bad usage, or a file that cannot
be converted.
)";

struct Arguments {
  std::string input, output, report, labels;
  std::string scale = "1", layout = "NCHW";
  bool json = false;
  ConvertOptions options;
};

int Fail(int status, const std::string& message) {
  fmt::print(stderr, "bq-convert: {}\n", message);
  return status;
}

bool ParseNumber(const std::string& text, double* number) {
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  return stream >> *number && stream.eof() && std::isfinite(*number);
}

// "0.00392" or "1/255".
bool ParseScale(const std::string& text, float* scale) {
  const size_t slash = text.find('/');
  double above = 0, below = 1;
  if (!ParseNumber(text.substr(0, slash), &above)) return false;
  if (slash != std::string::npos &&
      (!ParseNumber(text.substr(slash + 1), &below) || below == 0)) {
    return false;
  }
  *scale = static_cast<float>(above / below);
  return std::isfinite(*scale) && *scale != 0;
}

// One label a line if `text` names a file, or else separated by commas.
std::vector<std::string> ReadLabels(const std::string& text) {
  std::ifstream file(text);
  const bool is_file = file.good() && file.peek() != EOF;
  std::istringstream list(text);
  std::istream& in = is_file ? static_cast<std::istream&>(file) : list;
  std::vector<std::string> labels;
  for (std::string label; std::getline(in, label, is_file ? '\n' : ',');) {
    if (!label.empty() && label.back() == '\r') label.pop_back();
    if (!label.empty()) labels.push_back(label);
  }
  return labels;
}

void Declare(CLI::App* app, Arguments* a) {
  app->footer(kFooter);
  app->add_option("model", a->input, "ONNX file")
      ->required()
      ->type_name("FILE");
  app->add_option("-o,--output", a->output, "Model file to write (JSON)")
      ->required()
      ->type_name("FILE");
  app->add_option("--scale", a->scale, "Factor of pixels: a number or a/b")
      ->type_name("NUMBER")
      ->capture_default_str();
  app->add_option("--mean", a->options.mean, "Per channel, or one for all")
      ->delimiter(',')
      ->type_name("NUMBER,...");
  app->add_option("--std", a->options.std, "Per channel, or one for all")
      ->delimiter(',')
      ->type_name("NUMBER,...");
  app->add_option("--labels", a->labels,
                  "Names of classes: a file with one a line, or a,b,c")
      ->type_name("FILE|LIST");
  app->add_option("--layout", a->layout,
                  "Order of dimensions of the ONNX graph's input images")
      ->check(CLI::IsMember({"NCHW", "NHWC"}, CLI::ignore_case))
      ->capture_default_str();
  app->add_option("--name", a->options.name, "Name of the network")
      ->type_name("TEXT");
  app->add_option("--report", a->report, "Write the report as JSON")
      ->type_name("FILE");
  app->add_flag("--json", a->json, "Print the report as JSON");
}

// Fills in the options that need more than CLI11; a message if one is bad.
std::string Complete(Arguments* a) {
  ConvertOptions& options = a->options;
  if (!ParseScale(a->scale, &options.scale)) {
    return fmt::format("--scale {}: not a number other than 0", a->scale);
  }
  for (float mean : options.mean) {
    if (!std::isfinite(mean)) return "--mean: not a finite number";
  }
  for (float std : options.std) {
    if (!std::isfinite(std) || std == 0) return "--std: not a number except 0";
  }
  if (!a->labels.empty()) {
    options.labels = ReadLabels(a->labels);
    if (options.labels.empty()) return "--labels: no label";
  }
  options.input_layout = CLI::detail::to_lower(a->layout) == "nhwc"
                             ? Layout::kNHWC
                             : Layout::kNCHW;
  return "";
}

int Write(const Arguments& a, const SourceModel& source,
          const Conversion& conversion) {
  const auto optimized = OptimizeGraph(conversion.graph);
  if (!optimized.ok()) {
    return Fail(kExitFailure, a.input + ": " + optimized.status().message());
  }
  if (const Status s = WriteGraph(*optimized, a.output); !s.ok()) {
    const bool machine = s.code() != StatusCode::kInvalidModel &&
                         s.code() != StatusCode::kInvalidArgument;
    return Fail(machine ? kExitFailure : kExitBadInput, s.message());
  }
  const auto report =
      MakeReport(source, a.input, conversion, *optimized, a.output);
  if (!report.ok()) return Fail(kExitFailure, report.status().message());
  if (!a.report.empty()) {
    std::ofstream file(a.report);
    file << ReportJson(*report);
    file.close();
    if (!file) return Fail(kExitFailure, a.report + ": cannot be written");
  }
  fmt::print("{}", a.json ? ReportJson(*report) : ReportText(*report));
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("Converts an ONNX network to a bqengine model.", "bq-convert");
  Arguments arguments;
  Declare(&app, &arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitBadInput;
  }
  if (const std::string bad = Complete(&arguments); !bad.empty()) {
    return Fail(kExitBadInput, bad);
  }
  const auto source = ReadOnnx(arguments.input);
  if (!source.ok()) return Fail(kExitBadInput, source.status().message());
  const auto conversion = ConvertModel(*source, arguments.options);
  if (!conversion.ok()) {
    std::istringstream lines(conversion.status().message());
    for (std::string line; std::getline(lines, line);) {
      Fail(kExitBadInput, arguments.input + ": " + line);
    }
    return kExitBadInput;
  }
  if (const auto shapes = InferShapes(conversion->graph); !shapes.ok()) {
    return Fail(kExitBadInput,
                arguments.input + ": " + shapes.status().message());
  }
  return Write(arguments, *source, *conversion);
}

}  // namespace
}  // namespace bqengine::convert

int main(int argc, char** argv) {
  try {
    return bqengine::convert::Main(argc, argv);
  } catch (const std::bad_alloc&) {
    return bqengine::convert::Fail(bqengine::convert::kExitFailure,
                                   "too little memory");
  }
}
