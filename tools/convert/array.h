// Constants of an ONNX graph while it is being converted, in ONNX's own
// dimension order. Only two kinds of number survive: float32 (double becomes
// it) and int64 (all integers and booleans become it).
#ifndef BQENGINE_TOOLS_CONVERT_ARRAY_H_
#define BQENGINE_TOOLS_CONVERT_ARRAY_H_

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bqengine/graph.h"

namespace bqengine::convert {

// What is wrong with the file or with one node of it. Thrown inside the
// converter only; ConvertModel collects all of them into one Status.
class ConvertError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Array {
  enum class Type { kFloat, kInt };

  Type type = Type::kFloat;
  Shape shape;
  std::vector<float> floats;  // if kFloat
  std::vector<int64_t> ints;  // if kInt
  // Marks the integers that stand for the batch size, which is not known: the
  // first entry of what ONNX's Shape gives, wherever it is moved to. Empty
  // means none; otherwise as long as `ints`.
  std::vector<bool> is_batch;

  static Array Floats(Shape shape, std::vector<float> values);
  static Array Ints(Shape shape, std::vector<int64_t> values);

  int64_t size() const;
  bool is_float() const { return type == Type::kFloat; }
  bool has_batch() const;
  bool IsBatch(int64_t i) const { return !is_batch.empty() && is_batch[i]; }
  float Float(int64_t i) const;
  bool has_nan() const;
  // The value of an array of one element; throws if it has more, or none.
  float Only() const;

  // The integers; throws if it holds floats or the batch size.
  const std::vector<int64_t>& KnownInts() const;
  // The value that all elements have, if there is one; NaN is none.
  std::optional<float> Uniform() const;
};

// No tensor of a network has more elements; a broken file may claim to.
inline constexpr int64_t kMaxElements = int64_t{1} << 31;

// Product of dimensions >= 0. Throws if one is negative, or if those besides 0
// come to more than kMaxElements: what is computed from them cannot overflow.
int64_t Elements(const Shape& shape);

// ONNX's (NumPy's) broadcasting of two shapes; throws if they do not fit.
Shape BroadcastShape(const Shape& a, const Shape& b);

// Maps say from which element each element of a result comes (row-major).
// Shape `from` stretched to `to`.
std::vector<int64_t> BroadcastMap(const Shape& from, const Shape& to);
// Dimension i of the result is dimension perm[i] of `shape`.
std::vector<int64_t> TransposeMap(const Shape& shape,
                                  const std::vector<int>& perm);

// The elements that `map` selects, in its order.
Array Take(const Array& array, Shape shape, const std::vector<int64_t>& map);

// Counts a negative axis from the end; throws if it is out of range.
int NormalAxis(int64_t axis, size_t rank);

// "[1, 28, 28]", with "batch" for kBatch.
std::string ShapeText(const Shape& shape);

// "-1, 0 and 1"
std::string NumbersText(const std::vector<float>& numbers);

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_ARRAY_H_
