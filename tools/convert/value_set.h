// What values one channel of a float tensor can take: the domain of the range
// analysis. It is asked whether a given interval, mostly a single number such
// as 0, can come.
#ifndef BQENGINE_TOOLS_CONVERT_VALUE_SET_H_
#define BQENGINE_TOOLS_CONVERT_VALUE_SET_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "bqengine/exact_chain.h"

namespace bqengine::convert {

enum class Occurs {
  kNever,
  // A number that lies in a continuum but has no weight of its own: a sum of
  // activations times learned weights is exactly 0 as rarely as it is any other
  // float.
  kRarely,
  kCan
};

// Sets grow where an operation cannot be followed, so that kNever is certain;
// kRarely is an assumption about numbers that were learned.
class ValueSet {
 public:
  // Any float, each with a weight of its own: pixels, sums of integers, what is
  // not understood.
  static ValueSet Any(float low = -kInfinity, float high = kInfinity);
  // A continuum, and some numbers in it that come often.
  static ValueSet Spread(std::vector<float> points = {});
  static ValueSet Points(std::vector<float> points);
  // The integers first, first + step, .., last: sums of bits.
  static ValueSet Integers(int64_t first, int64_t last, int64_t step);
  // A sum of weights times values of `terms`, plus `bias`.
  static ValueSet WeightedSum(const ValueSet& terms,
                              std::span<const float> weights, float bias);

  // Whether a value y with low <= y < high can come, y <= high if that is
  // infinity. NaN is not asked for.
  Occurs Within(float low, float high) const;
  Occurs Exactly(float value) const;

  // What ops make of the values, element by element. Of `chosen` numbers a
  // person wrote, not a training: x - 128 can well be 0 where x is a pixel.
  ValueSet Scaled(float factor) const;
  ValueSet Shifted(float summand, bool chosen) const;
  ValueSet Normalized(float scale, float bias, float mean, float var,
                      float epsilon) const;
  ValueSet Clipped(float low, float high) const;
  ValueSet Rectified() const;
  ValueSet Leaky(float slope) const;
  ValueSet Floored() const;
  // The mean of some values.
  ValueSet Averaged() const;

  // Of two operands that have nothing to do with each other.
  static ValueSet Sum(const ValueSet& a, const ValueSet& b);
  static ValueSet Product(const ValueSet& a, const ValueSet& b);
  static ValueSet Union(const ValueSet& a, const ValueSet& b);
  // The same of operands that may have: only the bounds are known.
  static ValueSet DependentSum(const ValueSet& a, const ValueSet& b);

  size_t bytes() const;  // of memory
  bool operator==(const ValueSet& other) const = default;

 private:
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();
  enum class Kind { kAny, kSpread, kPoints, kIntegers };

  // Floats that are phase + n * spacing, exactly, and multiples of `fine`, a
  // power of two. No spacing: of any number.
  struct Grid {
    double spacing = 0, phase = 0, fine = 0;
    bool operator==(const Grid&) const = default;
    bool Has(float value) const;
    // All multiples of `fine`.
    static Grid Multiples(double fine) { return {fine, 0, fine}; }
    // After float arithmetic that gives numbers of up to `size`.
    Grid Scaled(float factor, double size) const;
    Grid Shifted(float summand, double size) const;
    Grid With(float value) const;
  };

  template <typename Function>  // float to float, rising or falling
  ValueSet Mapped(Function function) const;
  template <typename Function>  // of ExactChain&, false if it cannot
  void AppendExact(Function append);
  bool ExistsInteger(float low, float high) const;
  // Forgets what only integers can tell.
  ValueSet Loosened() const;

  Kind kind_ = Kind::kAny;
  float low_ = -kInfinity, high_ = kInfinity;  // roughly for kIntegers
  std::vector<float> points_;                  // kSpread, kPoints
  double size() const;                         // of the largest
  // How far apart neighbours are, roughly, and where they lie; of kAny in units
  // of whatever pixels and integers come in.
  double unit_ = 1, offset_ = 0;
  Grid grid_;                                // kAny
  int64_t first_ = 0, last_ = 0, step_ = 1;  // kIntegers
  std::shared_ptr<const ExactChain> chain_;  // from those to y; none: y = x
};

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_VALUE_SET_H_
