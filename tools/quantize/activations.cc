#include "quantize/activations.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "bqengine/quantize.h"

namespace bqengine::ptq {
namespace {

constexpr int kMaxRounds = 100;

// Sorted values with their running sums, so that a round costs nothing.
struct Samples {
  std::vector<float> x;
  std::vector<double> sums;  // sums[i]: of the first i

  explicit Samples(std::vector<float> values) : x(std::move(values)) {
    std::sort(x.begin(), x.end());
    sums.push_back(0);
    for (const float value : x) sums.push_back(sums.back() + value);
  }
  size_t CountBelow(float threshold) const {
    return static_cast<size_t>(std::lower_bound(x.begin(), x.end(), threshold) -
                               x.begin());
  }
};

struct Fit {
  std::vector<float> thresholds;  // ascending
  std::vector<double> beta;
  double constant = 0;
  double squared_error = 0, error = 0;
};

// What the sum is for values that reach the first `reached` thresholds.
double LevelOf(const Fit& fit, double smaller, size_t reached) {
  double level = fit.constant;
  for (size_t n = 0; n < fit.beta.size(); ++n) {
    level += fit.beta[n] * (n < reached ? 1.0 : smaller);
  }
  return level;
}

// Where each group of equal bits starts in the samples, and where all end.
std::vector<size_t> GroupStarts(const Samples& samples,
                                const std::vector<float>& thresholds) {
  std::vector<size_t> starts = {0};
  for (const float t : thresholds) starts.push_back(samples.CountBelow(t));
  starts.push_back(samples.x.size());
  return starts;
}

Status FitBeta(const Samples& samples, double smaller, bool with_constant,
               Fit* fit) {
  const size_t bases = fit->thresholds.size();
  const size_t columns = bases + (with_constant ? 1 : 0);
  const std::vector<size_t> starts = GroupStarts(samples, fit->thresholds);
  std::vector<double> gram(columns * columns), moments(columns);
  for (size_t group = 0; group <= bases; ++group) {
    const double count = static_cast<double>(starts[group + 1] - starts[group]);
    const double sum =
        samples.sums[starts[group + 1]] - samples.sums[starts[group]];
    const auto value = [&](size_t column) {
      return column == bases || column < group ? 1.0 : smaller;
    };
    for (size_t i = 0; i < columns; ++i) {
      moments[i] += value(i) * sum;
      for (size_t j = 0; j < columns; ++j) {
        gram[i * columns + j] += value(i) * value(j) * count;
      }
    }
  }
  auto solution = quantize::LeastSquares(gram, moments);
  if (!solution.ok()) return solution.status();
  fit->constant = with_constant ? solution->back() : 0;
  solution->resize(bases);
  fit->beta = *std::move(solution);
  return Status();
}

void Measure(const Samples& samples, double smaller, Fit* fit) {
  const std::vector<size_t> starts = GroupStarts(samples, fit->thresholds);
  fit->squared_error = fit->error = 0;
  for (size_t group = 0; group + 1 < starts.size(); ++group) {
    const double level = LevelOf(*fit, smaller, group);
    for (size_t i = starts[group]; i < starts[group + 1]; ++i) {
      const double rest = samples.x[i] - level;
      fit->squared_error += rest * rest;
      fit->error += std::abs(rest);
    }
  }
}

Result<Fit> Refined(const Samples& samples, double smaller, bool with_constant,
                    std::vector<float> thresholds) {
  std::optional<Fit> best;
  for (int round = 0; round < kMaxRounds; ++round) {
    Fit fit;
    fit.thresholds = thresholds;
    if (Status s = FitBeta(samples, smaller, with_constant, &fit); !s.ok()) {
      return s;
    }
    Measure(samples, smaller, &fit);
    if (best && !(fit.squared_error < best->squared_error)) break;
    best = fit;
    for (size_t n = 0; n < thresholds.size(); ++n) {
      thresholds[n] = static_cast<float>(
          (LevelOf(fit, smaller, n) + LevelOf(fit, smaller, n + 1)) / 2);
    }
    if (!std::is_sorted(thresholds.begin(), thresholds.end())) break;
  }
  return *best;
}

// Places to start from: evenly between small and large values, and so that each
// group has as many of them. Zeros, of which a Relu leaves many, are not
// counted.
std::vector<std::vector<float>> Starts(const Samples& samples, int64_t bases) {
  std::vector<float> x = samples.x;
  std::erase(x, 0.0f);
  if (x.empty()) x.push_back(0.0f);
  const auto quantile = [&x](double share) {
    return x[static_cast<size_t>(share * static_cast<double>(x.size() - 1))];
  };
  std::vector<float> even, equal;
  const double low = quantile(0.02), high = quantile(0.98);
  for (int64_t n = 1; n <= bases; ++n) {
    const double share =
        static_cast<double>(n) / static_cast<double>(bases + 1);
    even.push_back(static_cast<float>(low + (high - low) * share));
    equal.push_back(quantile(share));
  }
  return {even, equal};
}

}  // namespace

Result<ActivationBases> FitActivations(std::vector<float> x, int64_t bases,
                                       bool padded) {
  const auto finite = [](float value) { return std::isfinite(value); };
  if (x.empty() || !std::all_of(x.begin(), x.end(), finite)) {
    return Status(StatusCode::kInvalidArgument,
                  "activations are not finite numbers");
  }
  const Samples samples(std::move(x));
  ActivationBases result;
  const bool unipolar = padded && samples.x.front() >= 0;
  result.encoding = unipolar ? DataType::kUnipolar : DataType::kBipolar;
  std::optional<Fit> best;
  for (const std::vector<float>& start : Starts(samples, bases)) {
    auto fit = Refined(samples, unipolar ? 0 : -1, !padded, start);
    if (!fit.ok()) return fit.status();
    if (!best || fit->squared_error < best->squared_error) {
      best = *std::move(fit);
    }
  }
  double magnitude = 0;
  for (const float value : samples.x) magnitude += std::abs(value);
  result.relative_error = magnitude > 0 ? best->error / magnitude : 0;
  result.thresholds = best->thresholds;
  result.beta.assign(best->beta.begin(), best->beta.end());
  return result;
}

}  // namespace bqengine::ptq
