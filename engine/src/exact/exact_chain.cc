#include "bqengine/exact_chain.h"

#include <algorithm>
#include <boost/multiprecision/cpp_int.hpp>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "border.h"

namespace bqengine {
namespace {

using Integer = boost::multiprecision::cpp_int;

// mantissa * 2^exponent. Floats are such numbers, and their sums and products.
struct Dyadic {
  Integer mantissa = 0;
  int64_t exponent = 0;
};

Dyadic FromDouble(double x) {
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  return {static_cast<int64_t>(std::ldexp(fraction, 53)), exponent - 53};
}

int Sign(const Dyadic& x) { return x.mantissa.sign(); }

Dyadic operator*(const Dyadic& a, const Dyadic& b) {
  return {a.mantissa * b.mantissa, a.exponent + b.exponent};
}

Dyadic operator+(const Dyadic& a, const Dyadic& b) {
  if (Sign(a) == 0) return b;
  if (Sign(b) == 0) return a;
  if (a.exponent > b.exponent) return b + a;
  const auto shift = static_cast<unsigned>(b.exponent - a.exponent);
  return {a.mantissa + (b.mantissa << shift), a.exponent};
}

Dyadic operator-(const Dyadic& a) { return {-a.mantissa, a.exponent}; }

// A polynomial in square roots r_0, r_1, ..: the coefficient at index i belongs
// to the product of those r_k whose bit k is set in i.
using Polynomial = std::vector<Dyadic>;

Polynomial operator*(Polynomial a, const Dyadic& b) {
  for (Dyadic& coefficient : a) coefficient = coefficient * b;
  return a;
}

Polynomial operator+(Polynomial a, const Polynomial& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] = a[i] + b[i];
  return a;
}

// `squares` are those of the roots.
Polynomial Product(const Polynomial& a, const Polynomial& b,
                   const std::vector<Dyadic>& squares) {
  Polynomial product(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t k = 0; k < b.size(); ++k) {
      if (Sign(a[i]) == 0 || Sign(b[k]) == 0) continue;
      Dyadic term = a[i] * b[k];
      for (size_t root = 0; root < squares.size(); ++root) {
        if ((i & k) >> root & 1) term = term * squares[root];
      }
      product[i ^ k] = product[i ^ k] + term;
    }
  }
  return product;
}

// With the last root r, p = s + t * r, where s and t have one root less: if
// their signs differ, the larger of s^2 and t^2 * r^2 decides.
int Sign(const Polynomial& p, const std::vector<Dyadic>& squares) {
  if (squares.empty()) return Sign(p[0]);
  const std::vector<Dyadic> fewer(squares.begin(), squares.end() - 1);
  const auto half = p.begin() + static_cast<std::ptrdiff_t>(p.size() / 2);
  const Polynomial s(p.begin(), half), t(half, p.end());
  const int sign_s = Sign(s, fewer), sign_t = Sign(t, fewer);
  if (sign_t == 0) return sign_s;
  if (sign_s == 0 || sign_s == sign_t) return sign_t;
  return sign_s *
         Sign(Product(s, s, fewer) + Product(t, t, fewer) * -squares.back(),
              fewer);
}

// A double and how far it may be from the exact value.
struct Approximate {
  double value = 0;
  double error = 0;

  // After an operation whose result was rounded `roundings` times.
  void Rounded(double result, double propagated, int roundings) {
    constexpr double kUnit = std::numeric_limits<double>::epsilon();
    value = result;
    // Twice as much as needed, for the roundings of this line; the smallest
    // normal number for those of subnormals.
    error = 2 * (propagated + roundings * kUnit * std::abs(result)) +
            std::numeric_limits<double>::min();
  }
};

}  // namespace

// The exact y, times the product of all roots so far, which is positive.
struct ExactChain::Exact {
  Polynomial y;
  std::vector<Dyadic> squares;

  explicit Exact(int64_t x) : y(1) { y[0] = {x, 0}; }

  // `number` in the units of y.
  Polynomial Scaled(const Dyadic& number) const {
    Polynomial scaled(y.size());
    scaled.back() = number;
    return scaled;
  }
  int Compare(double number) const {
    return Sign(y + Scaled(-FromDouble(number)), squares);
  }
  void Set(double number) { y = Scaled(FromDouble(number)); }
  void Add(double number) { y = y + Scaled(FromDouble(number)); }
  void Mul(double number) { y = y * FromDouble(number); }

  void BatchNormalization(const float* value) {
    Add(-double{value[2]});
    Mul(value[0]);
    // y / r + bias, in units that have one more factor r: y + bias * r.
    squares.push_back(FromDouble(value[3]) + FromDouble(value[4]));
    y.resize(2 * y.size());
    Add(value[1]);
  }

