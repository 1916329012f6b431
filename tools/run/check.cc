#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "common/command_line.h"
#include "run/inputs.h"
#include "run/layer_check.h"
#include "run/modes.h"
#include "run/random_inputs.h"
#include "run/report.h"

namespace bqengine::run {
namespace {

constexpr int64_t kDefaultBatch = 2;  // enough for a fault between two items

// The first `batch` items.
Result<std::map<std::string, Tensor>> ToTensors(const Model& model,
                                                const Inputs& inputs,
                                                int64_t batch) {
  std::map<std::string, Tensor> tensors;
  for (size_t i = 0; i < model.num_inputs(); ++i) {
    const TensorInfo& info = model.input(i);
    const Result<int64_t> bytes = ByteCount(info, batch);
    if (!bytes.ok()) return bytes.status();
    Tensor tensor = {.info = info, .bytes = static_cast<size_t>(*bytes)};
    tensor.memory.resize((tensor.bytes + 7) / 8);
    std::visit(
        [&](const auto& values) {
          std::memcpy(tensor.memory.data(), values.data(), tensor.bytes);
        },
        inputs.values[i]);
    tensors[model.input_name(i)] = std::move(tensor);
  }
  return tensors;
}

std::string IndexText(const std::vector<int64_t>& index) {
  return fmt::format("[{}]", fmt::join(index, ", "));
}

std::string DifferenceText(const LayerDifference& d) {
  std::string text = fmt::format("'{}' ({}, {})", d.layer, d.op, d.backend);
  if (d.output != d.layer) text += fmt::format(", output '{}'", d.output);
  if (d.different == 0) return text + ": bits behind the last channel are set";
  text += fmt::format(": {} of {} values; most at {}: {} where {} has {}",
                      d.different, d.values, IndexText(d.index),
                      static_cast<float>(d.got), d.against,
                      static_cast<float>(d.wanted));
  if (d.allowed > 0) text += fmt::format(", allowed {:.3g}", d.allowed);
  if (d.unwritten > 0) text += fmt::format("; {} never written", d.unwritten);
  return text;
}

// Infinite differences have no number in JSON.
Json Number(double value) {
  return std::isfinite(value) ? Json(value) : Json(fmt::format("{}", value));
}

Json DifferenceJson(const LayerDifference& d) {
  Json json = {{"name", d.layer},         {"op", d.op},
               {"output", d.output},      {"backend", d.backend},
               {"against", d.against},    {"values", d.values},
               {"different", d.different}};
  if (d.equal()) return json;
  json["never_written"] = d.unwritten;
  json["padding_bits_set"] = d.dirty_padding;
  json["largest_difference"] = Number(d.most);
  json["allowed"] = Number(d.allowed);
  json["index"] = d.index;
  json["got"] = Number(d.got);
  json["wanted"] = Number(d.wanted);
  return json;
}

std::string Join(const std::set<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

// "1 item", "2 items"
std::string Count(int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// Prints the report; kInternal if a layer differs.
Status ReportLayers(const Options& options, const std::string& input,
                    int64_t batch, const std::vector<LayerDifference>& layers) {
  std::set<std::string> backends, against;
  int64_t alike = 0, different = 0;
  int threads = 1;
  const LayerDifference* first = nullptr;
  Json list = Json::array();
  for (const LayerDifference& layer : layers) {
    backends.insert(layer.backend);
    against.insert(layer.against);
    threads = layer.threads;
    alike += layer.backend == layer.against;
    different += !layer.equal();
    if (first == nullptr && !layer.equal()) first = &layer;
    list.push_back(DifferenceJson(layer));
  }
  NoteThreads(options.threads, threads);

  Report report(options);
  report.Line("model", options.model);
  report.Line("input", input);
  report.Line("compared", fmt::format("{} on {} with {}",
                                      Count(std::ssize(layers), "layer"),
                                      Join(backends), Join(against)));
  if (alike > 0) {
    report.Line("", fmt::format("{} on the same backend both times",
                                Count(alike, "layer")));
  }
  if (first == nullptr) {
    report.Line("result", "no layer differs");
  } else {
    report.Line("result",
                (different == 1 ? std::string("this layer differs: ")
                                : fmt::format("{} layers differ; the first is ",
                                              different)) +
                    DifferenceText(*first));
  }
  Json& json = report.json();
  json["model"] = options.model;
  json["check"] = options.check;
  json["threads"] = threads;
  json["threads_requested"] = options.threads;
  json["batch"] = batch;
  json["equal"] = first == nullptr;
  json["first_difference"] = first == nullptr ? Json() : Json(first->layer);
  json["layers"] = std::move(list);
  report.Print();
  if (first == nullptr) return Status();
  return Status(StatusCode::kInternal,
                fmt::format("layer '{}' differs on {} from {}", first->layer,
                            first->backend, first->against));
}

}  // namespace

Status Check(const Model& model, const Options& options) {
  const bool random = options.inputs.empty();
  const Result<Inputs> inputs =
      random ? RandomInputs(model, std::max(options.batch, kDefaultBatch),
                            options.limits)
             : ReadInputs(
                   model, options.inputs,
                   [](const std::string& line) {
                     tools::PrintMessage("bq-run", line);
                   },
                   options.limits);
  if (!inputs.ok()) return tools::InputError(inputs.status());
  const int64_t batch = options.batch > 0
                            ? std::min(options.batch, inputs->count)
                            : inputs->count;
  auto tensors = ToTensors(model, *inputs, batch);
  if (!tensors.ok()) return tensors.status();

  SessionOptions session;
  session.threads = options.threads;
  session.backend = options.backend;
  session.max_arena_bytes = options.limits.max_arena_bytes;
  const auto layers = CheckLayers(model.graph(), session, options.check,
                                  *std::move(tensors), batch);
  if (!layers.ok()) return layers.status();

  const std::string source =
      random ? fmt::format("random values (seed {})", kRandomSeed)
             : options.inputs[0];
  return ReportLayers(options,
                      fmt::format("{}, {}", source, Count(batch, "item")),
                      batch, *layers);
}

}  // namespace bqengine::run
