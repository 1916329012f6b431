#include "run/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/statistics.h"
#include "common/terminal.h"

namespace bqengine::run {
namespace {

std::string RateText(double macs_per_second) {
  return macs_per_second > 0 ? tools::FormatCount(macs_per_second) : "-";
}

constexpr size_t kColumns = 7;
using Row = std::array<std::string, kColumns>;

// Columns of what was measured. They are numbers, and stand to the right.
constexpr std::array<bool, kColumns> kIsTime = {false, false, false, true,
                                                true,  true,  false};

Row MakeRow(const LayerTime& layer) {
  return {tools::Printable(layer.name),
          tools::Printable(layer.op),
          layer.output,
          fmt::format("{:.1f}", layer.us),
          fmt::format("{:.1f}", layer.share * 100),
          RateText(layer.macs_per_second),
          tools::Printable(layer.backend)};
}

double TotalUs(const std::vector<LayerTime>& layers) {
  double total = 0;
  for (const LayerTime& layer : layers) total += layer.us;
  return total;
}

std::string ShortLines(const LayerTime& layer, bool timed) {
  std::string text = tools::Printable(layer.name) + "\n";
  if (timed) {
    text += fmt::format("  median {}, {:.1f} %\n",
                        tools::FormatMicroseconds(layer.us), layer.share * 100);
  }
  if (layer.macs_per_second > 0) {
    text += fmt::format("  {}MAC/s\n", RateText(layer.macs_per_second));
  }
  return text + fmt::format("  {} {}\n  {}\n", tools::Printable(layer.op),
                            layer.output, tools::Printable(layer.backend));
}

}  // namespace

std::vector<LayerTime> Layers(const Session& session) {
  std::vector<LayerTime> layers;
  for (const NodeProfile& node : session.profile()) {
    layers.push_back({.name = node.name,
                      .op = node.op,
                      .output = node.output_shape,
                      .backend = node.backend});
  }
  return layers;
}

std::vector<LayerTime> LayerTimes(const Runner& runner) {
  std::vector<LayerTime> layers = Layers(runner.session());
  const std::vector<NodeProfile> nodes = runner.TypicalRun();
  const std::vector<std::vector<double>>& samples = runner.layer_us();
  for (size_t i = 0; i < samples.size(); ++i) {
    LayerTime& layer = layers[i];
    layer.us = tools::Summarize(samples[i]).median;
    if (layer.us > 0) layer.macs_per_second = nodes[i].macs * 1e6 / layer.us;
  }
  const double all_us = TotalUs(layers);
  for (LayerTime& layer : layers) {
    layer.share = all_us > 0 ? layer.us / all_us : 0;
  }
  return layers;
}

std::string LayerTable(const std::vector<LayerTime>& layers, int width) {
  const double all_us = TotalUs(layers);
  const bool timed = all_us > 0;
  std::vector<Row> rows = {
      {"layer", "op", "output", "median us", "%", "MAC/s", "backend"}};
  for (const LayerTime& layer : layers) rows.push_back(MakeRow(layer));
  if (timed) {
    rows.push_back({"sum", "", "", fmt::format("{:.1f}", all_us), "100.0"});
  }

  std::array<size_t, kColumns> widths{};
  size_t total = 0;
  for (size_t c = 0; c < kColumns; ++c) {
    if (kIsTime[c] && !timed) continue;
    for (const Row& row : rows) widths[c] = std::max(widths[c], row[c].size());
    total += widths[c] + (c > 0 ? 2 : 0);
  }

  std::string text;
  if (total > static_cast<size_t>(width)) {
    for (const LayerTime& layer : layers) text += ShortLines(layer, timed);
    if (timed) text += "sum\n  " + tools::FormatMicroseconds(all_us) + "\n";
    return text;
  }
  for (const Row& row : rows) {
    std::string line;
    for (size_t c = 0; c < kColumns; ++c) {
      if (widths[c] == 0) continue;
      line += kIsTime[c] ? fmt::format("{:>{}}  ", row[c], widths[c])
                         : fmt::format("{:<{}}  ", row[c], widths[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace bqengine::run
