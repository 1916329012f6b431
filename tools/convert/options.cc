#include "options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <locale>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "common/command_line.h"
#include "common/file.h"

namespace bqengine::convert {
namespace {

namespace fs = std::filesystem;

constexpr char kDescription[] =
    "Converts a network from ONNX to a bqengine model.";

constexpr char kFooter[] = R"(Examples:
  bq-convert lenet.onnx -o lenet.json --scale 1/255 --mean 0.5 --std 0.5
  bq-convert cnv.onnx -o cnv.json --scale 1/255 --labels plane,car,bird,cat,deer,dog,frog,horse,ship,truck
  bq-convert net.onnx -o net.json --report net-report.json

Pixels p from 0 to 255 become (p * scale - mean) / std.
Large weights go to a .safetensors file beside the model.

Exit status: 0 converted; 1 failure at run time (a full disk, say); 2 bad usage, or a file that cannot be converted.)";

std::optional<float> ParseNumber(const std::string& text) {
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  float number = 0;
  if (!(stream >> number) || !stream.eof() || !std::isfinite(number)) {
    return std::nullopt;
  }
  return number;
}

// "0.00392" or "1/255".
std::optional<float> ParseScale(const std::string& text) {
  const size_t slash = text.find('/');
  const auto above = ParseNumber(text.substr(0, slash));
  const auto below = slash == std::string::npos
                         ? std::optional<float>(1.0f)
                         : ParseNumber(text.substr(slash + 1));
  if (!above || !below || *below == 0) return std::nullopt;
  const float scale = *above / *below;
  if (!std::isfinite(scale) || scale == 0) return std::nullopt;
  return scale;
}

// "0.5" or "0.49,0.48,0.45".
std::optional<std::vector<float>> ParseList(const std::string& text) {
  std::istringstream items(text + ",");
  std::vector<float> numbers;
  for (std::string item; std::getline(items, item, ',');) {
    const auto number = ParseNumber(item);
    if (!number) return std::nullopt;
    numbers.push_back(*number);
  }
  return numbers;
}

std::string ScaleProblem(const std::string& text) {
  if (ParseScale(text)) return "";
  return fmt::format("'{}' is not a number other than 0, as 0.5 or 1/255",
                     text);
}

std::string MeanProblem(const std::string& text) {
  if (ParseList(text)) return "";
  return fmt::format("'{}' is not a number, nor numbers like 0.5,0.4,0.3",
                     text);
}

std::string StdProblem(const std::string& text) {
  const auto numbers = ParseList(text);
  if (!numbers) return MeanProblem(text);
  if (std::count(numbers->begin(), numbers->end(), 0.0f) > 0) {
    return fmt::format("'{}': 0 divides nothing", text);
  }
  return "";
}

void DeclarePixels(CLI::App* app, Options* o) {
  constexpr char kGroup[] = "How pixels become the input";
  app->add_option("--scale", o->scale, "Factor of pixels")
      ->option_text("NUMBER|A/B (default 1)")
      ->check(ScaleProblem)
      ->group(kGroup);
  app->add_option("--mean", o->mean, "One for each channel, or one for all")
      ->option_text("NUMBER,... (default 0)")
      ->check(MeanProblem)
      ->group(kGroup);
  app->add_option("--std", o->std, "One for each channel, or one for all")
      ->option_text("NUMBER,... (default 1)")
      ->check(StdProblem)
      ->group(kGroup);
  app->add_option("--layout", o->layout,
                  "Order of dimensions of the ONNX graph's input images")
      ->option_text("NCHW|NHWC (default NCHW)")
      ->transform(CLI::IsMember({"NCHW", "NHWC"}, CLI::ignore_case))
      ->group(kGroup);
}

// No file, but also no list: what looks like a path, and a single name.
Result<std::vector<std::string>> ReadLabels(const std::string& text) {
  const bool list = text.find(',') != std::string::npos &&
                    text.find('/') == std::string::npos &&
                    !text.ends_with(".txt");
  std::error_code error;
  std::string all = text;
  const bool is_file = fs::exists(text, error);
  if (is_file || !list) {
    const auto bytes = tools::ReadFile(text);
    if (!bytes.ok()) {
      return Status(StatusCode::kInvalidArgument,
                    "--labels " + bytes.status().message());
    }
    all.assign(bytes->begin(), bytes->end());
  }
  std::istringstream in(all);
  std::vector<std::string> labels;
  for (std::string label; std::getline(in, label, is_file ? '\n' : ',');) {
    if (!label.empty() && label.back() == '\r') label.pop_back();
    if (!label.empty()) labels.push_back(label);
  }
  if (labels.empty()) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("--labels {}: no label", text));
  }
  return labels;
}

