#include <fmt/format.h>

#include <algorithm>

#include "bqengine/preprocess.h"
#include "common/command_line.h"
#include "common/npy.h"
#include "run/inputs.h"
#include "run/modes.h"
#include "run/predict.h"
#include "run/report.h"
#include "run/runner.h"

namespace bqengine::run {
namespace {

// Large enough to use a machine, small enough for its caches.
constexpr int64_t kDefaultBatch = 32;

struct Outputs {
  // For each output of the model the values of all items, channels-last.
  std::vector<std::vector<float>> values;
  std::vector<double> run_us;  // of runs with a full batch
};

Result<Outputs> RunAll(const Inputs& inputs, Runner* runner) {
  Outputs outputs;
  outputs.values.resize(runner->model().num_outputs());
  for (int64_t first = 0; first < inputs.count; first += runner->max_batch()) {
    const int64_t batch = std::min(runner->max_batch(), inputs.count - first);
    const Status status = runner->Run(first, batch, inputs.values);
    if (!status.ok()) return status;
    if (batch == runner->max_batch()) {
      outputs.run_us.push_back(runner->last_us());
    }
    for (size_t i = 0; i < outputs.values.size(); ++i) {
      const std::span<const float> values = runner->output(i);
      outputs.values[i].insert(outputs.values[i].end(), values.begin(),
                               values.end());
    }
  }
  return outputs;
}

// Writes each output to its file, in the layout that the model declares.
Status WriteOutputs(const Model& model, const Options& options, int64_t count,
                    const Outputs& outputs, Report* report) {
  Json list = Json::array();
  for (size_t i = 0; i < options.outputs.size(); ++i) {
    const Shape& channels_last = model.output(i).shape;
    const Layout layout = model.graph().outputs[i].layout;
    std::vector<float> values(outputs.values[i].size());
    Status status =
        FromChannelsLast(channels_last, layout, outputs.values[i], values);
    if (!status.ok()) return status;
    Shape shape = ShapeInLayout(channels_last, layout);
    shape[0] = count;
    status = tools::WriteNpy(options.outputs[i], shape, values);
    if (!status.ok()) return status;
    report->Line("output",
                 fmt::format("{} ({})", options.outputs[i], ShapeText(shape)));
    list.push_back({{"name", model.output_name(i)},
                    {"file", options.outputs[i]},
                    {"shape", shape}});
  }
  report->json()["outputs"] = std::move(list);
  return Status();
}

void AddPredictions(const Model& model, const Inputs& inputs,
                    const std::vector<float>& scores, size_t k,
                    Report* report) {
  const size_t classes = scores.size() / static_cast<size_t>(inputs.count);
  const bool are_probabilities = EndsInSoftmax(model, 0);
  Json list = Json::array();
  for (size_t i = 0; i < static_cast<size_t>(inputs.count); ++i) {
    const std::string name =
        inputs.names.empty() ? fmt::format("item {}", i) : inputs.names[i];
    std::string line;
    Json top = Json::array();
    for (const Prediction& p :
         Classify(std::span(scores).subspan(i * classes, classes), k,
                  are_probabilities)) {
      line += (line.empty() ? "" : ", ") + PredictionText(model, classes, p);
      Json entry = {{"class", p.index},
                    {"label", ClassName(model, classes, p.index)},
                    {"score", p.score}};
      if (p.confidence) entry["confidence"] = *p.confidence;
      top.push_back(std::move(entry));
    }
    report->Line(name, line);
    list.push_back({{"item", name}, {"top", std::move(top)}});
  }
  report->json()["predictions"] = std::move(list);
}

}  // namespace

Status Infer(const Model& model, const Options& options) {
  if (!options.outputs.empty() &&
      options.outputs.size() != model.num_outputs()) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("the model has {} outputs, --output is given {} "
                              "times",
                              model.num_outputs(), options.outputs.size()));
  }
  const Result<Inputs> inputs = ReadInputs(
      model, options.inputs,
      [](const std::string& line) { tools::PrintMessage("bq-run", line); },
      options.limits);
  if (!inputs.ok()) return tools::InputError(inputs.status());

  const int64_t wanted = options.batch > 0 ? options.batch : kDefaultBatch;
  const int64_t batch = std::min(wanted, inputs->count);
  Result<Runner> runner = Runner::Create(model, options, batch);
  if (!runner.ok()) return runner.status();
  Report report(options, runner->session());

  const Result<Outputs> outputs = RunAll(*inputs, &*runner);
  if (!outputs.ok()) return outputs.status();
  report.Line("items", std::to_string(inputs->count));
  report.json()["count"] = inputs->count;
  report.Latency(outputs->run_us, batch, "item", /*cold=*/true);

  Status status =
      WriteOutputs(model, options, inputs->count, *outputs, &report);
  if (!status.ok()) return status;
  constexpr int64_t kDefaultTopK = 5;
  const int64_t k = options.topk > 0          ? options.topk
                    : options.outputs.empty() ? kDefaultTopK
                                              : 0;
  if (k > 0) {
    AddPredictions(model, *inputs, outputs->values[0], static_cast<size_t>(k),
                   &report);
  }
  status = AddProfile(options, *runner, &report);
  if (!status.ok()) return status;
  report.Print();
  return Status();
}

}  // namespace bqengine::run
