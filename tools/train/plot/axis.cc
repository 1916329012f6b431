#include "train/plot/axis.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace bqengine::train {
namespace {

constexpr double kLargest = 1e100;
constexpr double kSmallest = 1e-100;  // counts as 0
constexpr double kWideRange = 20;     // logarithmic from here on
constexpr double kWidestRange = 1e4;  // what is below is drawn at the end

// The least of 1, 2 and 5 times a power of ten that is `least` or more.
double RoundUp(double least) {
  // A little less, so that what is round already stays.
  least *= 1 - 1e-9;
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double digit : {1, 2, 5}) {
    if (digit * power >= least) return digit * power;
  }
  return 10 * power;
}

void AddTicks(double step, int64_t first, int64_t last, Axis* axis) {
  for (int64_t i = first; i <= last; ++i) {
    axis->ticks.push_back(static_cast<double>(i) * step);
  }
}

Axis LinearAxis(double low, double high) {
  // As good as one value: from 0 to it.
  if (high - low <= 1e-9 * std::max(std::abs(low), std::abs(high))) {
    low = std::min(low, 0.0);
    high = std::max(high, 0.0);
    if (low == high) high = 1;
  }
  if (low > 0 && low < high / 2) low = 0;
  const double step = RoundUp((high - low) / 4);
  Axis axis;
  const auto first = static_cast<int64_t>(std::floor(low / step + 1e-9));
  const auto last = static_cast<int64_t>(std::ceil(high / step - 1e-9));
  AddTicks(step, first, last, &axis);
  axis.low = axis.ticks.front();
  axis.high = axis.ticks.back();
  return axis;
}

Axis LogarithmicAxis(double low, double high) {
  low = std::max(low, high / kWidestRange);
  const bool decades_only = high / low > 500;
  Axis axis;
  axis.logarithmic = true;
  const auto first = static_cast<int>(std::floor(std::log10(low) + 1e-9));
  for (int exponent = first;; ++exponent) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      if (decades_only && digit > 1) break;
      const double tick = digit * std::pow(10, exponent);
      if (tick <= low * (1 + 1e-9)) axis.ticks.clear();
      axis.ticks.push_back(tick);
      if (tick >= high * (1 - 1e-9)) {
        axis.low = axis.ticks.front();
        axis.high = axis.ticks.back();
        return axis;
      }
    }
  }
}

}  // namespace

bool IsDrawable(double value) { return std::abs(value) < kLargest; }

double Axis::Place(double value) const {
  const double clamped = std::clamp(value, low, high);
  return logarithmic ? std::log(clamped / low) / std::log(high / low)
                     : (clamped - low) / (high - low);
}

Axis MakeAxis(std::span<const double> values) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  double low = kNone, high = -kNone, least_positive = kNone;
  for (const double raw : values) {
    if (!IsDrawable(raw)) continue;
    const double value = std::abs(raw) < kSmallest ? 0 : raw;
    low = std::min(low, value);
    high = std::max(high, value);
    if (value > 0) least_positive = std::min(least_positive, value);
  }
  if (low > high) low = high = 0;
  if (low >= 0 && high > kWideRange * least_positive) {
    return LogarithmicAxis(least_positive, high);
  }
  return LinearAxis(low, high);
}

Axis MakeCountAxis(int first, int last) {
  Axis axis;
  if (first >= last) {
    axis.low = first - 0.5;
    axis.high = first + 0.5;
    axis.ticks = {static_cast<double>(first)};
    return axis;
  }
  axis.low = first;
  axis.high = last;
  const double step = std::max(1.0, RoundUp((axis.high - axis.low) / 12));
  AddTicks(step, static_cast<int64_t>(std::ceil(axis.low / step)),
           static_cast<int64_t>(std::floor(axis.high / step)), &axis);
  return axis;
}

}  // namespace bqengine::train
