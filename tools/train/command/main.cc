// bq-train: from data and an architecture to a model that bq-run runs.
#include <dlfcn.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <string_view>

#include "bqengine/model.h"
#include "common/command_line.h"
#include "common/file.h"
#include "common/model_files.h"
#include "common/terminal.h"
#include "train/architecture/method.h"
#include "train/architecture/width.h"
#include "train/command/evaluate.h"
#include "train/command/options.h"
#include "train/command/report.h"
#include "train/command/trainer.h"

namespace bqengine::train {
namespace {

Result<Plan> ReadPlan(const Options& options) {
  const auto name_file = [&options](const Status& s) {
    if (s.message().starts_with(options.architecture)) return s;
    return tools::FileError(s.code(), options.architecture, s.message());
  };
  auto graph = ReadGraph(options.architecture);
  if (!graph.ok()) return tools::InputError(graph.status());
  for (const auto& [name, constant] : graph->constants) {
    if (constant.data() == nullptr) continue;
    tools::PrintMessage("bq-train", options.architecture +
                                        ": values in it are not used; "
                                        "--init-from starts from a checkpoint");
    break;
  }
  if (options.width != 1) {
    graph = ScaleWidth(*graph, options.width);
    if (!graph.ok()) return name_file(graph.status());
  }
  auto plan = ApplyMethod(*std::move(graph), options.quantization);
  if (!plan.ok()) return name_file(plan.status());
  if (const Status s = CheckUse(options, *plan); !s.ok()) return s;
  return plan;
}

// An option that no layer heeds would only seem to do something.
Status CheckUse(const Options& options, const Plan& plan) {
  using bqtrain::ActivationMethod;
  using bqtrain::WeightMethod;
  const auto any = [&plan](const auto& heeds) {
    return std::any_of(
        plan.layers.begin(), plan.layers.end(),
        [&heeds](const auto& layer) { return heeds(layer.second); });
  };
  const auto unused = [](const std::string& option, const std::string& what) {
    return Status(StatusCode::kInvalidArgument,
                  option + " changes nothing: no layer has " + what);
  };
  const bqtrain::Quantization& q = options.quantization;
  if (q.trained_alpha && !any([](const auto& layer) {
        return layer.weights == WeightMethod::kBwn ||
               layer.weights == WeightMethod::kAbcNet;
      })) {
    return unused("--alpha trained", "weights of bwn, xnor or abcnet");
  }
  if (!q.trained_shifts && !any([](const auto& layer) {
        return layer.weights == WeightMethod::kAbcNet ||
               layer.activations == ActivationMethod::kAbcNet;
      })) {
    return unused("--shifts fixed", "weights or activations of abcnet");
  }
  if (q.threshold != 0 && !any([](const auto& layer) {
        return layer.weights == WeightMethod::kUnipolar ||
               layer.activations == ActivationMethod::kUnipolar;
      })) {
    return unused("--threshold", "weights or activations of unipolar");
  }
  return Status();
}

struct Data {
  tools::Dataset train, test;
};

Result<Data> ReadData(const Options& options, const GraphInput& input) {
  // Flat inputs take gray pictures, as in bq-run.
  const int64_t channels =
      input.info.shape.size() == 4 ? input.info.shape[3] : 1;
  auto train = tools::ReadDataset(options.dataset, tools::Split::kTrain,
                                  options.limit, channels);
  if (!train.ok()) return tools::InputError(train.status());
  auto test = tools::ReadDataset(options.dataset, tools::Split::kTest,
                                 options.limit, channels);
  if (!test.ok()) return tools::InputError(test.status());
  if (train->class_names != test->class_names) {
    return Status(
        StatusCode::kInvalidArgument,
        options.dataset + ": training and test set have other classes");
  }
  return Data{*std::move(train), *std::move(test)};
}

// Labels that the network has no output for would be undefined behaviour.
Status CheckClasses(const Data& data, const Graph& graph,
                    const Options& options) {
  const auto shapes = InferShapes(graph);
  if (!shapes.ok()) return shapes.status();
  const auto classes = ElementCount(shapes->at(graph.outputs[0].name).shape);
  if (!classes.ok()) return classes.status();
  for (const tools::Dataset* set : {&data.train, &data.test}) {
    for (const uint16_t label : set->labels) {
      if (label >= *classes) {
        return Status(StatusCode::kInvalidArgument,
                      options.dataset + ": class " + std::to_string(label) +
                          ", but " + options.architecture + " has " +
                          std::to_string(*classes) + " outputs");
      }
    }
  }
  return Status();
}

uint64_t Hash(const Data& data) {
  uint64_t hash = 0;
  const auto add = [&hash](const auto& values) {
    const std::string_view bytes = {
        reinterpret_cast<const char*>(values.data()),
        values.size() * sizeof(values[0])};
    hash = 31 * hash + std::hash<std::string_view>()(bytes);
  };
  for (const tools::Dataset* set : {&data.train, &data.test}) {
    add(set->images.pixels);
    add(set->labels);
  }
  return hash;
}

// OpenBLAS, which does LibTorch's matrix products on Debian, has threads of its
// own that LibTorch does not count. Left alone, they are one per core, and wait
// for work by spinning.
void SetThreads(int threads) {
  torch::set_num_threads(threads);
  using SetNumThreads = void (*)(int);
  const auto set = reinterpret_cast<SetNumThreads>(
      dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
  if (set != nullptr) set(threads);
}

// Writes the model, and runs what was written.
Result<Report> Export(const Options& options, const Data& data,
                      bqtrain::NetworkImpl* network, Report report) {
  Graph graph = network->Export();
  graph.producer = "bq-train " BQENGINE_VERSION;
  if (graph.labels.empty()) {
    // Names of folders need not be text.
    for (const std::string& name : data.test.class_names) {
      graph.labels.push_back(tools::Printable(name));
    }
  }
  const auto optimized = OptimizeGraph(graph);
  if (!optimized.ok()) return optimized.status();
  if (const Status s = WriteGraph(*optimized, options.output); !s.ok())
    return s;
  const auto model = Model::Load(options.output);
  if (!model.ok()) return model.status();

  const auto trained = EvaluateNetwork(network, data.test, graph.inputs[0]);
  if (!trained.ok()) return trained.status();
  const auto exported = EvaluateModel(*model, data.test, options.threads);
  if (!exported.ok()) return exported.status();
  report.test_images = data.test.images.count;
  report.test_accuracy = Accuracy(*trained, data.test);
  report.exported_accuracy = Accuracy(*exported, data.test);
  report.comparison = Compare(*trained, *exported);
  report.model_bytes = tools::TotalBytes(tools::ModelFiles(options.output));
  return report;
}

Status Train(Options* options) {
  if (const Status s = Complete(options); !s.ok()) return s;
  const auto plan = ReadPlan(*options);
  if (!plan.ok()) return plan.status();
  SetThreads(options->threads);
  torch::manual_seed(options->seed);
  const auto network = bqtrain::NetworkImpl::Make(plan->graph, plan->layers);
  if (!network.ok()) {
    return tools::FileError(StatusCode::kInvalidModel, options->architecture,
                            network.status().message());
  }
  const GraphInput& input = plan->graph.inputs[0];
  const auto data = ReadData(*options, input);
  if (!data.ok()) return data.status();
  if (const Status s = CheckClasses(*data, plan->graph, *options); !s.ok()) {
    return s;
  }
  for (const tools::Dataset* set : {&data->train, &data->test}) {
    if (const Status s = CheckOutputs(*options, set->files); !s.ok()) return s;
  }
  options->dataset_hash = Hash(*data);

  Trainer trainer(*options, input, data->train, data->test, network->get());
  if (const Status s = trainer.Prepare(); !s.ok()) return s;
  if (const Status s = trainer.Run(); !s.ok()) return s;
  const auto report =
      Export(*options, *data, network->get(),
             {.history = trainer.history(), .steps = trainer.steps_done()});
  if (!report.ok()) return report.status();
  if (!options->json.empty() && options->json != "-") {
    const Status s =
        tools::WriteFile(options->json, ReportJson(*report, *options));
    if (!s.ok()) return s;
  }
  tools::Print(options->json == "-" ? ReportJson(*report, *options)
                                    : ReportText(*report, *options));
  return Status();
}

// What LibTorch throws has a stack trace in its text.
Status TrainCatching(Options* options) {
  try {
    return Train(options);
  } catch (const c10::Error& e) {
    return Status(StatusCode::kInternal, e.what_without_backtrace());
  }
}

}  // namespace
}  // namespace bqengine::train

int main(int argc, char** argv) {
  using namespace bqengine;
  train::Options options;
  return tools::RunMain(
      "bq-train", argc, argv,
      [&options](CLI::App* app) { train::DeclareOptions(app, &options); },
      [&options] { return train::TrainCatching(&options); });
}
