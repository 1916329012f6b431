#include "quantize/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/terminal.h"

namespace bqengine::ptq {
namespace {

using Json = nlohmann::ordered_json;
using Row = std::vector<std::string>;

std::string MethodText(const Method& method) {
  if (!method.abcnet) return "bwn";
  return fmt::format(
      "abcnet, {} {}{}", method.bases, method.bases == 1 ? "base" : "bases",
      method.refinement > 0
          ? fmt::format(", refined in up to {} rounds", method.refinement)
          : ", the paper's shifts");
}

std::string PercentText(double share) {
  return fmt::format("{:.2f} %", share * 100);
}

std::string ErrorText(const std::optional<quantize::Error>& error) {
  if (!error) return "";
  return fmt::format("{} (sum {:.4g}, mean {:.3g})",
                     PercentText(error->relative), error->sum, error->mean);
}

// Each column as wide as its widest entry.
std::string Table(const std::vector<Row>& rows) {
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += fmt::format("{:{}}  ", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

// What is to be said about a layer beyond its numbers.
std::string RemarkText(const LayerResult& layer) {
  if (!layer.weight_error) return "stays float: " + layer.float_reason;
  if (!layer.activations) return "";
  const ActivationBases& bases = *layer.activations;
  return fmt::format("input of {} {} bits, error {}", bases.beta.size(),
                     DataTypeName(bases.encoding),
                     PercentText(bases.relative_error));
}

Row LayerRow(const LayerResult& layer, bool with_images) {
  std::string size = tools::FormatBytes(layer.bytes_before);
  if (layer.weight_error) {
    size += " -> " + tools::FormatBytes(layer.bytes_after);
  }
  Row row = {tools::Printable(layer.name), layer.op,
             fmt::format("{}", fmt::join(layer.shape, "x")), size,
             ErrorText(layer.weight_error)};
  if (with_images) row.push_back(ErrorText(layer.output_error));
  row.push_back(RemarkText(layer));
  return row;
}

std::string LayerTable(const Quantization& q, bool with_images) {
  Row header = {"layer", "op", "weights", "size", "error of weights"};
  if (with_images) header.push_back("error of outputs");
  std::vector<Row> rows = {header};
  for (const LayerResult& layer : q.layers) {
    rows.push_back(LayerRow(layer, with_images));
  }
  return Table(rows);
}

int64_t BytesBefore(const Quantization& q) {
  int64_t bytes = 0;
  for (const LayerResult& layer : q.layers) bytes += layer.bytes_before;
  return bytes;
}

int64_t BytesAfter(const Quantization& q) {
  int64_t bytes = 0;
  for (const LayerResult& layer : q.layers) bytes += layer.bytes_after;
  return bytes;
}

std::string FilesText(const std::vector<tools::FileSize>& files) {
  std::vector<std::string> texts;
  for (const tools::FileSize& file : files) {
    texts.push_back(tools::Printable(file.path) + " " +
                    tools::FormatBytes(file.bytes));
  }
  return fmt::format("{}", fmt::join(texts, " + "));
}

// JSON has no infinity.
Json NumberJson(double number) {
  return std::isfinite(number) ? Json(number) : Json(nullptr);
}

Json ErrorJson(const quantize::Error& error) {
  return {{"sum", NumberJson(error.sum)},
          {"mean", NumberJson(error.mean)},
          {"relative", NumberJson(error.relative)}};
}

Json FilesJson(const std::vector<tools::FileSize>& files) {
  Json list = Json::array();
  for (const tools::FileSize& file : files) {
    list.push_back({{"path", file.path}, {"bytes", file.bytes}});
  }
  return list;
}

Json LayerJson(const LayerResult& layer) {
  Json json = {{"name", layer.name},
               {"op", layer.op},
               {"shape", layer.shape},
               {"bytes_before", layer.bytes_before},
               {"bytes_after", layer.bytes_after}};
  if (!layer.weight_error) {
    json["float_reason"] = layer.float_reason;
    return json;
  }
  json["weight_error"] = ErrorJson(*layer.weight_error);
  if (!layer.output_error) return json;
  json["output_error"] = ErrorJson(*layer.output_error);
  json["starts"] = layer.starts;
  if (layer.activations) {
    const ActivationBases& bases = *layer.activations;
    json["activations"] = {
        {"encoding", DataTypeName(bases.encoding)},
        {"thresholds", bases.thresholds},
        {"beta", bases.beta},
        {"relative_error", NumberJson(bases.relative_error)}};
  }
  return json;
}

}  // namespace

std::string ReportText(const Report& report) {
  const Quantization& q = report.quantization;
  std::string text =
      fmt::format("method: {}\n", MethodText(report.options.method));
  if (report.images > 0) {
    text += fmt::format("calibrated on {} images of {}", report.images,
                        tools::Printable(report.options.calibrate));
    if (q.batch_norms > 0) {
      text += fmt::format(", batch norms estimated anew: {}", q.batch_norms);
    }
    text += "\n";
  }
  text += "\n" + LayerTable(q, report.images > 0) + "\n";
  text += fmt::format("weights: {} -> {}, error of those quantized {}\n",
                      tools::FormatBytes(BytesBefore(q)),
                      tools::FormatBytes(BytesAfter(q)),
                      PercentText(q.weight_error.relative));
  if (q.output_error) {
    text += fmt::format("error of the network's outputs: {}\n",
                        PercentText(q.output_error->relative));
  }
  for (const std::string& note : report.source.notes) {
    text += "note: " + tools::Printable(note) + "\n";
  }
  text +=
      fmt::format("{} -> {} ({} -> {})\n", FilesText(report.source.files),
                  FilesText(report.files),
                  tools::FormatBytes(tools::TotalBytes(report.source.files)),
                  tools::FormatBytes(tools::TotalBytes(report.files)));
  return text;
}

std::string ReportJson(const Report& report) {
  const Options& options = report.options;
  const Quantization& q = report.quantization;
  Json root;
  root["source"] = {{"bytes", tools::TotalBytes(report.source.files)},
                    {"files", FilesJson(report.source.files)}};
  root["bytes"] = tools::TotalBytes(report.files);
  root["files"] = FilesJson(report.files);
  root["method"] = options.method_name;
  root["weight_bases"] = options.method.bases;
  root["refine"] = options.method.abcnet ? options.method.refinement : 0;
  root["activation_bases"] = options.activation_bases;
  if (report.images > 0) {
    root["calibration"] = {{"source", options.calibrate},
                           {"images", report.images},
                           {"batch_norms", q.batch_norms}};
  }
  root["layers"] = Json::array();
  for (const LayerResult& layer : q.layers) {
    root["layers"].push_back(LayerJson(layer));
  }
  root["weight_bytes_before"] = BytesBefore(q);
  root["weight_bytes_after"] = BytesAfter(q);
  root["weight_error"] = ErrorJson(q.weight_error);
  if (q.output_error) root["output_error"] = ErrorJson(*q.output_error);
  root["notes"] = report.source.notes;
  // Paths need not be UTF-8.
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace bqengine::ptq