// Also of files that do not exist yet. Devices and pipes take what comes.
bool IsSameFile(const std::string& a, const std::string& b) {
  std::error_code error;
  const fs::file_status status = fs::status(a, error);
  if (fs::exists(status) && fs::exists(b, error)) {
    return fs::is_regular_file(status) && fs::equivalent(a, b, error);
  }
  const fs::path first = fs::weakly_canonical(fs::absolute(a, error), error);
  const fs::path second = fs::weakly_canonical(fs::absolute(b, error), error);
  return !first.empty() && first == second;
}

Status CheckPaths(const Options& o) {
  const fs::path output(o.output);
  if (output.extension() != ".json" || output.stem().empty()) {
    return tools::FileError(StatusCode::kInvalidArgument, o.output,
                            "the name of the output must end in .json");
  }
  const std::string weights =
      fs::path(output).replace_extension(".safetensors").string();
  std::vector<std::pair<std::string, std::string>> taken;
  const auto take = [&taken](const std::string& path, const std::string& what) {
    for (const auto& [other, role] : taken) {
      if (IsSameFile(path, other)) {
        return tools::FileError(StatusCode::kInvalidArgument, path,
                                what + " would overwrite " + role);
      }
    }
    taken.push_back({path, what});
    return Status();
  };
  taken.push_back({o.input, "the ONNX file"});
  if (!o.labels.empty()) taken.push_back({o.labels, "the file of labels"});
  if (Status s = take(o.output, "the model"); !s.ok()) return s;
  if (Status s = take(weights, "the model's weights file"); !s.ok()) return s;
  return o.report.empty() ? Status() : take(o.report, "the report");
}

}  // namespace

void DeclareOptions(CLI::App* app, Options* options) {
  app->description(kDescription);
  app->footer(kFooter);
  app->add_option("model", options->input, "ONNX file to convert")->required();
  app->add_option("-o,--output", options->output,
                  "Model to write; its name ends in .json")
      ->option_text("FILE")
      ->required()
      ->group("What to write");
  app->add_option("--name", options->convert.name,
                  "Name of the network (default: that of the output file)")
      ->option_text("TEXT")
      ->group("What to write");
  app->add_option("--labels", options->labels,
                  "Names of classes: a file with one a line, or a,b,c")
      ->option_text("FILE|LIST")
      ->group("What to write");
  DeclarePixels(app, options);
  constexpr char kGroup[] = "What to report";
  app->add_option("--report", options->report, "Write the report as JSON")
      ->option_text("FILE")
      ->group(kGroup);
  app->add_flag("--json", options->json,
                "Print the report as JSON and nothing else on standard output")
      ->group(kGroup);
  app->set_help_flag("-h,--help", "Print this and exit")->group(kGroup);
  app->set_version_flag("--version",
                        std::string("bq-convert ") + BQENGINE_VERSION,
                        "Print the version and exit")
      ->group(kGroup);
}

Status Complete(Options* options) {
  ConvertOptions& convert = options->convert;
  convert.scale = *ParseScale(options->scale);
  convert.mean = *ParseList(options->mean);
  convert.std = *ParseList(options->std);
  convert.input_layout =
      options->layout == "NHWC" ? Layout::kNHWC : Layout::kNCHW;
  if (Status s = CheckPaths(*options); !s.ok()) return s;
  if (convert.name.empty()) {
    convert.name = fs::path(options->output).stem().string();
  }
  if (!options->labels.empty()) {
    auto labels = ReadLabels(options->labels);
    if (!labels.ok()) return labels.status();
    convert.labels = *std::move(labels);
  }
  return Status();
}

}  // namespace bqengine::convert
