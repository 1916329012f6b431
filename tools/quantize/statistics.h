// Sums over activations, batch by batch.
#ifndef BQENGINE_TOOLS_QUANTIZE_STATISTICS_H_
#define BQENGINE_TOOLS_QUANTIZE_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "bqengine/quantize.h"

namespace bqengine::ptq {

// quantize::MeasureError of values that come in parts.
class ErrorSum {
 public:
  void Add(std::span<const float> x, std::span<const float> quantized);
  quantize::Error error() const;

 private:
  double count_ = 0, sum_ = 0, magnitude_ = 0;
};

// Mean and variance of each channel; channels are innermost.
class Moments {
 public:
  explicit Moments(size_t channels)
      : origin_(channels), sum_(channels), squares_(channels) {}
  void Add(std::span<const float> values);
  double mean(size_t channel) const;
  double variance(size_t channel) const;

 private:
  double count_ = 0;
  std::vector<double> origin_;  // the first values: what is summed is relative
  std::vector<double> sum_, squares_;
};

// Some hundred thousand of all values, evenly taken.
class Sample {
 public:
  // `expected` values will be added, of so many channels, innermost.
  Sample(int64_t expected, int64_t channels);
  void Add(std::span<const float> values);
  std::vector<float> Take() { return std::move(values_); }

 private:
  size_t step_;
  size_t next_ = 0;  // to take, counted from the start of the next part
  std::vector<float> values_;
};

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_STATISTICS_H_
