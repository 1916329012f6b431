#include "train/plot/training_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "train/plot/axis.h"
#include "train/plot/svg_text.h"

namespace bqengine::train {
namespace {

// Pixels.
constexpr int kWidth = 860;
constexpr int kMargin = 16;
constexpr int kTickWidth = 52;  // numbers left of a panel
constexpr int kLeft = kMargin + kTickWidth;
constexpr int kPlotWidth = kWidth - kLeft - kMargin;
constexpr int kPlotHeight = 170;
constexpr int kTickHeight = 20;  // numbers below a panel
constexpr int kLegendLine = 17;
constexpr int kPanelGap = 26;

// Okabe and Ito's, which those who do not see some colors can tell apart;
// yellow is too pale for lines. Lines beyond are dashed.
constexpr std::string_view kColors[] = {"#0072b2", "#d55e00", "#009e73",
                                        "#cc79a7", "#56b4e9", "#e69f00",
                                        "#000000"};
constexpr std::string_view kDashes[] = {"", "6 3", "2 2", "8 3 2 3"};

struct Curve {
  std::string name;
  std::vector<double> values;  // one per epoch
};

struct Panel {
  std::string title;
  std::vector<Curve> curves;
};

using Value = std::function<double(const EpochRecord&)>;

void AddCurve(const TrainingHistory& history, const std::string& name,
              const Value& value, Panel* panel) {
  Curve curve{name, {}};
  for (const EpochRecord& epoch : history.epochs) {
    curve.values.push_back(value(epoch));
  }
  if (std::any_of(curve.values.begin(), curve.values.end(), IsDrawable)) {
    panel->curves.push_back(std::move(curve));
  }
}

Panel LayerPanel(const TrainingHistory& history, const std::string& title,
                 double LayerRecord::*value) {
  Panel panel{title, {}};
  if (history.epochs.empty()) return panel;
  const std::vector<LayerRecord>& layers = history.epochs[0].layers;
  for (size_t i = 0; i < layers.size(); ++i) {
    AddCurve(
        history, layers[i].name,
        [=](const EpochRecord& epoch) {
          return i < epoch.layers.size() ? 100 * (epoch.layers[i].*value)
                                         : std::nan("");
        },
        &panel);
  }
  return panel;
}

std::vector<Panel> MakePanels(const TrainingHistory& history) {
  Panel loss{"Loss", {}};
  AddCurve(
      history, "training",
      [](const EpochRecord& epoch) { return epoch.train_loss; }, &loss);
  Panel error{"Error, %", {}};
  AddCurve(
      history, "training",
      [](const EpochRecord& epoch) { return 100 * (1 - epoch.train_accuracy); },
      &error);
  AddCurve(
      history, "test",
      [](const EpochRecord& epoch) { return 100 * (1 - epoch.test_accuracy); },
      &error);
  std::vector<Panel> panels = {
      std::move(loss), std::move(error),
      LayerPanel(history, "Quantization error of the weights, %",
                 &LayerRecord::quantization_error),
      LayerPanel(history, "Weights that changed sign in the epoch, %",
                 &LayerRecord::flipped)};
  std::erase_if(panels, [](const Panel& p) { return p.curves.empty(); });
  return panels;
}

std::string Text(double x, double y, std::string_view attributes,
                 std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y,
                     attributes, SvgText(text));
}

std::string Line(double x1, double y1, double x2, double y2,
                 std::string_view attributes) {
  return fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n",
      x1, y1, x2, y2, attributes);
}

std::string Stroke(size_t curve) {
  const std::string_view dash =
      kDashes[curve / std::size(kColors) % std::size(kDashes)];
  return fmt::format(
      "stroke=\"{}\"{}", kColors[curve % std::size(kColors)],
      dash.empty() ? "" : fmt::format(" stroke-dasharray=\"{}\"", dash));
}

// The part of a picture in which curves are drawn.
struct Frame {
  Axis across;
  Axis up;
  int top;

  double X(double value) const {
    return kLeft + kPlotWidth * across.Place(value);
  }
  double Y(double value) const {
    return top + kPlotHeight * (1 - up.Place(value));
  }
};

std::string DrawAxes(const Frame& frame) {
  std::string svg;
  constexpr int kRight = kLeft + kPlotWidth;
  const int bottom = frame.top + kPlotHeight;
  for (const double tick : frame.up.ticks) {
    svg += Line(kLeft, frame.Y(tick), kRight, frame.Y(tick), "class=\"g\"");
    svg += Text(kLeft - 7, frame.Y(tick) + 4, "text-anchor=\"end\"",
                fmt::format("{:.6g}", tick));
  }
  for (const double tick : frame.across.ticks) {
    const double x = frame.X(tick);
    svg += Line(x, bottom, x, bottom + 4, "class=\"a\"");
    svg += Text(x, bottom + 17, "text-anchor=\"middle\"",
                fmt::format("{:.0f}", tick));
  }
  svg += Line(kLeft, bottom, kRight, bottom, "class=\"a\"");
  return svg + Line(kLeft, frame.top, kLeft, bottom, "class=\"a\"");
}

