#include <fmt/format.h>

#include "bqengine/preprocess.h"
#include "bqengine/session.h"
#include "common/terminal.h"
#include "run/inputs.h"
#include "run/modes.h"
#include "run/profile.h"
#include "run/report.h"

namespace bqengine::run {
namespace {

const char* LayoutName(Layout layout) {
  return layout == Layout::kNCHW ? "NCHW" : "NHWC";
}

// "x: float32 Nx1x28x28 (NCHW)", as in files.
std::string TensorText(const std::string& name, const TensorInfo& info,
                       Layout layout) {
  std::string text = fmt::format("{}: {} {}", name, DataTypeName(info.type),
                                 ShapeText(ShapeInLayout(info.shape, layout)));
  if (info.shape.size() > 2) text += fmt::format(" ({})", LayoutName(layout));
  return text;
}

Json TensorJson(const std::string& name, const TensorInfo& info,
                Layout layout) {
  return {{"name", name},
          {"type", DataTypeName(info.type)},
          {"shape", ShapeInLayout(info.shape, layout)},
          {"layout", LayoutName(layout)}};
}

// One value, or one per channel: "[0.49, 0.48, 0.45]".
std::string ValuesText(const std::vector<float>& values) {
  const std::string text = fmt::format("{}", fmt::join(values, ", "));
  return values.size() == 1 ? text : "[" + text + "]";
}

std::string PreprocessText(const Preprocess& p) {
  return fmt::format("(pixel * {} - {}) / {}", p.scale, ValuesText(p.mean),
                     ValuesText(p.std));
}

void AddTensors(const Model& model, Report* report) {
  const Graph& graph = model.graph();
  Json inputs = Json::array();
  for (const GraphInput& input : graph.inputs) {
    const Preprocess& p = input.preprocess;
    report->Line("input", TensorText(input.name, input.info, input.layout));
    report->Line("pixels", PreprocessText(p));
    Json entry = TensorJson(input.name, input.info, input.layout);
    entry["preprocess"] = {
        {"scale", p.scale}, {"mean", p.mean}, {"std", p.std}};
    inputs.push_back(std::move(entry));
  }
  Json outputs = Json::array();
  for (size_t i = 0; i < model.num_outputs(); ++i) {
    const std::string& name = model.output_name(i);
    const Layout layout = graph.outputs[i].layout;
    report->Line("output", TensorText(name, model.output(i), layout));
    outputs.push_back(TensorJson(name, model.output(i), layout));
  }
  report->json()["inputs"] = std::move(inputs);
  report->json()["outputs"] = std::move(outputs);
}

void AddWeights(const Graph& graph, Report* report) {
  double bytes = 0, as_float_bytes = 0;
  for (const auto& [name, constant] : graph.constants) {
    bytes += static_cast<double>(constant.bytes());
    const Result<int64_t> count = ElementCount(constant.shape());
    if (count.ok()) as_float_bytes += static_cast<double>(*count) * 4;
  }
  report->Line("weights",
               fmt::format("{}B, {}B as float32", tools::FormatCount(bytes),
                           tools::FormatCount(as_float_bytes)));
  report->json()["weight_bytes"] = static_cast<int64_t>(bytes);
}

}  // namespace

Status Describe(const Model& model, const Options& options) {
  // A session knows which layers passes leave, and who runs them.
  const Result<Session> session =
      Session::Create(model, {.threads = options.threads,
                              .max_arena_bytes = options.limits.max_arena_bytes,
                              .backend = options.backend});
  if (!session.ok()) return session.status();
  Report report(options, *session);
  AddTensors(model, &report);
  const std::vector<std::string>& labels = model.graph().labels;
  if (!labels.empty()) {
    report.Line("labels", fmt::format("{}: {} to {}", labels.size(),
                                      labels.front(), labels.back()));
  }
  report.json()["labels"] = labels;
  AddWeights(model.graph(), &report);
  report.Layers(Layers(*session));
  report.Print();
  return Status();
}

}  // namespace bqengine::run
