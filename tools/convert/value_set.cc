#include "value_set.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <stdexcept>

#include "array.h"

namespace bqengine::convert {
namespace {

constexpr size_t kMostPoints = 256;  // a pixel's

// A number that pixels and sums of integers hit: halves, but for rounding, and
// sixteenths. One that was learned is neither, but for one in 100,000.
bool IsPlain(double x) {
  const double halves = 2 * x;
  return std::abs(halves - std::round(halves)) <= 5e-7 * std::abs(halves) ||
         16 * x == std::round(16 * x);
}

// Whether a is, but for rounding, a fraction of b with small numbers.
bool Commensurable(double a, double b, int* denominator) {
  for (int q = 1; q <= 16; ++q) {
    const double p = a / b * q;
    if (std::round(p) != 0 && std::abs(p) <= 64 &&
        std::abs(p - std::round(p)) <= 1e-6 * std::abs(p)) {
      *denominator = q;
      return true;
    }
  }
  return false;
}

float ClippedTo(float x, float low, float high) {
  const float raised = x < low ? low : x;
  return raised > high ? high : raised;
}

bool IsSingleNumber(float low, float high) {
  return std::nextafter(low, high) == high;
}

std::vector<float> Sorted(std::vector<float> points) {
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  return points;
}

float Product0(float a, float b) {  // a bound of 0 stays one beside infinity
  return a == 0 || b == 0 ? 0 : a * b;
}

// The largest power of two that x, not 0, is a multiple of.
double LowestBit(double x) {
  int exponent = 0;
  const double mantissa = std::frexp(std::abs(x), &exponent);
  const auto digits = static_cast<uint64_t>(std::ldexp(mantissa, 53));
  return std::ldexp(1.0, exponent - 53 + std::countr_zero(digits));
}

// Floats hold all multiples of `fine` up to `size`.
bool AreFloats(double size, double fine) { return size <= 16777216.0 * fine; }

}  // namespace

bool ValueSet::Grid::Has(float value) const {
  if (spacing == 0) return true;
  const double n = (value - phase) / spacing;
  return std::abs(n - std::round(n)) <= 1e-9 * std::max(1.0, std::abs(n));
}

ValueSet::Grid ValueSet::Grid::Scaled(float factor, double size) const {
  if (spacing == 0) return {};
  // What is rounded stays a multiple of what it was one of.
  const double bit = fine * LowestBit(factor);
  if (!AreFloats(size, bit)) return Multiples(bit);
  return {spacing * std::abs(factor), phase * factor, bit};
}

ValueSet::Grid ValueSet::Grid::Shifted(float summand, double size) const {
  if (spacing == 0) return {};
  const double bit = std::min(fine, LowestBit(summand));
  if (!AreFloats(size, bit)) return Multiples(bit);
  return {spacing, phase + summand, bit};
}

ValueSet::Grid ValueSet::Grid::With(float value) const {
  if (spacing == 0 || Has(value)) return *this;
  return value == 0 || !std::isfinite(value)
             ? Multiples(fine)
             : Multiples(std::min(fine, LowestBit(value)));
}

size_t ValueSet::bytes() const {
  return sizeof(*this) + points_.size() * sizeof(float) +
         (chain_ == nullptr ? 0 : sizeof(ExactChain));
}

double ValueSet::size() const {
  return std::max(std::abs(static_cast<double>(low_)),
                  std::abs(static_cast<double>(high_)));
}

ValueSet ValueSet::Any(float low, float high) {
  ValueSet set;
  set.low_ = low;
  set.high_ = high;
  return set;
}

ValueSet ValueSet::Spread(std::vector<float> points) {
  ValueSet set;
  set.kind_ = Kind::kSpread;
  set.points_ = Sorted(std::move(points));
  return set;
}

ValueSet ValueSet::Points(std::vector<float> points) {
  ValueSet set;
  points = Sorted(std::move(points));
  set.low_ = points.front();
  set.high_ = points.back();
  if (points.size() <= kMostPoints) {
    set.kind_ = Kind::kPoints;
    set.points_ = std::move(points);
  }
  return set;
}

ValueSet ValueSet::Integers(int64_t first, int64_t last, int64_t step) {
  ValueSet set;
  set.kind_ = Kind::kIntegers;
  set.first_ = first;
  set.last_ = last;
  set.step_ = step;
  set.low_ = static_cast<float>(first);
  set.high_ = static_cast<float>(last);
  set.unit_ = static_cast<double>(step);
  set.offset_ = static_cast<double>(first);
  return set;
}

// ------------------------------------------------------------------ questions

Occurs ValueSet::Exactly(float value) const {
  return Within(value, std::nextafter(value, kInfinity));
}

Occurs ValueSet::Within(float low, float high) const {
  const auto inside = [&](float y) {
    return low <= y && (y < high || high == kInfinity);
  };
  if (!(low < high || high == kInfinity)) return Occurs::kNever;
  if (kind_ == Kind::kIntegers) {
    return ExistsInteger(low, high) ? Occurs::kCan : Occurs::kNever;
  }
  if (std::any_of(points_.begin(), points_.end(), inside)) return Occurs::kCan;
  if (kind_ == Kind::kPoints) return Occurs::kNever;
  const bool overlap =
      high_ >= low && (low_ < high || high == kInfinity) && low_ <= high_;
  if (!overlap) return Occurs::kNever;
  if (!IsSingleNumber(low, high)) return Occurs::kCan;
  if (!grid_.Has(low)) return Occurs::kNever;
  return kind_ == Kind::kSpread ? Occurs::kRarely : Occurs::kCan;
}

// y(x) is monotone, so that the integers with y >= low, and those with y <
// high, are the first ones or the last ones.
bool ValueSet::ExistsInteger(float low, float high) const {
  const auto compare = [&](int64_t i, float to) {
    const int64_t x = first_ + i * step_;
    if (chain_ == nullptr) {
      const double y = static_cast<double>(x);
      return y < to ? -1 : y > to ? 1 : 0;
    }
    const Result<int> order = chain_->Compare(x, to);
    if (!order.ok()) throw ConvertError(order.status().message());
    return *order;
  };
  const auto from_low = [&](int64_t i) { return compare(i, low) >= 0; };
  const auto below_high = [&](int64_t i) {
    return high == kInfinity || compare(i, high) < 0;
  };
  int64_t in = 0, out = (last_ - first_) / step_;
  if (from_low(in) && from_low(out)) return below_high(in) || below_high(out);
  if (!from_low(in)) std::swap(in, out);
  if (!from_low(in)) return false;
  if (high == kInfinity) return true;
  while (std::abs(in - out) > 1) {  // y(in) >= low > y(out)
    const int64_t middle = (in + out) / 2;
    (from_low(middle) ? in : out) = middle;
  }
  return below_high(in);
}

// ------------------------------------------------------- of each element alone

template <typename Function>
ValueSet ValueSet::Mapped(Function function) const {
  ValueSet set = *this;
  const float a = function(low_), b = function(high_);
  set.low_ = std::isnan(a) || std::isnan(b) ? -kInfinity : std::min(a, b);
  set.high_ = std::isnan(a) || std::isnan(b) ? kInfinity : std::max(a, b);
  for (float& point : set.points_) point = function(point);
  set.points_ = Sorted(std::move(set.points_));
  return set;
}

template <typename Function>
void ValueSet::AppendExact(Function append) {
  if (kind_ != Kind::kIntegers) return;
  auto chain = chain_ ? std::make_shared<ExactChain>(*chain_)
                      : std::make_shared<ExactChain>();
  if (append(*chain)) {
    chain_ = std::move(chain);
  } else {
    *this = Loosened();
  }
}

// Integers that a learned number has moved are as good as a continuum.
ValueSet ValueSet::Loosened() const {
  if (kind_ != Kind::kIntegers) return *this;
  ValueSet set = Any(low_, high_);
  set.unit_ = unit_;
  if (IsPlain(offset_ / unit_)) return set;
  set.kind_ = Kind::kSpread;
  if (Exactly(0) == Occurs::kCan) set.points_ = {0};
  return set;
}

ValueSet ValueSet::Scaled(float factor) const {
  if (factor == 0) return Points({0});
  ValueSet set = Mapped([&](float y) { return y * factor; });
  set.unit_ *= factor;
  set.offset_ *= factor;
  set.grid_ = grid_.Scaled(factor, set.size());
  set.AppendExact([&](ExactChain& chain) { return chain.Mul(factor); });
  return set;
}

ValueSet ValueSet::Shifted(float summand, bool chosen) const {
  if (summand == 0) return *this;
  ValueSet set = Mapped([&](float y) { return y + summand; });
  set.offset_ += summand;
  set.grid_ = grid_.Shifted(summand, std::max(size(), set.size()));
  if (kind_ == Kind::kAny && !chosen && !IsPlain(set.offset_ / unit_)) {
    set.kind_ = Kind::kSpread;
    set.grid_ = {};
  }
  set.AppendExact([&](ExactChain& chain) { return chain.Add(summand); });
  return set;
}

ValueSet ValueSet::Normalized(float scale, float bias, float mean, float var,
                              float epsilon) const {
  const double factor = static_cast<double>(scale) /
                        std::sqrt(static_cast<double>(var) + epsilon);
  const float mul = static_cast<float>(factor);
  const float add = static_cast<float>(bias - mean * factor);
  if (mul == 0 && scale == 0) return Points({add});
  if (kind_ != Kind::kIntegers) return Scaled(mul).Shifted(add, false);
  ValueSet set = Mapped([&](float y) { return y * mul + add; });
  set.unit_ *= factor;
  set.offset_ = offset_ * factor + (bias - mean * factor);
  set.AppendExact([&](ExactChain& chain) {
    return chain.BatchNormalization(scale, bias, mean, var, epsilon);
  });
  return set;
}

ValueSet ValueSet::Clipped(float low, float high) const {
  ValueSet set = Mapped([&](float y) { return ClippedTo(y, low, high); });
  if (kind_ == Kind::kSpread) {
    if (low_ < low) set.points_.push_back(ClippedTo(low, low, high));
    if (high_ > high) set.points_.push_back(high);
    set.points_ = Sorted(std::move(set.points_));
  }
  set.offset_ = 0;  // which is to say: no longer known
  if (low_ < low) set.grid_ = grid_.With(low);
  if (high_ > high) set.grid_ = set.grid_.With(high);
  set.AppendExact([&](ExactChain& chain) { return chain.Clip(low, high); });
  return set;
}

ValueSet ValueSet::Rectified() const { return Clipped(0, kInfinity); }

ValueSet ValueSet::Leaky(float slope) const {
  if (slope < 0) return Any();
  if (slope == 0) return Rectified();
  ValueSet set = Mapped([&](float y) { return y < 0 ? slope * y : y; });
  set.offset_ = 0;
  set.grid_ = {};
  set.AppendExact([&](ExactChain& chain) { return chain.PRelu(slope); });
  return set;
}

ValueSet ValueSet::Floored() const {
  ValueSet set = Mapped([](float y) { return std::floor(y); });
  if (kind_ == Kind::kSpread) set = Any(set.low_, set.high_);
  if (set.kind_ == Kind::kAny) set.grid_ = Grid::Multiples(1);
  set.unit_ = 1;
  set.offset_ = 0;
  set.AppendExact([](ExactChain& chain) { return chain.Floor(); });
  return set;
}

ValueSet ValueSet::Averaged() const {
  if (kind_ == Kind::kIntegers) return Loosened();
  if (kind_ == Kind::kAny || points_.size() > 1) return Any(low_, high_);
  return *this;
}

// ------------------------------------------------------------- of two operands

ValueSet ValueSet::DependentSum(const ValueSet& a, const ValueSet& b) {
  const float low = a.low_ + b.low_, high = a.high_ + b.high_;
  return std::isnan(low) || std::isnan(high) ? Any() : Any(low, high);
}

ValueSet ValueSet::Sum(const ValueSet& a, const ValueSet& b) {
  if (b.kind_ == Kind::kPoints && b.points_.size() == 1) {
    return a.Shifted(b.points_[0], true);
  }
  if (a.kind_ == Kind::kPoints && a.points_.size() == 1) return Sum(b, a);
  ValueSet loose = DependentSum(a, b);
  ValueSet spread = loose;
  spread.kind_ = Kind::kSpread;
  if (a.kind_ == Kind::kIntegers && b.kind_ == Kind::kIntegers) {
    // p/q * n + m, moved by a learned offset, misses 0; so do two lattices that
    // have nothing in common.
    int q = 1;
    if (Commensurable(a.unit_, b.unit_, &q)) {
      if (IsPlain((a.offset_ + b.offset_) / b.unit_ * q)) return loose;
    }
    if (a.Exactly(0) == Occurs::kCan && b.Exactly(0) == Occurs::kCan) {
      spread.points_ = {0};
    }
    return spread;
  }
  if (a.kind_ != Kind::kSpread && b.kind_ != Kind::kSpread) return loose;
  // Only where both come often at a number does their sum.
  const ValueSet& continuum = a.kind_ == Kind::kSpread ? a : b;
  const ValueSet& other = a.kind_ == Kind::kSpread ? b : a;
  if (continuum.points_.empty()) return spread;
  if (other.kind_ != Kind::kSpread && other.kind_ != Kind::kPoints) {
    const bool often =
        std::any_of(continuum.points_.begin(), continuum.points_.end(),
                    [&](float p) { return other.Exactly(-p) == Occurs::kCan; });
    return often ? loose : spread;
  }
  for (float p : continuum.points_) {
    for (float q : other.points_) spread.points_.push_back(p + q);
  }
  spread.points_ = Sorted(std::move(spread.points_));
  return spread.points_.size() <= kMostPoints ? spread : loose;
}

ValueSet ValueSet::Product(const ValueSet& a, const ValueSet& b) {
  if (b.kind_ == Kind::kPoints && b.points_.size() == 1) {
    return a.Scaled(b.points_[0]);
  }
  if (a.kind_ == Kind::kPoints && a.points_.size() == 1) return Product(b, a);
  const float ends[] = {Product0(a.low_, b.low_), Product0(a.low_, b.high_),
                        Product0(a.high_, b.low_), Product0(a.high_, b.high_)};
  ValueSet set =
      Any(*std::min_element(ends, ends + 4), *std::max_element(ends, ends + 4));
  if (a.kind_ == Kind::kSpread || b.kind_ == Kind::kSpread) {
    set.kind_ = Kind::kSpread;
    if (a.Exactly(0) == Occurs::kCan || b.Exactly(0) == Occurs::kCan) {
      set.points_ = {0};
    }
  }
  return set;
}

ValueSet ValueSet::Union(const ValueSet& a, const ValueSet& b) {
  if (a == b) return a;
  if (a.kind_ == Kind::kPoints && b.kind_ == Kind::kPoints) {
    std::vector<float> points = a.points_;
    points.insert(points.end(), b.points_.begin(), b.points_.end());
    return Points(std::move(points));
  }
  if (a.kind_ == Kind::kIntegers || b.kind_ == Kind::kIntegers) {
    return Union(a.Loosened(), b.Loosened());
  }
  ValueSet set = Any(std::min(a.low_, b.low_), std::max(a.high_, b.high_));
  if (a.unit_ == b.unit_) set.unit_ = a.unit_;
  if (a.grid_ == b.grid_) set.grid_ = a.grid_;
  if (a.kind_ == Kind::kAny || b.kind_ == Kind::kAny) return set;
  set.kind_ = Kind::kSpread;
  set.points_ = a.points_;
  set.points_.insert(set.points_.end(), b.points_.begin(), b.points_.end());
  set.points_ = Sorted(std::move(set.points_));
  return set;
}

ValueSet ValueSet::WeightedSum(const ValueSet& terms,
                               std::span<const float> weights, float bias) {
  float size = 0;  // of all weights, if they have one
  double total = 0, net = 0, bit = 0;
  bool one_size = true, plain = true;
  for (float w : weights) {
    if (w == 0) continue;
    const float s = std::abs(w);
    if (size == 0) size = s;
    total += s;
    net += w;
    bit = bit == 0 ? LowestBit(s) : std::min(bit, LowestBit(s));
    one_size = one_size && std::abs(s - size) <= 1e-6f * size;
    plain = plain && 16.0 * s == std::round(16.0 * s);
  }
  if (size == 0) return Points({bias});
  if (weights.size() == 1) return terms.Scaled(weights[0]).Shifted(bias, false);
  if (terms.kind_ == Kind::kSpread && terms.points_.empty()) return Spread();
  // Terms that come often can cancel each other if their weights can.
  const bool only_zero =
      terms.kind_ == Kind::kSpread && terms.points_ == std::vector<float>{0};
  if ((one_size || plain) && !only_zero) {
    const float bound = static_cast<float>(terms.size() * total);
    ValueSet sum = Any(-bound, bound);
    sum.unit_ = terms.unit_ * (one_size ? size : 1);
    const double fine = terms.grid_.fine * bit;
    if (fine > 0 && AreFloats(bound, fine)) sum.grid_ = Grid::Multiples(fine);
    return sum.Shifted(bias, false);
  }
  // Where a picture is flat, weights that add up to 0 (an edge filter's) leave
  // the bias of it.
  const bool cancels = std::abs(net) <= 1e-6 * total;
  return cancels || terms.Exactly(0) == Occurs::kCan ? Spread({bias})
                                                     : Spread();
}

}  // namespace bqengine::convert
