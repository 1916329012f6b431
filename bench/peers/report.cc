#include "peers/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

namespace bqengine::bench {
namespace {

// Columns of ours; the others are compared with the first of these.
constexpr size_t kOurColumns = 3;

using TableRow = std::vector<std::string>;

std::string FormatRatio(double ratio) {
  return fmt::format("{:.{}f}x", ratio, ratio < 9.95 ? 2 : 1);
}

// Of "ours" with one thread, by layer.
std::map<std::string, double> OneThreadTimes(const Report& report) {
  std::map<std::string, double> times;
  for (const Times& row : report.times) {
    if (row.threads == 1) times[row.op + "/" + row.shape] = row.us[0].value();
  }
  return times;
}

TableRow MakeRow(const Times& times,
                 const std::map<std::string, double>& one_thread) {
  const double ours = times.us[0].value();
  TableRow cells = {times.op + " " + times.shape};
  for (size_t i = 0; i < times.us.size(); ++i) {
    if (!times.us[i].has_value()) {
      cells.push_back("-");
    } else if (i < kOurColumns) {
      cells.push_back(FormatUs(*times.us[i]));
    } else {
      cells.push_back(fmt::format("{} ({})", FormatUs(*times.us[i]),
                                  FormatRatio(*times.us[i] / ours)));
    }
  }
  if (times.threads > 1) {
    const auto one = one_thread.find(times.op + "/" + times.shape);
    cells.push_back(one == one_thread.end() ? "-"
                                            : FormatRatio(one->second / ours));
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
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown processor";
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

std::string MakeTables(const Report& report) {
  std::set<int> thread_counts;
  for (const Times& times : report.times) thread_counts.insert(times.threads);
  const std::map<std::string, double> one_thread = OneThreadTimes(report);
  std::string text;
  for (const int threads : thread_counts) {
    TableRow heading = {
        fmt::format("{} thread{}, us", threads, threads == 1 ? "" : "s")};
    for (const Column& column : report.engines.columns) {
      heading.push_back(column.heading);
    }
    if (threads > 1) heading.push_back("ours, of 1 thread");
    std::vector<TableRow> rows = {heading};
    for (const Times& times : report.times) {
      if (times.threads == threads) {
        rows.push_back(MakeRow(times, one_thread));
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
