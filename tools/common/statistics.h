// Order statistics of measured times.
#ifndef BQENGINE_TOOLS_COMMON_STATISTICS_H_
#define BQENGINE_TOOLS_COMMON_STATISTICS_H_

#include <cstddef>
#include <vector>

namespace bqengine::tools {

struct Summary {
  size_t count = 0;
  double least = 0;
  double median = 0;  // of an even count, the mean of the middle two
  double p90 = 0;     // the smallest sample that 90 % do not exceed
  double p99 = 0;
  double mean = 0;
};

// All zero if there are no samples.
Summary Summarize(std::vector<double> samples);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_STATISTICS_H_