// Points that are next to each other are joined. Points are marked where they
// are few, or alone.
std::string DrawCurve(const TrainingHistory& history, const Curve& curve,
                      size_t number, const Frame& frame) {
  constexpr size_t kFewPoints = 40;
  const std::string_view color = kColors[number % std::size(kColors)];
  std::string lines, points;
  const size_t count = curve.values.size();
  const auto drawable = [&](size_t i) {
    return i < count && IsDrawable(curve.values[i]);
  };
  for (size_t i = 0; i < count; ++i) {
    if (!drawable(i)) continue;
    const double x = frame.X(history.epochs[i].epoch);
    const double y = frame.Y(curve.values[i]);
    const bool joined = i > 0 && drawable(i - 1);
    lines += fmt::format("{}{:.1f} {:.1f}", joined ? "L" : "M", x, y);
    if (count <= kFewPoints || (!joined && !drawable(i + 1))) {
      points += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.4\" fill=\"{}\"/>\n", x, y,
          color);
    }
  }
  return fmt::format("<path d=\"{}\" class=\"c\" {}/>\n", lines,
                     Stroke(number)) +
         points;
}

// The name of each curve and its last value, from `y` down; returns where the
// panel itself may begin.
int DrawLegend(const Panel& panel, int y, std::string* svg) {
  constexpr int kSample = 22;
  constexpr size_t kLongest = 40;
  int x = kLeft;
  for (size_t i = 0; i < panel.curves.size(); ++i) {
    const Curve& curve = panel.curves[i];
    const auto last =
        std::find_if(curve.values.rbegin(), curve.values.rend(), IsDrawable);
    const std::string label =
        fmt::format("{} {:.3g}", Shortened(curve.name, kLongest), *last);
    constexpr int kLetter = 7;  // wider than most
    const int width =
        kSample + 5 + kLetter * static_cast<int>(CountLetters(label)) + 14;
    if (x > kLeft && x + width > kWidth - kMargin) {
      x = kLeft;
      y += kLegendLine;
    }
    *svg += Line(x, y - 4, x + kSample, y - 4, "class=\"c\" " + Stroke(i));
    *svg += Text(x + kSample + 5, y, "", label);
    x += width;
  }
  return y + 12;
}

// Returns where the next panel may begin.
int DrawPanel(const TrainingHistory& history, const Panel& panel,
              const Axis& across, int y, std::string* svg) {
  std::vector<double> values;
  for (const Curve& curve : panel.curves) {
    values.insert(values.end(), curve.values.begin(), curve.values.end());
  }
  Frame frame{across, MakeAxis(values), 0};
  *svg += Text(kMargin, y, "class=\"h\"", panel.title);
  frame.top = DrawLegend(panel, y + kLegendLine + 2, svg);
  *svg += DrawAxes(frame);
  for (size_t i = 0; i < panel.curves.size(); ++i) {
    *svg += DrawCurve(history, panel.curves[i], i, frame);
  }
  return frame.top + kPlotHeight + kTickHeight + kPanelGap;
}

Axis EpochAxis(const TrainingHistory& history) {
  if (history.epochs.empty()) return MakeCountAxis(0, 0);
  const auto [first, last] =
      std::minmax_element(history.epochs.begin(), history.epochs.end(),
                          [](const EpochRecord& a, const EpochRecord& b) {
                            return a.epoch < b.epoch;
                          });
  return MakeCountAxis(first->epoch, last->epoch);
}

}  // namespace

std::string TrainingSvg(const TrainingHistory& history) {
  constexpr size_t kLongestTitle = 100;
  const std::vector<Panel> panels = MakePanels(history);
  const Axis across = EpochAxis(history);

  int y = kMargin + 14;
  std::string body =
      Text(kMargin, y, "class=\"t\"", Shortened(history.title, kLongestTitle));
  y += 28;
  for (const Panel& panel : panels) {
    y = DrawPanel(history, panel, across, y, &body);
  }
  body += Text(kLeft + kPlotWidth / 2.0, y - 10, "text-anchor=\"middle\"",
               panels.empty() ? "no epochs"
                              : "epoch (numbers beside names: the last one)");
  const int height = y + kMargin - 8;
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" "
             "height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
             "font-family=\"sans-serif\" font-size=\"12\">\n"
             "<style>.t {{font-size: 15px; font-weight: bold}} "
             ".h {{font-weight: bold}} "
             ".g {{stroke: #e3e3e3}} .a {{stroke: #444444}} "
             ".c {{fill: none; stroke-width: 1.6; stroke-linejoin: round}}"
             "</style>\n"
             "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
             kWidth, height) +
         body + "</svg>\n";
}

}  // namespace bqengine::train
