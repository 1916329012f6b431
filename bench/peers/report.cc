#include "peers/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

namespace bqengine::bench {
namespace {

using TableRow = std::vector<std::string>;

std::string FormatRatio(double ratio) {
  return fmt::format("{:.{}f}x", ratio, ratio < 9.95 ? 2 : 1);
}

// Of "ours" with one thread, by layer.
std::map<std::string, double> OneThreadTimes(const Report& report) {
  std::map<std::string, double> times;
  for (const Times& row : report.times) {
    if (row.threads == 1 && row.us[0].has_value()) {
      times[row.op + "/" + row.shape] = *row.us[0];
    }
  }
  return times;
}

// Of the columns, those that have a time anywhere.
std::vector<size_t> TimedColumns(const Report& report) {
  std::vector<size_t> timed;
  for (size_t i = 0; i < report.engines.columns.size(); ++i) {
    if (std::any_of(
            report.times.begin(), report.times.end(),
            [i](const Times& times) { return times.us[i].has_value(); })) {
      timed.push_back(i);
    }
  }
  return timed;
}

// Peers are compared with the first of our columns.
TableRow MakeRow(const Times& times, const std::vector<Column>& columns,
                 const std::vector<size_t>& shown,
                 const std::map<std::string, double>& one_thread) {
  const std::optional<double> ours = times.us[0];
  TableRow cells = {times.op + " " + times.shape};
  for (const size_t i : shown) {
    if (!times.us[i].has_value()) {
      cells.push_back("-");
    } else if (columns[i].ours || !ours.has_value()) {
      cells.push_back(FormatUs(*times.us[i]));
    } else {
      cells.push_back(fmt::format("{} ({})", FormatUs(*times.us[i]),
                                  FormatRatio(*times.us[i] / *ours)));
    }
  }
  if (times.threads > 1) {
    const auto one = one_thread.find(times.op + "/" + times.shape);
    cells.push_back(one == one_thread.end() || !ours.has_value()
                        ? "-"
                        : FormatRatio(one->second / *ours));
  }
  return cells;
}

std::string AlignedMarkdown(const std::vector<TableRow>& rows) {
  std::vector<size_t> widths(rows[0].size(), 3);
  for (const TableRow& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t i = 0; i < rows[r].size(); ++i) {
      text += i == 0 ? fmt::format("| {:<{}} |", rows[r][i], widths[i])
                     : fmt::format(" {:>{}} |", rows[r][i], widths[i]);
    }
    text += "\n";
    if (r > 0) continue;
    for (size_t i = 0; i < widths.size(); ++i) {
      text += i == 0 ? fmt::format("| {} |", std::string(widths[i], '-'))
                     : fmt::format(" {}: |", std::string(widths[i] - 1, '-'));
    }
    text += "\n";
  }
  return text;
}

// For scripts that time the same layers elsewhere.
nlohmann::ordered_json LayerJson(const kernels::ConvShape& conv) {
  const kernels::Window& w = conv.window;
  return {{"batch", w.batch},         {"height", w.in_h},
          {"width", w.in_w},          {"in", conv.in_channels},
          {"out", conv.out_channels}, {"kernel", w.kernel_h},
          {"stride", w.stride_h},     {"dilation", w.dilation_h},
          {"pad", w.pad_top},         {"groups", conv.groups}};
}

}  // namespace

std::string CpuName() {
  std::ifstream info("/proc/cpuinfo");
  std::map<std::string, std::string> first;  // of the first processor
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    first.emplace(line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1),
                  line.substr(colon + 2));
  }
  if (!first.contains("model name")) return "unknown processor";
  std::string name = first["model name"];
  if (first.contains("cpu family") && first.contains("model")) {
    name += fmt::format(" (family {}, model {})", first["cpu family"],
                        first["model"]);
  }
  return name;
}

std::string FormatUs(double us) {
  return fmt::format("{:.{}f}", us, us < 9.95 ? 2 : us < 99.5 ? 1 : 0);
}

