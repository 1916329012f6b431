#include "quantize/scales.h"

#include <algorithm>
#include <cmath>

#include "bqengine/quantize.h"

namespace bqengine::ptq {
namespace {

// Sums that have little to do with the target would become loud noise.
constexpr double kMostEnlarged = 2;

// The part of the target's variance that the sums, scaled by alpha, have:
// 2 alpha'm - alpha'G alpha, with G their covariances and m those with the
// target.
double Explained(std::span<const double> alpha, std::span<const double> gram,
                 std::span<const double> moments) {
  double explained = 0;
  for (size_t a = 0; a < alpha.size(); ++a) {
    explained += 2 * alpha[a] * moments[a];
    for (size_t b = 0; b < alpha.size(); ++b) {
      explained -= alpha[a] * alpha[b] * gram[a * alpha.size() + b];
    }
  }
  return explained;
}

}  // namespace

ScaleFitter::ScaleFitter(size_t bases, size_t channels)
    : bases_(bases), channels_(channels) {
  const size_t entries = bases + 1;
  for (Channel& channel : channels_) {
    channel.origin.resize(entries);
    channel.total.resize(entries);
    channel.products.resize(entries * entries);
  }
}

void ScaleFitter::Add(std::span<const float> target,
                      std::span<const std::span<const float>> sums) {
  const size_t entries = bases_ + 1;
  std::vector<double> row(entries);
  for (size_t i = 0; i < target.size(); ++i) {
    Channel& channel = channels_[i % channels_.size()];
    row[0] = target[i];
    for (size_t m = 0; m < bases_; ++m) row[m + 1] = sums[m][i];
    if (count_ == 0 && i < channels_.size()) channel.origin = row;
    for (size_t a = 0; a < entries; ++a) {
      row[a] -= channel.origin[a];
      channel.total[a] += row[a];
      for (size_t b = 0; b <= a; ++b) {
        channel.products[a * entries + b] += row[a] * row[b];
      }
    }
  }
  count_ += static_cast<double>(target.size() / channels_.size());
}

Result<Scales> ScaleFitter::Fit(bool match_deviation,
                                std::span<const float> otherwise) const {
  const size_t entries = bases_ + 1, size = channels_.size();
  Scales scales;
  scales.alpha.resize(bases_ * size);
  scales.add.resize(size);
  scales.squared_error.resize(size);
  for (size_t o = 0; o < size; ++o) {
    const Channel& channel = channels_[o];
    const auto covariance = [&](size_t a, size_t b) {
      return channel.products[std::max(a, b) * entries + std::min(a, b)] -
             channel.total[a] * channel.total[b] / count_;
    };
    std::vector<double> gram, moments;
    for (size_t a = 1; a < entries; ++a) {
      moments.push_back(covariance(a, 0));
      for (size_t b = 1; b < entries; ++b) gram.push_back(covariance(a, b));
    }
    auto alpha = quantize::LeastSquares(gram, moments);
    if (!alpha.ok()) {
      return Status(StatusCode::kInvalidArgument,
                    "activations are not finite numbers");
    }
    const double variance = covariance(0, 0);
    double explained = Explained(*alpha, gram, moments);
    bool match = match_deviation;
    if (count_ < kFewestSamples * static_cast<double>(entries) ||
        variance <= 0 || explained <= 0) {
      for (size_t m = 0; m < bases_; ++m) {
        (*alpha)[m] = otherwise[m * size + o];
      }
      explained = Explained(*alpha, gram, moments);
      match = false;
    }
    scales.squared_error[o] = std::max(variance - explained, 0.0);
    const double factor =
        match && explained > 0 && variance > 0
            ? std::min(std::sqrt(variance / explained), kMostEnlarged)
            : 1;
    const auto mean = [&](size_t a) {
      return channel.origin[a] + channel.total[a] / count_;
    };
    double add = mean(0);
    for (size_t m = 0; m < bases_; ++m) {
      const double scale = (*alpha)[m] * factor;
      scales.alpha[m * size + o] = static_cast<float>(scale);
      add -= scale * mean(m + 1);
    }
    scales.add[o] = static_cast<float>(add);
  }
  return scales;
}

}  // namespace bqengine::ptq
