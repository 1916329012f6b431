#include "train/command/inputs.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "bqengine/model.h"
#include "common/command_line.h"
#include "common/file.h"
#include "train/architecture/width.h"

namespace bqengine::train {
namespace {

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

}  // namespace

Result<Plan> ReadPlan(const Options& options) {
  const auto name_file = [&options](const Status& s) {
    if (s.message().starts_with(options.architecture)) return s;
    return tools::FileError(s.code(), options.architecture, s.message());
  };
  auto graph = ReadGraph(options.architecture, options.limits.model);
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

Result<Data> ReadData(const Options& options, const Graph& graph) {
  const GraphInput& input = graph.inputs[0];
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
  Data data = {*std::move(train), *std::move(test)};
  if (const Status s = CheckClasses(data, graph, options); !s.ok()) return s;
  for (const tools::Dataset* set : {&data.train, &data.test}) {
    if (const Status s = CheckOutputs(options, set->files); !s.ok()) return s;
  }
  return data;
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

}  // namespace bqengine::train