std::string EnginesLine(const Report& report) {
  const Engines& engines = report.engines;
  std::string line = report.cpu + "; bqengine " + engines.backend;
  if (!engines.onednn.empty()) {
    line += "; oneDNN " + engines.onednn + ", may use " + engines.onednn_isa;
  }
  return line;
}

std::string AnswerLines(const Report& report) {
  std::string text;
  for (size_t i = 0; i < report.engines.columns.size(); ++i) {
    size_t rows = 0;
    Verified largest;
    for (const Times& times : report.times) {
      const std::optional<Verified>& verified = times.verified[i];
      if (!verified.has_value()) continue;
      ++rows;
      if (verified->difference >= largest.difference) largest = *verified;
    }
    if (rows == 0) continue;
    text += fmt::format(
        "- {}: answer verified in {} of {} rows, largest difference {:.2g} of "
        "{:.2g} allowed\n",
        report.engines.columns[i].heading, rows, report.times.size(),
        largest.difference, largest.allowed);
  }
  // Each reason once, with the layers that it is about.
  std::map<std::string, std::set<std::string>> layers;
  std::set<std::string> all;
  for (const Times& times : report.times) {
    all.insert(times.op + " " + times.shape);
    for (const std::string& note : times.notes) {
      layers[note].insert(times.op + " " + times.shape);
    }
  }
  for (const auto& [note, names] : layers) {
    text += names == all
                ? fmt::format("- {} (all layers)\n", note)
                : fmt::format("- {} ({})\n", note, fmt::join(names, ", "));
  }
  return text;
}

std::string MakeTables(const Report& report) {
  std::set<int> thread_counts;
  for (const Times& times : report.times) thread_counts.insert(times.threads);
  const std::map<std::string, double> one_thread = OneThreadTimes(report);
  const std::vector<Column>& columns = report.engines.columns;
  const std::vector<size_t> shown = TimedColumns(report);
  std::string text;
  for (const int threads : thread_counts) {
    TableRow heading = {
        fmt::format("{} thread{}, us", threads, threads == 1 ? "" : "s")};
    for (const size_t i : shown) heading.push_back(columns[i].heading);
    if (threads > 1) heading.push_back("ours, of 1 thread");
    std::vector<TableRow> rows = {heading};
    for (const Times& times : report.times) {
      if (times.threads == threads) {
        rows.push_back(MakeRow(times, columns, shown, one_thread));
      }
    }
    text += "\n" + AlignedMarkdown(rows);
  }
  return text;
}

std::string MakeJson(const Report& report) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  const std::vector<Column>& columns = report.engines.columns;
  for (const Times& times : report.times) {
    nlohmann::ordered_json object = {
        {"op", times.op}, {"shape", times.shape}, {"threads", times.threads}};
    for (size_t i = 0; i < columns.size(); ++i) {
      if (times.us[i].has_value()) {
        object[columns[i].key] = *times.us[i];
      } else {
        object[columns[i].key] = nullptr;
      }
    }
    nlohmann::ordered_json answers = nlohmann::ordered_json::object();
    for (size_t i = 0; i < columns.size(); ++i) {
      if (!times.verified[i].has_value()) continue;
      answers[columns[i].key] = {{"difference", times.verified[i]->difference},
                                 {"allowed", times.verified[i]->allowed}};
    }
    object["answers"] = answers;
    object["macs"] = times.macs;
    object["layer"] = LayerJson(times.conv);
    object["cpu"] = report.cpu;
    object["backend"] = report.engines.backend;
    object["onednn"] = report.engines.onednn;
    object["onednn_isa"] = report.engines.onednn_isa;
    for (size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].key.starts_with("onednn") &&
          !times.implementations[i].empty()) {
        std::string key = columns[i].key;
        key.replace(key.size() - 2, 2, "kernel");
        object[key] = times.implementations[i];
      }
    }
    object["rounds"] = report.rounds;
    list.push_back(object);
  }
  return list.dump(2) + "\n";
}

}  // namespace bqengine::bench