  // The largest integer that is not above y, by doubling steps and halving.
  void Floor() {
    const auto is_below = [this](const Integer& integer) {
      return Sign(y + Scaled({-integer, 0}), squares) >= 0;
    };
    Integer low = 0, step = 1;
    while (!is_below(low)) {
      low -= step;
      step *= 2;
    }
    while (is_below(low + step)) step *= 2;
    while (step > 1) {
      step /= 2;
      if (is_below(low + step)) low += step;
    }
    y = Scaled({low, 0});
  }
};

bool ExactChain::Append(const Op& op) {
  if (num_ops_ == kMostOps) return false;
  ops_[num_ops_++] = op;
  return true;
}

bool ExactChain::Mul(float factor) {
  return std::isfinite(factor) && Append({Kind::kMul, {factor}});
}

bool ExactChain::Add(float summand) {
  return std::isfinite(summand) && Append({Kind::kAdd, {summand}});
}

bool ExactChain::BatchNormalization(float scale, float bias, float mean,
                                    float var, float epsilon) {
  for (float value : {scale, bias, mean, var, epsilon}) {
    if (!std::isfinite(value)) return false;
  }
  if (!(double{var} + double{epsilon} > 0) ||
      num_batch_norms_ == kMostBatchNorms ||
      !Append({Kind::kBatchNorm, {scale, bias, mean, var, epsilon}})) {
    return false;
  }
  ++num_batch_norms_;
  return true;
}

bool ExactChain::Relu() { return Append({Kind::kRelu, {}}); }

bool ExactChain::PRelu(float slope) {
  return std::isfinite(slope) && slope >= 0 && Append({Kind::kPRelu, {slope}});
}

bool ExactChain::Clip(float min, float max) {
  return min <= max && Append({Kind::kClip, {min, max}});
}

bool ExactChain::Floor() { return Append({Kind::kFloor, {}}); }

Result<int> ExactChain::Compare(int64_t x, float threshold) const {
  return AtBorder("exact arithmetic", [&]() -> Result<int> {
    if (std::isinf(threshold)) return threshold < 0 ? 1 : -1;

    // Doubles decide nearly always. What they leave open is computed again.
    constexpr double kExactIntegers = 0x1p53;
    Approximate near = {static_cast<double>(x), 0};
    bool known = std::abs(near.value) < kExactIntegers;
    for (size_t i = 0; i < num_ops_; ++i) {
      const float* v = ops_[i].value;
      switch (ops_[i].kind) {
        case Kind::kMul:
          near.Rounded(near.value * v[0], near.error * std::abs(v[0]), 1);
          break;
        case Kind::kAdd:
          near.Rounded(near.value + v[0], near.error, 1);
          break;
        case Kind::kBatchNorm: {
          const double deviation = std::sqrt(double{v[3]} + double{v[4]});
          const double slope = v[0] / deviation;
          near.Rounded(near.value - v[2], near.error, 1);
          near.Rounded(near.value * slope, near.error * std::abs(slope), 4);
          near.Rounded(near.value + v[1], near.error, 1);
          break;
        }
        case Kind::kRelu:
          near.value = std::max(near.value, 0.0);
          break;
        case Kind::kPRelu:
          if (near.value < 0) {
            near.Rounded(near.value * v[0], near.error * std::max(1.0f, v[0]),
                         1);
          } else {
            near.error *= std::max(1.0f, v[0]);  // may be on the other side
          }
          break;
        case Kind::kClip:
          near.value = std::clamp(near.value, double{v[0]}, double{v[1]});
          break;
        case Kind::kFloor:
          known = known && std::floor(near.value - near.error) ==
                               std::floor(near.value + near.error);
          near = {std::floor(near.value), 0};
          known = known && std::abs(near.value) < kExactIntegers;
          break;
      }
    }
    // False if anything became infinite or NaN.
    if (known && std::abs(near.value - threshold) > 2 * near.error) {
      return near.value < threshold ? -1 : 1;
    }
    return CompareExactly(x, threshold);
  });
}

int ExactChain::CompareExactly(int64_t x, float threshold) const {
  Exact exact(x);
  for (size_t i = 0; i < num_ops_; ++i) {
    const float* v = ops_[i].value;
    switch (ops_[i].kind) {
      case Kind::kMul:
        exact.Mul(v[0]);
        break;
      case Kind::kAdd:
        exact.Add(v[0]);
        break;
      case Kind::kBatchNorm:
        exact.BatchNormalization(v);
        break;
      case Kind::kRelu:
        if (exact.Compare(0) < 0) exact.Set(0);
        break;
      case Kind::kPRelu:
        if (exact.Compare(0) < 0) exact.Mul(v[0]);
        break;
      case Kind::kClip:
        if (std::isfinite(v[0]) && exact.Compare(v[0]) < 0) exact.Set(v[0]);
        if (std::isfinite(v[1]) && exact.Compare(v[1]) > 0) exact.Set(v[1]);
        break;
      case Kind::kFloor:
        exact.Floor();
        break;
    }
  }
  return exact.Compare(threshold);
}

}  // namespace bqengine
