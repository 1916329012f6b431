#include "quantize/least_squares.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "border.h"
#include "bqengine/quantize.h"
#include "quantize/checks.h"

namespace bqengine::quantize {
namespace {

// What is left of a column's squared length, relative to the largest, below
// which the column counts as spanned by the chosen ones. Columns of +-1 that
// differ in one of n places keep about 4 / n; rounding leaves about 1e-16 per
// step. This lies between for every n below 10^10.
constexpr double kSpanned = 1e-11;

}  // namespace

std::vector<double> SolveNormalEquations(std::vector<double> gram,
                                         std::vector<double> moments) {
  const size_t size = moments.size();
  const auto g = [&](size_t i, size_t j) -> double& {
    return gram[i * size + j];
  };
  double largest = 0;
  for (size_t i = 0; i < size; ++i) largest = std::max(largest, g(i, i));

  // Gaussian elimination with the largest diagonal entry, which is the squared
  // length of what the chosen columns leave of a column, as the next pivot.
  std::vector<size_t> chosen, open;
  for (size_t i = 0; i < size; ++i) open.push_back(i);
  while (!open.empty()) {
    const auto pivot =
        std::max_element(open.begin(), open.end(),
                         [&](size_t i, size_t j) { return g(i, i) < g(j, j); });
    const size_t p = *pivot;
    if (!(g(p, p) > kSpanned * largest)) break;
    open.erase(pivot);
    chosen.push_back(p);
    for (size_t i : open) {
      const double factor = g(i, p) / g(p, p);
      for (size_t j : open) g(i, j) -= factor * g(p, j);
      moments[i] -= factor * moments[p];
    }
  }

  // The equation of each chosen column has those chosen later as its unknowns.
  std::vector<double> solution(size, 0.0);
  for (size_t k = chosen.size(); k-- > 0;) {
    const size_t p = chosen[k];
    double rest = moments[p];
    for (size_t later = k + 1; later < chosen.size(); ++later) {
      rest -= g(p, chosen[later]) * solution[chosen[later]];
    }
    solution[p] = rest / g(p, p);
  }
  return solution;
}

Result<std::vector<double>> LeastSquares(std::span<const double> gram,
                                         std::span<const double> moments) {
  return AtBorder([&]() -> Result<std::vector<double>> {
    if (moments.empty() || gram.size() != moments.size() * moments.size()) {
      return InvalidArgument("the equations are not square");
    }
    const auto finite = [](double value) { return std::isfinite(value); };
    if (!std::all_of(gram.begin(), gram.end(), finite) ||
        !std::all_of(moments.begin(), moments.end(), finite)) {
      return InvalidArgument("the equations are not finite");
    }
    return SolveNormalEquations({gram.begin(), gram.end()},
                                {moments.begin(), moments.end()});
  });
}

}  // namespace bqengine::quantize
