#include "run/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/terminal.h"

namespace bqengine::run {
namespace {

std::string RateText(double macs_per_second) {
  return macs_per_second > 0 ? tools::FormatCount(macs_per_second) : "-";
}

constexpr size_t kColumns = 7;
using Row = std::array<std::string, kColumns>;

// Numbers stand to the right.
constexpr std::array<bool, kColumns> kRight = {false, false, false, true,
                                               true,  true,  false};

Row MakeRow(const LayerTime& layer) {
  return {tools::Printable(layer.name),
          layer.op,
          layer.output,
          fmt::format("{:.1f}", layer.us),
          fmt::format("{:.1f}", layer.share * 100),
          RateText(layer.macs_per_second),
          layer.backend};
}

std::string ShortLines(const LayerTime& layer) {
  std::string text =
      fmt::format("{}\n  {}, {:.1f} %\n", tools::Printable(layer.name),
                  tools::FormatMicroseconds(layer.us), layer.share * 100);
  if (layer.macs_per_second > 0) {
    text += fmt::format("  {}MAC/s\n", RateText(layer.macs_per_second));
  }
  return text +
         fmt::format("  {} {}\n  {}\n", layer.op, layer.output, layer.backend);
}

}  // namespace

std::vector<LayerTime> LayerTimes(const Runner& runner) {
  std::vector<LayerTime> layers;
  double all_us = 0;
  for (const NodeProfile& node : runner.session().profile()) {
    LayerTime layer{.name = node.name,
                    .op = node.op,
                    .output = node.output_shape,
                    .backend = node.backend};
    if (node.runs > 0 && runner.last_batch() > 0) {
      layer.us = node.total_us / static_cast<double>(node.runs);
      // `macs` is that of the last run, whose batch may be smaller.
      const double macs = node.macs / static_cast<double>(runner.last_batch()) *
                          static_cast<double>(runner.items());
      if (node.total_us > 0) layer.macs_per_second = macs / node.total_us * 1e6;
    }
    all_us += layer.us;
    layers.push_back(std::move(layer));
  }
  for (LayerTime& layer : layers) {
    layer.share = all_us > 0 ? layer.us / all_us : 0;
  }
  return layers;
}

std::string LayerTable(const std::vector<LayerTime>& layers, int width) {
  std::vector<Row> rows = {
      {"layer", "op", "output", "us", "%", "MAC/s", "backend"}};
  for (const LayerTime& layer : layers) rows.push_back(MakeRow(layer));

  std::array<size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (size_t c = 0; c < kColumns; ++c) {
      widths[c] = std::max(widths[c], row[c].size());
    }
  }
  size_t total = 2 * (kColumns - 1);
  for (const size_t column : widths) total += column;

  std::string text;
  if (total > static_cast<size_t>(width)) {
    for (const LayerTime& layer : layers) text += ShortLines(layer);
    return text;
  }
  for (const Row& row : rows) {
    std::string line;
    for (size_t c = 0; c < kColumns; ++c) {
      line += kRight[c] ? fmt::format("{:>{}}  ", row[c], widths[c])
                        : fmt::format("{:<{}}  ", row[c], widths[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace bqengine::run
