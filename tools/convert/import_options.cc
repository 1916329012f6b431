#include "import_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <locale>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "common/file.h"

namespace bqengine::convert {
namespace {

namespace fs = std::filesystem;

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

}  // namespace

void DeclareImport(CLI::App* app, const std::string& labels_group,
                   ImportOptions* o) {
  app->add_option("--labels", o->labels,
                  "Names of classes: a file with one a line, or a,b,c")
      ->option_text("FILE|LIST")
      ->group(labels_group);
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
  app->add_option("--sign-zero", o->sign_zero,
                  "What the sign of 0 is: 0 as in ONNX, or +1")
      ->option_text("exact|plus (default exact)")
      ->transform(CLI::IsMember({"exact", "plus"}, CLI::ignore_case))
      ->group("How the ONNX file is understood");
}

Status CompleteImport(ImportOptions* options) {
  ConvertOptions& convert = options->convert;
  convert.scale = *ParseScale(options->scale);
  convert.mean = *ParseList(options->mean);
  convert.std = *ParseList(options->std);
  convert.input_layout =
      options->layout == "NHWC" ? Layout::kNHWC : Layout::kNCHW;
  convert.sign_zero =
      options->sign_zero == "plus" ? SignZero::kPlus : SignZero::kExact;
  if (!options->labels.empty()) {
    auto labels = ReadLabels(options->labels);
    if (!labels.ok()) return labels.status();
    convert.labels = *std::move(labels);
  }
  return Status();
}

}  // namespace bqengine::convert
