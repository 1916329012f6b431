// Alternating minimization: bits for given scales, scales for given bits.
#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "border.h"
#include "bqengine/quantize.h"
#include "graph/make_constant.h"
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

// What each pattern of signs stands for: sum_m +-alpha_m.
std::vector<double> ValuesOf(const std::vector<double>& alpha) {
  std::vector<double> values(size_t{1} << alpha.size());
  for (Signs signs = 0; signs < values.size(); ++signs) {
    for (size_t m = 0; m < alpha.size(); ++m) {
      values[signs] += alpha[m] * SignOf(signs, m);
    }
  }
  return values;
}

double SquaredError(const Group& group) {
  const std::vector<double> values = ValuesOf(group.alpha);
  double sum = 0;
  for (size_t i = 0; i < group.w.size(); ++i) {
    const double rest = group.w[i] - values[group.signs[i]];
    sum += rest * rest;
  }
  return sum;
}

// Of two sums that are equally near, the larger.
void ChooseSigns(Group* group) {
  const std::vector<double> values = ValuesOf(group->alpha);
  std::vector<Signs> sorted(values.size());
  std::iota(sorted.begin(), sorted.end(), Signs{0});
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](Signs a, Signs b) { return values[a] < values[b]; });
  std::vector<double> borders;  // halfway between neighbours
  for (size_t i = 1; i < sorted.size(); ++i) {
    borders.push_back((values[sorted[i - 1]] + values[sorted[i]]) / 2);
  }
  for (size_t i = 0; i < group->w.size(); ++i) {
    const auto above =
        std::upper_bound(borders.begin(), borders.end(), group->w[i]);
    group->signs[i] = sorted[static_cast<size_t>(above - borders.begin())];
  }
}

// Equal patterns make equal rows of the least-squares problem: they are summed
// up first.
void ChooseAlpha(Group* group) {
  const size_t bases = group->alpha.size();
  std::vector<double> counts(size_t{1} << bases), sums(counts.size());
  for (size_t i = 0; i < group->w.size(); ++i) {
    ++counts[group->signs[i]];
    sums[group->signs[i]] += group->w[i];
  }
  std::vector<double> gram(bases * bases), moments(bases);
  for (Signs signs = 0; signs < counts.size(); ++signs) {
    for (size_t m = 0; m < bases; ++m) {
      moments[m] += SignOf(signs, m) * sums[signs];
      for (size_t other = 0; other < bases; ++other) {
        gram[m * bases + other] +=
            SignOf(signs, m) * SignOf(signs, other) * counts[signs];
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
  return CheckAlpha(start.alpha, bits[0], shape[0]);
}

}  // namespace

Result<Weights> Refine(std::span<const float> w, const Shape& shape,
                       const Weights& start, int64_t iterations) {
  return AtBorder([&]() -> Result<Weights> {
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
                   MakeFloats(start.alpha.shape(), std::move(alpha))};
  });
}

}  // namespace bqengine::quantize
