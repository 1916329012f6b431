#include "common/statistics.h"

#include <algorithm>
#include <numeric>

namespace bqengine::tools {
namespace {

// Nearest rank; percent in integers, so that 90 % of 10 samples are 9 of them.
double Percentile(const std::vector<double>& sorted, size_t percent) {
  const size_t rank = (sorted.size() * percent + 99) / 100;
  return sorted[std::max<size_t>(rank, 1) - 1];
}

}  // namespace

Summary Summarize(std::vector<double> samples) {
  Summary summary;
  if (samples.empty()) return summary;
  std::sort(samples.begin(), samples.end());
  const size_t count = samples.size();
  summary.count = count;
  summary.least = samples[0];
  summary.median = (samples[(count - 1) / 2] + samples[count / 2]) / 2;
  summary.p90 = Percentile(samples, 90);
  summary.p99 = Percentile(samples, 99);
  summary.mean = std::accumulate(samples.begin(), samples.end(), 0.0) /
                 static_cast<double>(count);
  return summary;
}

}  // namespace bqengine::tools
