// Weights as sums of scaled bits: BWN and ABC-Net.
#include <cmath>
#include <utility>

#include "border.h"
#include "bqengine/quantize.h"
#include "graph/make_constant.h"
#include "quantize/checks.h"
#include "quantize/least_squares.h"

namespace bqengine::quantize {
namespace {

Status CheckWeights(std::span<const float> w, const Shape& shape) {
  if (Status s = CheckFinite(w); !s.ok()) return s;
  return CheckShape(shape, w.size(), 2);
}

// [O, ...] to [M, O, ...].
Shape WithBases(int64_t bases, const Shape& shape) {
  Shape result = {bases};
  result.insert(result.end(), shape.begin(), shape.end());
  return result;
}

// ABC-Net's bases and scales of the values that share them.
struct Fit {
  std::vector<std::vector<bool>> positive;  // of B_m, [m][i]
  std::vector<double> alpha;                // [m]
};

Fit FitAbcNet(std::span<const float> w, std::span<const float> shifts) {
  const double n = static_cast<double>(w.size());
  double mean = 0, variance = 0;
  for (float value : w) mean += value;
  mean /= n;
  for (float value : w) variance += (value - mean) * (value - mean);
  const double deviation = std::sqrt(variance / n);

  const size_t bases = shifts.size();
  Fit fit;
  std::vector<double> gram(bases * bases), moments(bases);
  for (size_t m = 0; m < bases; ++m) {
    std::vector<bool>& positive = fit.positive.emplace_back(w.size());
    for (size_t i = 0; i < w.size(); ++i) {
      positive[i] = w[i] - mean + shifts[m] * deviation >= 0;
      moments[m] += positive[i] ? w[i] : -static_cast<double>(w[i]);
    }
    for (size_t other = 0; other <= m; ++other) {
      int64_t dot = 0;  // exact, so that equal bases are seen to be equal
      for (size_t i = 0; i < w.size(); ++i) {
        dot += positive[i] == fit.positive[other][i] ? 1 : -1;
      }
      gram[m * bases + other] = gram[other * bases + m] =
          static_cast<double>(dot);
    }
  }
  fit.alpha = SolveNormalEquations(std::move(gram), std::move(moments));
  return fit;
}

// alpha[m, o], whichever shape it has.
float AlphaAt(const Constant& alpha, int64_t m, int64_t o) {
  if (alpha.shape().size() == 1) return alpha.floats()[static_cast<size_t>(m)];
  return alpha.floats()[static_cast<size_t>(m * alpha.shape()[1] + o)];
}

}  // namespace

Result<Weights> Bwn(std::span<const float> w, const Shape& shape) {
  return AtBorder([&]() -> Result<Weights> {
    if (Status s = CheckWeights(w, shape); !s.ok()) return s;
    auto signs =
        BinarizeToBits(w, WithBases(1, shape), 0.0f, DataType::kBipolar);
    if (!signs.ok()) return signs.status();

    const int64_t channels = shape[0];
    const size_t per_channel = w.size() / static_cast<size_t>(channels);
    std::vector<float> alpha;
    for (int64_t o = 0; o < channels; ++o) {
      double sum = 0;
      for (float value :
           w.subspan(static_cast<size_t>(o) * per_channel, per_channel)) {
        sum += std::abs(static_cast<double>(value));
      }
      alpha.push_back(
          static_cast<float>(sum / static_cast<double>(per_channel)));
    }
    return Weights{*std::move(signs),
                   MakeFloats({1, channels}, std::move(alpha))};
  });
}

Result<std::vector<float>> AbcNetShifts(int64_t bases) {
  return AtBorder([&]() -> Result<std::vector<float>> {
    if (bases < 1 || bases > kMaxBases) {
      return InvalidArgument("the number of bases must be 1 to " +
                             std::to_string(kMaxBases) + ", not " +
                             std::to_string(bases));
    }
    if (bases == 1) return std::vector<float>{0.0f};
    std::vector<float> shifts;
    for (int64_t m = 0; m < bases; ++m) {
      shifts.push_back(
          static_cast<float>(-1.0 + 2.0 * static_cast<double>(m) /
                                        static_cast<double>(bases - 1)));
    }
    return shifts;
  });
}

Result<Weights> AbcNet(std::span<const float> w, const Shape& shape,
                       std::span<const float> shifts, Scope scope) {
  return AtBorder([&]() -> Result<Weights> {
    if (Status s = CheckWeights(w, shape); !s.ok()) return s;
    if (Status s = CheckFinite(shifts); !s.ok()) {
      return InvalidArgument("shifts: " + s.message());
    }
    const int64_t bases = static_cast<int64_t>(shifts.size());
    if (bases > kMaxBases) {
      return InvalidArgument("more than " + std::to_string(kMaxBases) +
                             " bases");
    }
    // Bits of all bases must be countable too.
    Shape bits_shape = WithBases(bases, shape);
    auto bytes = ByteCount({DataType::kBipolar, bits_shape});
    if (!bytes.ok()) return OfArgument(bytes.status());

    const size_t fits =
        scope == Scope::kChannel ? static_cast<size_t>(shape[0]) : 1;
    const size_t per_fit = w.size() / fits;
    const int64_t columns = shape.back();
    std::vector<uint64_t> words(static_cast<size_t>(*bytes) / sizeof(uint64_t));
    std::vector<float> alpha(shifts.size() * fits);
    for (size_t f = 0; f < fits; ++f) {
      const Fit fit = FitAbcNet(w.subspan(f * per_fit, per_fit), shifts);
      for (size_t m = 0; m < shifts.size(); ++m) {
        alpha[m * fits + f] = static_cast<float>(fit.alpha[m]);
        for (size_t i = 0; i < per_fit; ++i) {
          if (!fit.positive[m][i]) continue;
          const BitPosition position(
              static_cast<int64_t>(m * w.size() + f * per_fit + i), columns);
          words[position.word] |= position.mask;
        }
      }
    }
    Shape alpha_shape = {bases};
    if (scope == Scope::kChannel) alpha_shape.push_back(shape[0]);
    return Weights{
        MakeBits(DataType::kBipolar, std::move(bits_shape), std::move(words)),
        MakeFloats(std::move(alpha_shape), std::move(alpha))};
  });
}

Result<std::vector<float>> Reconstruct(const Weights& weights) {
  return AtBorder([&]() -> Result<std::vector<float>> {
    const Shape& shape = weights.weight.shape();
    if (shape.size() < 2)
      return InvalidArgument("the weights have no channels");
    if (Status s = CheckAlpha(weights.alpha, shape[0], shape[1]); !s.ok()) {
      return s;
    }
    auto values = Unpack(weights.weight);
    if (!values.ok()) return values.status();
    const int64_t bases = shape[0], channels = shape[1];
    const size_t per_base = values->size() / static_cast<size_t>(bases);
    const size_t per_channel = per_base / static_cast<size_t>(channels);
    std::vector<float> sums(per_base);
    for (size_t i = 0; i < per_base; ++i) {
      double sum = 0;
      for (int64_t m = 0; m < bases; ++m) {
        const float alpha =
            AlphaAt(weights.alpha, m, static_cast<int64_t>(i / per_channel));
        sum += static_cast<double>(alpha) *
               (*values)[static_cast<size_t>(m) * per_base + i];
      }
      sums[i] = static_cast<float>(sum);
    }
    return sums;
  });
}

}  // namespace bqengine::quantize
