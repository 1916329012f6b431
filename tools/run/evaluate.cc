#include <fmt/format.h>

#include <algorithm>

#include "common/class_numbers.h"
#include "common/command_line.h"
#include "common/dataset.h"
#include "common/file.h"
#include "common/progress.h"
#include "run/inputs.h"
#include "run/modes.h"
#include "run/predict.h"
#include "run/report.h"
#include "run/runner.h"

namespace bqengine::run {
namespace {

using tools::Dataset;

// The best class of each image.
Result<std::vector<Prediction>> RunDataset(const Model& model,
                                           const Dataset& data, size_t classes,
                                           std::span<const Values> inputs,
                                           Runner* runner) {
  const int64_t count = data.images.count;
  const int64_t full = runner->max_batch();
  const Result<int64_t> warm_up = runner->WarmUp(full, 0, inputs);
  if (!warm_up.ok()) return warm_up.status();

  std::vector<Prediction> best;
  const bool are_probabilities = EndsInSoftmax(model, 0);
  tools::Progress progress("images", count);
  for (int64_t first = 0; first < count; first += full) {
    const int64_t batch = std::min(full, count - first);
    const Status status = runner->Run(first, batch, inputs);
    if (!status.ok()) return status;
    const std::span<const float> scores = runner->output(0);
    for (size_t i = 0; i < static_cast<size_t>(batch); ++i) {
      best.push_back(Classify(scores.subspan(i * classes, classes), 1,
                              are_probabilities)[0]);
    }
    progress.Update(first + batch);
  }
  return best;
}

void AddAccuracy(const std::vector<Prediction>& best, const Dataset& data,
                 Report* report) {
  int64_t correct = 0;
  for (size_t i = 0; i < data.labels.size(); ++i) {
    correct += best[i].index == data.labels[i];
  }
  const int64_t count = data.images.count;
  const double accuracy =
      static_cast<double>(correct) / static_cast<double>(count);
  report->Line("images", std::to_string(count));
  report->Line("accuracy",
               fmt::format("{:.2f} % ({}/{})", accuracy * 100, correct, count));
  report->json()["accuracy"] = accuracy;
  report->json()["correct"] = correct;
  report->json()["count"] = count;
}

void AddShown(const Model& model, const Options& options,
              const std::vector<Prediction>& predictions, const Dataset& data,
              size_t classes, Report* report) {
  if (options.show == 0) return;
  const size_t shown =
      std::min(static_cast<size_t>(options.show), data.labels.size());
  Json list = Json::array();
  for (size_t i = 0; i < shown; ++i) {
    const Prediction& best = predictions[i];
    const int64_t label = data.labels[i];
    report->Line(
        fmt::format("image {}", i),
        fmt::format("{}, truth {}{}", PredictionText(model, classes, best),
                    ClassName(model, classes, label),
                    best.index == label ? "" : ", WRONG"));
    Json entry = {{"image", i},
                  {"class", best.index},
                  {"label", label},
                  {"score", best.score}};
    if (best.confidence) entry["confidence"] = *best.confidence;
    list.push_back(std::move(entry));
  }
  report->json()["predictions"] = std::move(list);
}

}  // namespace

Status Evaluate(const Model& model, const Options& options) {
  const Result<int64_t> channels = WantedChannels(model);
  if (!channels.ok()) {
    return tools::FileError(StatusCode::kInvalidArgument, options.dataset,
                            channels.status().message());
  }
  Result<Dataset> data = tools::ReadDataset(
      options.dataset, tools::Split::kTest, options.limit, *channels);
  if (!data.ok()) return tools::InputError(data.status());
  const Result<int64_t> classes = ElementCount(model.output(0).shape);
  if (!classes.ok()) return classes.status();
  Status status = tools::NumberClasses(options.dataset, model.graph().labels,
                                       *classes, &*data);
  if (!status.ok()) return status;

  Result<Values> values = PixelsToValues(
      model, data->images, options.dataset,
      [](const std::string& line) { tools::PrintMessage("bq-run", line); },
      options.limits);
  if (!values.ok()) return values.status();
  const std::vector<Values> inputs = {*std::move(values)};

  const int64_t batch =
      std::min(std::max<int64_t>(options.batch, 1), data->images.count);
  Result<Runner> runner = Runner::Create(model, options, batch);
  if (!runner.ok()) return runner.status();
  const Result<std::vector<Prediction>> best =
      RunDataset(model, *data, static_cast<size_t>(*classes), inputs, &*runner);
  if (!best.ok()) return best.status();

  Report report(options, runner->session());
  report.Line("dataset", options.dataset);
  report.json()["dataset"] = options.dataset;
  AddAccuracy(*best, *data, &report);
  report.Latency(*runner, "image", /*cold=*/false);
  report.Speed(*runner, "images_per_second", "images");
  AddShown(model, options, *best, *data, static_cast<size_t>(*classes),
           &report);
  status = AddProfile(options, *runner, &report);
  if (!status.ok()) return status;
  report.Print();
  return Status();
}

}  // namespace bqengine::run
