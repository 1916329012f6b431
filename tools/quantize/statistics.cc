#include "quantize/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace bqengine::ptq {
namespace {

constexpr int64_t kSampleSize = 500'000;

}  // namespace

void ErrorSum::Add(std::span<const float> x, std::span<const float> quantized) {
  for (size_t i = 0; i < x.size(); ++i) {
    sum_ += std::abs(static_cast<double>(x[i]) - quantized[i]);
    magnitude_ += std::abs(static_cast<double>(x[i]));
  }
  count_ += static_cast<double>(x.size());
}

quantize::Error ErrorSum::error() const {
  quantize::Error error{
      .sum = sum_, .mean = sum_ / count_, .relative = sum_ / magnitude_};
  if (magnitude_ == 0) {
    error.relative = sum_ == 0 ? 0 : std::numeric_limits<double>::infinity();
  }
  return error;
}

void Moments::Add(std::span<const float> values) {
  const size_t channels = sum_.size();
  if (count_ == 0) origin_.assign(values.begin(), values.begin() + channels);
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t c = i % channels;
    const double x = values[i] - origin_[c];
    sum_[c] += x;
    squares_[c] += x * x;
  }
  count_ += static_cast<double>(values.size() / channels);
}

double Moments::mean(size_t channel) const {
  return origin_[channel] + sum_[channel] / count_;
}

double Moments::variance(size_t channel) const {
  const double mean = sum_[channel] / count_;
  return std::max(squares_[channel] / count_ - mean * mean, 0.0);
}

// A step without a common divisor meets all channels.
Sample::Sample(int64_t expected, int64_t channels) {
  int64_t step = expected / kSampleSize + 1;
  while (std::gcd(step, channels) != 1) ++step;
  step_ = static_cast<size_t>(step);
}

void Sample::Add(std::span<const float> values) {
  size_t i = next_;
  for (; i < values.size(); i += step_) values_.push_back(values[i]);
  next_ = i - values.size();
}

}  // namespace bqengine::ptq
