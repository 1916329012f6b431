#include "report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/terminal.h"

namespace bqengine::convert {
namespace {

std::string OutputText(const TensorInfo& info) {
  const Shape item(info.shape.begin() + 1, info.shape.end());
  return fmt::format("{} {}", fmt::join(item, "x"),
                     info.type == DataType::kFloat32 ? "float" : "bits");
}

std::string ListText(const std::vector<float>& numbers) {
  return numbers.size() == 1 ? fmt::format("{:g}", numbers[0])
                             : fmt::format("[{:g}]", fmt::join(numbers, ", "));
}

bool IsPlain(const Preprocess& p) {
  return p.scale == 1 && p.mean == std::vector<float>{0} &&
         p.std == std::vector<float>{1};
}

// "input x: 28x28x1 NCHW, x = (pixel * 0.00392157 - 0.5) / 0.5"
std::string InputText(const GraphInput& input) {
  const Preprocess& p = input.preprocess;
  const Shape item(input.info.shape.begin() + 1, input.info.shape.end());
  const std::string formula =
      IsPlain(p) ? "pixel"
                 : fmt::format("(pixel * {:g} - {}) / {}", p.scale,
                               ListText(p.mean), ListText(p.std));
  return fmt::format("input {}: {}{}, x = {}\n", tools::Printable(input.name),
                     fmt::join(item, "x"),
                     item.size() != 3                ? ""
                     : input.layout == Layout::kNCHW ? " NCHW"
                                                     : " NHWC",
                     formula);
}

std::string WeightText(const LayerReport& layer) {
  if (!layer.has_weights) return "";
  return fmt::format("{} of {}", tools::FormatBytes(layer.weight_bytes),
                     layer.weights == DataType::kFloat32 ? "floats" : "bits");
}

std::string ReasonText(const LayerReport& layer) {
  if (layer.float_reason.empty()) return "";
  return (layer.weights == DataType::kFloat32 ? "stays float: "
                                              : "activations stay float: ") +
         layer.float_reason;
}

}  // namespace

Result<Report> MakeReport(const SourceModel& source,
                          const std::string& source_path,
                          const Conversion& conversion, const Graph& graph,
                          const std::string& output_path) {
  const auto shapes = InferShapes(graph);
  if (!shapes.ok()) return shapes.status();
  Report report;
  report.source = {source_path, source.file_bytes};
  report.producer = source.producer;
  report.files = tools::ModelFiles(output_path);
  report.inputs = graph.inputs;
  report.signs = conversion.signs;
  report.notes = conversion.notes;
  if (std::all_of(graph.inputs.begin(), graph.inputs.end(),
                  [](const auto& i) { return IsPlain(i.preprocess); })) {
    report.notes.push_back(
        "no preprocessing given: pixels go in as 0 to 255 (see --scale, --mean "
        "and --std)");
  }
  for (const Node& node : graph.nodes) {
    LayerReport layer;
    layer.name = node.name;
    layer.op = node.op;
    layer.output = shapes->at(node.outputs.at(0));
    if (const auto it = node.constants.find("weight");
        it != node.constants.end()) {
      const Constant& weight = graph.constants.at(it->second);
      layer.has_weights = true;
      layer.weights = weight.type();
      layer.weight_bytes = static_cast<int64_t>(weight.bytes());
    }
    if (const auto it = conversion.float_reasons.find(node.name);
        it != conversion.float_reasons.end()) {
      layer.float_reason = it->second;
    }
    report.layers.push_back(std::move(layer));
  }
  return report;
}

std::string ReportText(const Report& report) {
  size_t name = 0, op = 0, output = 0, weight = 0;
  for (const LayerReport& layer : report.layers) {
    name = std::max(name, tools::Printable(layer.name).size());
    op = std::max(op, layer.op.size());
    output = std::max(output, OutputText(layer.output).size());
    weight = std::max(weight, WeightText(layer).size());
  }
  std::string text;
  for (const GraphInput& input : report.inputs) text += InputText(input);
  for (const LayerReport& layer : report.layers) {
    std::string line = fmt::format(
        "{:{}}  {:{}}  {:{}}  {:{}}  {}", tools::Printable(layer.name), name,
        layer.op, op, OutputText(layer.output), output, WeightText(layer),
        weight, ReasonText(layer));
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  for (const SignReport& sign : report.signs) {
    text += tools::Printable(SignText(sign)) + "\n";
  }
  for (const std::string& note : report.notes) {
    text += "note: " + tools::Printable(note) + "\n";
  }
  std::vector<std::string> files;
  for (const tools::FileSize& file : report.files) {
    files.push_back(fmt::format("{} {}", tools::Printable(file.path),
                                tools::FormatBytes(file.bytes)));
  }
  text +=
      fmt::format("{} {} -> {} ({})\n", tools::Printable(report.source.path),
                  tools::FormatBytes(report.source.bytes),
                  tools::FormatBytes(tools::TotalBytes(report.files)),
                  fmt::join(files, " + "));
  return text;
}

std::string ReportJson(const Report& report) {
  using Json = nlohmann::ordered_json;
  Json root;
  root["source"] = {{"path", report.source.path},
                    {"bytes", report.source.bytes},
                    {"producer", report.producer}};
  root["bytes"] = tools::TotalBytes(report.files);
  root["files"] = Json::array();
  for (const tools::FileSize& file : report.files) {
    root["files"].push_back({{"path", file.path}, {"bytes", file.bytes}});
  }
  root["inputs"] = Json::array();
  for (const GraphInput& input : report.inputs) {
    const Preprocess& p = input.preprocess;
    root["inputs"].push_back(
        {{"name", input.name},
         {"item_shape",
          Shape(input.info.shape.begin() + 1, input.info.shape.end())},
         {"layout", input.layout == Layout::kNCHW ? "NCHW" : "NHWC"},
         {"scale", p.scale},
         {"mean", p.mean},
         {"std", p.std}});
  }
  root["layers"] = Json::array();
  for (const LayerReport& layer : report.layers) {
    Json json = {{"name", layer.name},
                 {"op", layer.op},
                 {"output_type", DataTypeName(layer.output.type)}};
    // As in model files: the batch is not a number.
    json["output_shape"] = Json::array({"batch"});
    for (size_t i = 1; i < layer.output.shape.size(); ++i) {
      json["output_shape"].push_back(layer.output.shape[i]);
    }
    if (layer.has_weights) {
      json["weight_type"] = DataTypeName(layer.weights);
      json["weight_bytes"] = layer.weight_bytes;
    }
    if (!layer.float_reason.empty()) json["float_reason"] = layer.float_reason;
    root["layers"].push_back(std::move(json));
  }
  root["signs"] = Json::array();
  for (const SignReport& sign : report.signs) {
    root["signs"].push_back(
        {{"nodes", sign.nodes},
         {"values", sign.values},
         {"bases", sign.values.size() - 1},
         {"impossible", sign.impossible},
         {"assumed_absent", sign.assumed},
         {"assumed_absent_in_some_channels", sign.assumed_somewhere}});
  }
  root["notes"] = report.notes;
  // Paths need not be UTF-8.
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace bqengine::convert
