// Floats as what they are, integers times powers of two, with products, sums
// and comparisons that never round: an oracle of tests for what is promised to
// be exact. Simple and slow, and on purpose nothing that the engine uses.
#ifndef TESTS_SUPPORT_DYADIC_H_
#define TESTS_SUPPORT_DYADIC_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace bqengine::testing {

// sign * magnitude * 2^exponent.
class Dyadic {
 public:
  // Precondition: finite.
  explicit Dyadic(double value) {
    if (value == 0) return;
    sign_ = value < 0 ? -1 : 1;
    const double mantissa = std::frexp(std::abs(value), &exponent_);
    exponent_ -= 53;
    const auto digits = static_cast<uint64_t>(std::ldexp(mantissa, 53));
    magnitude_ = {static_cast<uint32_t>(digits),
                  static_cast<uint32_t>(digits >> 32)};
  }

  int sign() const { return sign_; }

  friend Dyadic operator*(const Dyadic& a, const Dyadic& b) {
    Dyadic product(0);
    product.sign_ = a.sign_ * b.sign_;
    if (product.sign_ == 0) return product;
    product.exponent_ = a.exponent_ + b.exponent_;
    product.magnitude_.assign(a.magnitude_.size() + b.magnitude_.size(), 0);
    for (size_t i = 0; i < a.magnitude_.size(); ++i) {
      uint64_t carry = 0;
      for (size_t j = 0; j < b.magnitude_.size(); ++j) {
        carry += product.magnitude_[i + j] +
                 uint64_t{a.magnitude_[i]} * b.magnitude_[j];
        product.magnitude_[i + j] = static_cast<uint32_t>(carry);
        carry >>= 32;
      }
      product.magnitude_[i + b.magnitude_.size()] =
          static_cast<uint32_t>(carry);
    }
    return product;
  }

  friend Dyadic operator+(Dyadic a, Dyadic b) {
    if (a.sign_ == 0) return b;
    if (b.sign_ == 0) return a;
    if (a.exponent_ > b.exponent_) std::swap(a, b);
    b.ShiftTo(a.exponent_);
    const int order = Compare(a.magnitude_, b.magnitude_);
    if (order < 0) std::swap(a, b);
    // Now a is not the smaller, and gives the sign.
    if (a.sign_ == b.sign_) {
      a.AddMagnitude(b.magnitude_);
    } else if (order == 0) {
      return Dyadic(0);
    } else {
      a.SubtractMagnitude(b.magnitude_);
    }
    return a;
  }

  friend Dyadic operator-(const Dyadic& a, Dyadic b) {
    b.sign_ = -b.sign_;
    return a + std::move(b);
  }

 private:
  using Words = std::vector<uint32_t>;  // lowest first

  static int Compare(const Words& a, const Words& b) {
    for (size_t i = std::max(a.size(), b.size()); i-- > 0;) {
      const uint32_t x = i < a.size() ? a[i] : 0, y = i < b.size() ? b[i] : 0;
      if (x != y) return x < y ? -1 : 1;
    }
    return 0;
  }

  void ShiftTo(int exponent) {
    const auto bits = static_cast<size_t>(exponent_ - exponent);
    Words shifted(magnitude_.size() + bits / 32 + 1, 0);
    for (size_t i = 0; i < magnitude_.size(); ++i) {
      const uint64_t wide = uint64_t{magnitude_[i]} << (bits % 32);
      shifted[i + bits / 32] |= static_cast<uint32_t>(wide);
      shifted[i + bits / 32 + 1] |= static_cast<uint32_t>(wide >> 32);
    }
    magnitude_ = std::move(shifted);
    exponent_ = exponent;
  }

  void AddMagnitude(const Words& b) {
    magnitude_.resize(std::max(magnitude_.size(), b.size()) + 1, 0);
    uint64_t carry = 0;
    for (size_t i = 0; i < magnitude_.size(); ++i) {
      carry += uint64_t{magnitude_[i]} + (i < b.size() ? b[i] : 0);
      magnitude_[i] = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
  }

  // Precondition: b is not greater.
  void SubtractMagnitude(const Words& b) {
    int64_t borrow = 0;
    for (size_t i = 0; i < magnitude_.size(); ++i) {
      borrow += int64_t{magnitude_[i]} - (i < b.size() ? b[i] : 0);
      magnitude_[i] = static_cast<uint32_t>(borrow);
      borrow >>= 32;
    }
  }

  int sign_ = 0;  // 0: the number is zero
  int exponent_ = 0;
  Words magnitude_;
};

}  // namespace bqengine::testing

#endif  // TESTS_SUPPORT_DYADIC_H_
