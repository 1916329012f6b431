// Axes of curves: a range of values, and round numbers on it.
#ifndef BQENGINE_TOOLS_TRAIN_PLOT_AXIS_H_
#define BQENGINE_TOOLS_TRAIN_PLOT_AXIS_H_

#include <span>
#include <vector>

namespace bqengine::train {

// False for NaN, infinities, and numbers too large for arithmetic on them.
bool IsDrawable(double value);

struct Axis {
  bool logarithmic = false;
  double low = 0;
  double high = 1;
  std::vector<double> ticks;  // from low to high

  // 0 at `low`, 1 at `high`; what is outside, such as 0 on a logarithmic axis,
  // goes to the nearer end.
  double Place(double value) const;
};

// An axis for the drawable ones of `values`, ending at ticks. Logarithmic if
// there are no negative ones and the positive ones span a factor of more than
// 20.
Axis MakeAxis(std::span<const double> values);

// Ticks at whole numbers from `first` to `last`, which are also the ends,
// unless they are the same.
Axis MakeCountAxis(int first, int last);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_PLOT_AXIS_H_
