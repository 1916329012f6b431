#include "peers/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>
#include <vector>

namespace bqengine::bench {
namespace {

// Pixels.
constexpr int kWidth = 860;
constexpr int kLabelWidth = 170;  // names of layers
constexpr int kValueWidth = 130;  // text behind the longest bar
constexpr int kMargin = 16;
constexpr int kBar = 12;
constexpr int kGroupGap = 10;
constexpr int kLegendGap = 20;
constexpr double kLongestRatio = 40;  // what is longer is cut off

struct Series {
  size_t column;
  std::string heading;
  std::string_view color;
};

// "ours" and the peers that are there, in colors that those who do not see some
// can tell apart (Okabe and Ito's).
std::vector<Series> DrawnSeries(const Report& report) {
  constexpr std::string_view kColors[] = {"#d55e00", "#0072b2", "#56b4e9",
                                          "#a6d8f5", "#009e73", "#8fd3b6"};
  std::vector<Series> series;
  size_t peers = 0;
  for (size_t i = 0; i < report.engines.columns.size(); ++i) {
    const Column& column = report.engines.columns[i];
    const bool ours = i == 0;
    if (column.ours && !ours) continue;
    const std::string_view color =
        ours ? kColors[0] : kColors[1 + peers++ % (std::size(kColors) - 1)];
    const bool drawn = std::any_of(
        report.times.begin(), report.times.end(),
        [&](const Times& times) { return times.us[i].has_value(); });
    if (drawn) {
      series.push_back({i, ours ? "bqengine" : column.heading, color});
    }
  }
  return series;
}

std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string Text(int x, int y, std::string_view attributes,
                 std::string_view text) {
  return fmt::format("<text x=\"{}\" y=\"{}\" {}>{}</text>\n", x, y, attributes,
                     Escape(text));
}

std::string Rectangle(int x, int y, double width, int height,
                      std::string_view color) {
  return fmt::format(
      "<rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\"/>\n",
      x, y, width, height, color);
}

// The bars of one layer, from `y` down; returns where the next begins.
int DrawLayer(const Times& times, const std::vector<Series>& series,
              double longest, int y, std::string& svg) {
  constexpr int kPlotWidth = kWidth - kLabelWidth - kValueWidth - 2 * kMargin;
  const int left = kMargin + kLabelWidth;
  const double ours = times.us[0].value();
  const int top = y;
  for (const Series& one : series) {
    const std::optional<double>& us = times.us[one.column];
    if (!us.has_value()) continue;
    const double ratio = *us / ours;
    const double width = std::min(ratio / longest, 1.0) * kPlotWidth;
    svg += Rectangle(left, y, width, kBar - 2, one.color);
    svg += Text(left + int(width) + 5, y + kBar - 3, "class=\"v\"",
                one.column == 0 ? fmt::format("{} µs", FormatUs(*us))
                                : fmt::format("{}{:.1f}× ({} µs)",
                                              ratio > longest ? "→ " : "",
                                              ratio, FormatUs(*us)));
    y += kBar;
  }
  const int middle = (top + y) / 2;
  svg += Text(left - 8, middle - 2, "text-anchor=\"end\"", times.op);
  svg += Text(left - 8, middle + 12, "text-anchor=\"end\"", times.shape);
  return y + kGroupGap;
}

std::string DrawLegend(const std::vector<Series>& series, int y) {
  std::string svg;
  int x = kMargin;
  for (const Series& one : series) {
    constexpr int kLetter = 7;  // wider than most
    svg += Rectangle(x, y - 10, 12, 12, one.color);
    svg += Text(x + 17, y, "", one.heading);
    x += 17 + kLetter * int(one.heading.size()) + 18;
  }
  return svg;
}

}  // namespace

std::string MakePlot(const Report& report) {
  const std::vector<Series> series = DrawnSeries(report);
  std::vector<const Times*> drawn;
  double longest = 1;
  for (const Times& times : report.times) {
    // The bars of others are measured by ours.
    if (times.threads > 1 || !times.us[0].has_value()) continue;
    drawn.push_back(&times);
    for (const Series& one : series) {
      const auto& us = times.us[one.column];
      if (us.has_value()) longest = std::max(longest, *us / *times.us[0]);
    }
  }
  longest = std::min(longest, kLongestRatio);

  int y = kMargin + 14;
  std::string body =
      Text(kMargin, y, "class=\"t\"",
           "Binary layers on one thread: how many times longer others take");
  y += 20;
  body += Text(kMargin, y, "", EnginesLine(report));
  y += 24;
  body += DrawLegend(series, y);
  y += kLegendGap;
  for (const Times* times : drawn) {
    y = DrawLayer(*times, series, longest, y, body);
  }
  const int height = y + kMargin;
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" "
             "height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
             "font-family=\"sans-serif\" font-size=\"12\">\n"
             "<style>.t {{font-size: 15px; font-weight: bold}} "
             ".v {{font-size: 10.5px}}</style>\n",
             kWidth, height) +
         Rectangle(0, 0, kWidth, height, "white") + body + "</svg>\n";
}

}  // namespace bqengine::bench
