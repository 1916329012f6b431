#include <fmt/format.h>

#include <algorithm>

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

struct Evaluation {
  std::vector<Prediction> best;  // of each image
  std::vector<double> run_us;    // of runs with a full batch
};

Result<Evaluation> RunDataset(const Model& model, const Dataset& data,
                              size_t classes, std::span<const Values> inputs,
                              Runner* runner) {
  const int64_t count = data.images.count;
  const int64_t full = runner->max_batch();
  const Result<int64_t> warm_up = runner->WarmUp(full, 0, inputs);
  if (!warm_up.ok()) return warm_up.status();

  Evaluation evaluation;
  const bool are_probabilities = EndsInSoftmax(model, 0);
  tools::Progress progress("images", count);
  for (int64_t first = 0; first < count; first += full) {
    const int64_t batch = std::min(full, count - first);
    const Status status = runner->Run(first, batch, inputs);
    if (!status.ok()) return status;
    if (batch == full) evaluation.run_us.push_back(runner->last_us());
    const std::span<const float> scores = runner->output(0);
    for (size_t i = 0; i < static_cast<size_t>(batch); ++i) {
      evaluation.best.push_back(Classify(scores.subspan(i * classes, classes),
                                         1, are_probabilities)[0]);
    }
    progress.Update(first + batch);
  }
  return evaluation;
}

void AddAccuracy(const Evaluation& evaluation, const Dataset& data,
                 Report* report) {
  int64_t correct = 0;
  for (size_t i = 0; i < data.labels.size(); ++i) {
    correct += evaluation.best[i].index == data.labels[i];
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
              const Evaluation& evaluation, const Dataset& data, size_t classes,
              Report* report) {
  if (options.show == 0) return;
  const size_t shown =
      std::min(static_cast<size_t>(options.show), data.labels.size());
  Json list = Json::array();
  for (size_t i = 0; i < shown; ++i) {
    const Prediction& best = evaluation.best[i];
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

// Where data set and model both name their classes, the names decide: folders
// are numbered as they sort, and one may be missing.
Status NumberClassesAsModel(const Model& model, const std::string& name,
                            Dataset* data) {
  const std::vector<std::string>& known = model.graph().labels;
  if (known.empty() || data->class_names.empty()) return Status();
  std::vector<uint16_t> numbers;
  for (const std::string& class_name : data->class_names) {
    const auto found = std::find(known.begin(), known.end(), class_name);
    if (found == known.end()) {
      return Status(StatusCode::kInvalidArgument,
                    fmt::format("{}: class '{}' is not among the model's "
                                "labels",
                                name, class_name));
    }
    numbers.push_back(static_cast<uint16_t>(found - known.begin()));
  }
  for (uint16_t& label : data->labels) label = numbers[label];
  return Status();
}

// Every label must be one of the model's classes: with another data set the
// accuracy would mean nothing.
Status CheckLabels(const Dataset& data, const std::string& name,
                   size_t classes) {
  const auto largest = std::max_element(data.labels.begin(), data.labels.end());
  if (*largest < classes) return Status();
  return Status(StatusCode::kInvalidArgument,
                fmt::format("{}: has label {}, but the model has {} classes",
                            name, *largest, classes));
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
  Status status = NumberClassesAsModel(model, options.dataset, &*data);
  if (!status.ok()) return status;
  status = CheckLabels(*data, options.dataset, static_cast<size_t>(*classes));
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
  const Result<Evaluation> evaluation =
      RunDataset(model, *data, static_cast<size_t>(*classes), inputs, &*runner);
  if (!evaluation.ok()) return evaluation.status();

  Report report(options, runner->session());
  report.Line("dataset", options.dataset);
  report.json()["dataset"] = options.dataset;
  AddAccuracy(*evaluation, *data, &report);
  report.Latency(evaluation->run_us, batch, "image", /*cold=*/false);
  report.Speed(evaluation->run_us, batch, "images_per_second", "images");
  AddShown(model, options, *evaluation, *data, static_cast<size_t>(*classes),
           &report);
  status = AddProfile(options, *runner, &report);
  if (!status.ok()) return status;
  report.Print();
  return Status();
}

}  // namespace bqengine::run
