#include "array.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace bqengine::convert {
namespace {

// How far one step along each dimension moves in row-major order.
std::vector<int64_t> Strides(const Shape& shape) {
  Elements(shape);  // throws before anything overflows
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * shape[i];
  }
  return strides;
}

// For each position of `shape` in row-major order, the sum of index * stride.
std::vector<int64_t> Walk(const Shape& shape,
                          const std::vector<int64_t>& strides) {
  std::vector<int64_t> map(Elements(shape));
  std::vector<int64_t> index(shape.size(), 0);
  int64_t offset = 0;
  for (int64_t& entry : map) {
    entry = offset;
    for (size_t d = shape.size(); d-- > 0;) {
      offset += strides[d];
      if (++index[d] < shape[d]) break;
      offset -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
  return map;
}

}  // namespace

Array Array::Floats(Shape shape, std::vector<float> values) {
  Array array;
  array.shape = std::move(shape);
  array.floats = std::move(values);
  return array;
}

Array Array::Ints(Shape shape, std::vector<int64_t> values) {
  Array array;
  array.type = Type::kInt;
  array.shape = std::move(shape);
  array.ints = std::move(values);
  return array;
}

int64_t Array::size() const {
  return static_cast<int64_t>(is_float() ? floats.size() : ints.size());
}

bool Array::has_batch() const {
  return std::find(is_batch.begin(), is_batch.end(), true) != is_batch.end();
}

float Array::Float(int64_t i) const {
  return is_float() ? floats[i] : static_cast<float>(ints[i]);
}

bool Array::has_nan() const {
  return std::any_of(floats.begin(), floats.end(),
                     [](float value) { return std::isnan(value); });
}

float Array::Only() const {
  if (size() != 1) {
    throw ConvertError("one number expected, not " + std::to_string(size()));
  }
  return Float(0);
}

const std::vector<int64_t>& Array::KnownInts() const {
  if (is_float()) throw ConvertError("integers expected, not floats");
  if (has_batch()) throw ConvertError("the result depends on the batch size");
  return ints;
}

std::optional<float> Array::Uniform() const {
  if (size() == 0 || has_batch()) return std::nullopt;
  const float first = Float(0);
  if (std::isnan(first)) return std::nullopt;
  for (int64_t i = 1; i < size(); ++i) {
    if (Float(i) != first) return std::nullopt;
  }
  return first;
}

int64_t Elements(const Shape& shape) {
  int64_t count = 1;
  bool empty = false;
  for (int64_t dim : shape) {
    if (dim < 0) throw ConvertError("negative dimension");
    empty = empty || dim == 0;
    if (dim > kMaxElements ||
        (count *= std::max<int64_t>(dim, 1)) > kMaxElements) {
      throw ConvertError("too many elements: " + ShapeText(shape));
    }
  }
  return empty ? 0 : count;
}

Shape BroadcastShape(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t da = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t db = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (da != db && da != 1 && db != 1) {
      throw ConvertError(fmt::format("shapes {} and {} do not fit together",
                                     ShapeText(a), ShapeText(b)));
    }
    out[out.size() - 1 - i] = da == 1 ? db : da;
  }
  return out;
}

std::vector<int64_t> BroadcastMap(const Shape& from, const Shape& to) {
  if (from.size() > to.size() || BroadcastShape(from, to) != to) {
    throw ConvertError(fmt::format("shape {} does not stretch to {}",
                                   ShapeText(from), ShapeText(to)));
  }
  const std::vector<int64_t> from_strides = Strides(from);
  std::vector<int64_t> strides(to.size(), 0);
  const size_t shift = to.size() - from.size();
  for (size_t i = 0; i < from.size(); ++i) {
    strides[shift + i] = from[i] == 1 ? 0 : from_strides[i];
  }
  return Walk(to, strides);
}

std::vector<int64_t> TransposeMap(const Shape& shape,
                                  const std::vector<int>& perm) {
  const std::vector<int64_t> from = Strides(shape);
  Shape to(perm.size());
  std::vector<int64_t> strides(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) {
    to[i] = shape[perm[i]];
    strides[i] = from[perm[i]];
  }
  return Walk(to, strides);
}

Array Take(const Array& array, Shape shape, const std::vector<int64_t>& map) {
  Array out;
  out.type = array.type;
  out.shape = std::move(shape);
  if (array.is_float()) {
    out.floats.reserve(map.size());
    for (int64_t i : map) out.floats.push_back(array.floats[i]);
  } else {
    out.ints.reserve(map.size());
    for (int64_t i : map) out.ints.push_back(array.ints[i]);
  }
  if (!array.is_batch.empty()) {
    for (int64_t i : map) out.is_batch.push_back(array.is_batch[i]);
  }
  return out;
}

int NormalAxis(int64_t axis, size_t rank) {
  const int64_t size = static_cast<int64_t>(rank);
  if (axis < -size || axis >= size) {
    throw ConvertError(fmt::format("axis {} of {} dimensions", axis, size));
  }
  return static_cast<int>(axis < 0 ? axis + size : axis);
}

std::string ShapeText(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += shape[i] == kBatch ? "batch" : std::to_string(shape[i]);
  }
  return text + "]";
}

std::string NumbersText(const std::vector<float>& numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const char* joint = i == 0 ? "" : i + 1 == numbers.size() ? " and " : ", ";
    text += fmt::format("{}{:g}", joint, numbers[i]);
  }
  return text;
}

}  // namespace bqengine::convert
