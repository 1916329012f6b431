#include "binary_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bqengine::convert {
namespace {

constexpr float kTolerance = 1e-6f;

// Magnitudes of a channel, the ones that count as equal joined.
struct Magnitudes {
  int64_t distinct = 0;  // besides 0
  bool zeros = false;
  bool negative = false;
  bool positive = false;
  bool finite = true;
  float low = 0, high = 0;  // smallest and largest besides 0

  float middle() const {
    return static_cast<float>((static_cast<double>(low) + high) / 2);
  }
};

Magnitudes Measure(std::span<const float> row) {
  Magnitudes m;
  std::vector<float> sizes;
  for (float w : row) {
    m.finite = m.finite && std::isfinite(w);
    m.zeros = m.zeros || w == 0;
    m.negative = m.negative || w < 0;
    m.positive = m.positive || w > 0;
    if (w != 0) sizes.push_back(std::abs(w));
  }
  if (!m.finite || sizes.empty()) return m;
  std::sort(sizes.begin(), sizes.end());
  m.low = sizes.front();
  m.high = sizes.back();
  float group = 0;
  for (float size : sizes) {
    if (m.distinct == 0 || size - group > kTolerance * size) {
      ++m.distinct;
      group = size;
    }
  }
  return m;
}

bool AllZero(const Magnitudes& m) { return !m.negative && !m.positive; }

// Empty if the channel can be bipolar, or else why it cannot.
std::string WhyNotBipolar(const Magnitudes& m, size_t channel) {
  if (!m.finite) {
    return fmt::format("weights in output channel {} are not finite", channel);
  }
  if (AllZero(m)) return "";  // c = 0
  if (m.distinct > 1) {
    return fmt::format(
        "weights take {} distinct magnitudes in output channel {}",
        m.distinct + m.zeros, channel);
  }
  if (m.zeros) {
    return fmt::format(
        "weights are ternary: output channel {} has zeros beside +-{:g} (ONNX "
        "Sign(0) is 0)",
        channel, m.middle());
  }
  return "";
}

bool CanBeUnipolar(const Magnitudes& m) {
  return m.finite &&
         (AllZero(m) || (m.distinct == 1 && !(m.negative && m.positive)));
}

bool CanBeTernary(const Magnitudes& m) { return m.finite && m.distinct <= 1; }

}  // namespace

BinaryWeights RecogniseBits(std::span<const float> weights,
                            int64_t out_channels, bool ternary) {
  BinaryWeights result;
  const size_t row = weights.size() / static_cast<size_t>(out_channels);
  std::vector<Magnitudes> channels;
  for (size_t o = 0; o < static_cast<size_t>(out_channels); ++o) {
    channels.push_back(Measure(weights.subspan(o * row, row)));
    if (result.reason.empty()) {
      result.reason = WhyNotBipolar(channels.back(), o);
    }
  }
  if (!result.reason.empty()) {
    if (std::all_of(channels.begin(), channels.end(), CanBeUnipolar)) {
      result.type = DataType::kUnipolar;
    } else if (ternary &&
               std::all_of(channels.begin(), channels.end(), CanBeTernary)) {
      result.bases = 2;
    } else {
      return result;
    }
  }
  result.found = true;
  result.reason.clear();
  for (const Magnitudes& m : channels) {
    const float c = m.middle();
    const bool inverted = result.type == DataType::kUnipolar && m.negative;
    result.scale.push_back(inverted ? -c : c);
    if (c > 0) {
      result.spread = std::max(result.spread, (m.high - m.low) / 2 / c);
    }
  }
  result.bits.reserve(weights.size() * result.bases);
  for (float w : weights) {
    result.bits.push_back(result.type == DataType::kBipolar ? w > 0 : w != 0);
  }
  if (result.bases == 2) {
    for (float w : weights) result.bits.push_back(w >= 0);
  }
  return result;
}

std::vector<uint64_t> PackRows(const std::vector<bool>& bits,
                               int64_t row_bits) {
  const size_t width = static_cast<size_t>(row_bits);
  const size_t row_words = (width + 63) / 64;
  const size_t rows = width == 0 ? 0 : bits.size() / width;
  std::vector<uint64_t> words(rows * row_words, 0);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < width; ++i) {
      if (bits[r * width + i]) {
        words[r * row_words + i / 64] |= uint64_t{1} << (i % 64);
      }
    }
  }
  return words;
}

}  // namespace bqengine::convert
