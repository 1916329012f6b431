// Alternating minimization: bits for given scales, scales for given bits.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "bqengine/quantize.h"
#include "quantize/checks.h"
#include "quantize/least_squares.h"

namespace bqengine::quantize {
namespace {

// Signs of all bases at once: bit m is set where B_m is +1.
using Signs = uint32_t;

double SignOf(Signs signs, size_t m) { return (signs >> m & 1) != 0 ? 1 : -1; }

// The weights that share one set of scales.
struct Group {
  std::span<const float> w;
  std::vector<Signs> signs;   // of each weight
  std::vector<double> alpha;  // of each base
};

struct Level {
  double value;  // sum_m +-alpha_m
  Signs signs;
};

std::vector<Level> LevelsOf(const std::vector<double>& alpha) {
  std::vector<Level> levels;
  for (Signs signs = 0; signs < Signs{1} << alpha.size(); ++signs) {
    double value = 0;
    for (size_t m = 0; m < alpha.size(); ++m) {
      value += alpha[m] * SignOf(signs, m);
    }
    levels.push_back({value, signs});
  }
  std::stable_sort(
      levels.begin(), levels.end(),
      [](const Level& a, const Level& b) { return a.value < b.value; });
  return levels;
}

double SquaredError(const Group& group) {
  double sum = 0;
  for (size_t i = 0; i < group.w.size(); ++i) {
    double rest = group.w[i];
    for (size_t m = 0; m < group.alpha.size(); ++m) {
      rest -= group.alpha[m] * SignOf(group.signs[i], m);
    }
    sum += rest * rest;
  }
  return sum;
}

void ChooseSigns(Group* group) {
  const std::vector<Level> levels = LevelsOf(group->alpha);
  for (size_t i = 0; i < group->w.size(); ++i) {
    const double w = group->w[i];
    auto nearest = std::lower_bound(
        levels.begin(), levels.end(), w,
        [](const Level& level, double value) { return level.value < value; });
    if (nearest == levels.end() ||
        (nearest != levels.begin() &&
         w - std::prev(nearest)->value < nearest->value - w)) {
      --nearest;
    }
    group->signs[i] = nearest->signs;
  }
}

void ChooseAlpha(Group* group) {
  const size_t bases = group->alpha.size();
  std::vector<double> gram(bases * bases), moments(bases);
  for (size_t i = 0; i < group->w.size(); ++i) {
    for (size_t m = 0; m < bases; ++m) {
      const double sign = SignOf(group->signs[i], m);
      moments[m] += sign * group->w[i];
      for (size_t other = 0; other < bases; ++other) {
        gram[m * bases + other] += sign * SignOf(group->signs[i], other);
      }
    }
  }
  group->alpha = SolveNormalEquations(std::move(gram), std::move(moments));
}

void RefineGroup(int64_t iterations, Group* group) {
  double error = SquaredError(*group);
  for (int64_t i = 0; i < iterations; ++i) {
    Group next = *group;
    ChooseSigns(&next);
    ChooseAlpha(&next);
    const double next_error = SquaredError(next);
    if (!(next_error < error)) return;
    *group = std::move(next);
    error = next_error;
  }
}

Status CheckStart(const Weights& start, const Shape& shape) {
  const Shape& bits = start.weight.shape();
  if (bits.size() != shape.size() + 1 ||
      !std::equal(shape.begin(), shape.end(), bits.begin() + 1)) {
    return InvalidArgument("the bits to start from have another shape");
  }
  if (start.weight.type() != DataType::kBipolar) {
    return InvalidArgument("the bits to start from must be bipolar");
  }
  if (bits[0] > kMaxRefinedBases) {
    return InvalidArgument("more than " + std::to_string(kMaxRefinedBases) +
                           " bases");
  }
  const Shape& alpha = start.alpha.shape();
  if (alpha != Shape{bits[0]} && alpha != Shape{bits[0], shape[0]}) {
    return InvalidArgument("alpha must be [M] or [M, O]");
  }
  if (Status s = CheckFinite(start.alpha.floats()); !s.ok()) {
    return InvalidArgument("alpha: " + s.message());
  }
  return Status();
}

}  // namespace

Result<Weights> Refine(std::span<const float> w, const Shape& shape,
                       const Weights& start, int64_t iterations) {
  if (Status s = CheckFinite(w); !s.ok()) return s;
  if (Status s = CheckShape(shape, w.size(), 2); !s.ok()) return s;
  if (Status s = CheckStart(start, shape); !s.ok()) return s;
  auto values = Unpack(start.weight);
  if (!values.ok()) return values.status();

  const std::span<const float> start_alpha = start.alpha.floats();
  const size_t bases = static_cast<size_t>(start.weight.shape()[0]);
  const size_t groups = start_alpha.size() / bases;
  const size_t per_group = w.size() / groups;
  std::vector<float> alpha(start_alpha.size());
  for (size_t g = 0; g < groups; ++g) {
    Group group = {w.subspan(g * per_group, per_group),
                   std::vector<Signs>(per_group), std::vector<double>(bases)};
    for (size_t m = 0; m < bases; ++m) {
      group.alpha[m] = start_alpha[m * groups + g];
      for (size_t i = 0; i < per_group; ++i) {
        const float sign = (*values)[m * w.size() + g * per_group + i];
        if (sign > 0) group.signs[i] |= Signs{1} << m;
      }
    }
    RefineGroup(iterations, &group);
    for (size_t m = 0; m < bases; ++m) {
      alpha[m * groups + g] = static_cast<float>(group.alpha[m]);
      for (size_t i = 0; i < per_group; ++i) {
        (*values)[m * w.size() + g * per_group + i] =
            static_cast<float>(SignOf(group.signs[i], m));
      }
    }
  }
  auto bits =
      BinarizeToBits(*values, start.weight.shape(), 0.0f, DataType::kBipolar);
  if (!bits.ok()) return bits.status();
  return Weights{*std::move(bits),
                 Constant::Floats(start.alpha.shape(), std::move(alpha))};
}

}  // namespace bqengine::quantize
