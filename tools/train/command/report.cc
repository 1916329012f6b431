#include "train/command/report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/terminal.h"

namespace bqengine::train {
namespace {

double Seconds(const TrainingHistory& history) {
  double seconds = 0;
  for (const EpochRecord& epoch : history.epochs) seconds += epoch.seconds;
  return seconds;
}

}  // namespace

std::string ReportText(const Report& r, const Options& options) {
  const auto line = [](const char* label, const std::string& text) {
    return fmt::format("{:<19}{}\n", label, tools::Printable(text));
  };
  return line("model", options.output) +
         line("size", fmt::format("{} bytes", r.model_bytes)) +
         line("method", options.method) + line("dataset", options.dataset) +
         line("test images", std::to_string(r.test_images)) +
         line("accuracy",
              fmt::format("{:.2f} % as trained, {:.2f} % exported",
                          r.test_accuracy * 100, r.exported_accuracy * 100)) +
         line("predictions differ",
              fmt::format("{} ({} by more than rounding)",
                          r.comparison.differing,
                          r.comparison.clearly_differing)) +
         line("training",
              fmt::format("{} steps, {:.0f} s", r.steps, Seconds(r.history)));
}

std::string ReportJson(const Report& r, const Options& options) {
  const EpochRecord last =
      r.history.epochs.empty() ? EpochRecord{} : r.history.epochs.back();
  nlohmann::ordered_json json =
      nlohmann::ordered_json::parse(Settings(options));
  nlohmann::ordered_json settings;
  for (const auto& [key, value] : json.items()) settings[key.substr(2)] = value;
  const nlohmann::ordered_json result = {
      {"model", options.output},
      {"model_bytes", r.model_bytes},
      {"settings", settings},
      {"epochs", r.history.epochs.size()},
      {"steps", r.steps},
      {"seconds", Seconds(r.history)},
      {"train_loss", last.train_loss},
      {"train_accuracy", last.train_accuracy},
      {"test_images", r.test_images},
      {"test_accuracy", r.test_accuracy},
      {"exported_accuracy", r.exported_accuracy},
      {"differing", r.comparison.differing},
      {"clearly_differing", r.comparison.clearly_differing}};
  return result.dump(2, ' ', false,
                     nlohmann::ordered_json::error_handler_t::replace) +
         "\n";
}

}  // namespace bqengine::train
