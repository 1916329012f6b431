// Argument checks and bit access that the quantization formulas share.
#ifndef BQENGINE_QUANTIZE_CHECKS_H_
#define BQENGINE_QUANTIZE_CHECKS_H_

#include <cmath>
#include <cstdint>
#include <span>
#include <string>

#include "bqengine/graph.h"
#include "bqengine/status.h"
#include "graph/graph_analysis.h"
#include "graph/packed.h"

namespace bqengine::quantize {

inline Status InvalidArgument(const std::string& message) {
  return Status(StatusCode::kInvalidArgument, message);
}

// An error of something that a caller gave: its mistake, or want of memory.
inline Status OfArgument(const Status& status, const std::string& what = "") {
  return Status(status.code() == StatusCode::kOutOfMemory
                    ? StatusCode::kOutOfMemory
                    : StatusCode::kInvalidArgument,
                what + status.message());
}

inline Status CheckNotEmpty(std::span<const float> values) {
  if (values.empty()) return InvalidArgument("there are no values");
  return Status();
}

inline Status CheckFinite(std::span<const float> values) {
  if (Status s = CheckNotEmpty(values); !s.ok()) return s;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return InvalidArgument(
          "value " + std::to_string(i) +
          (std::isnan(values[i]) ? " is NaN" : " is infinite"));
    }
  }
  return Status();
}

inline Status CheckEncoding(DataType encoding) {
  if (encoding == DataType::kBipolar || encoding == DataType::kUnipolar) {
    return Status();
  }
  return InvalidArgument("bipolar or unipolar expected");
}

// `size` values must fill `shape`, which has no batch.
inline Status CheckShape(const Shape& shape, size_t size, size_t least_rank) {
  if (shape.size() < least_rank) {
    return InvalidArgument("the shape must have " + std::to_string(least_rank) +
                           " dimensions or more");
  }
  for (int64_t dim : shape) {
    if (dim < 1) {
      return InvalidArgument(std::to_string(dim) + " is not a dimension");
    }
  }
  auto count = ElementCount(shape);
  if (!count.ok()) return OfArgument(count.status());
  if (static_cast<uint64_t>(*count) != size) {
    return InvalidArgument("the shape has " + std::to_string(*count) +
                           " elements, but there are " + std::to_string(size));
  }
  return Status();
}

// A constant that a caller made must have the data that its shape needs; `what`
// is its name in messages.
inline Status CheckConstant(const char* what, const Constant& constant) {
  if (constant.lost()) {
    return Status(StatusCode::kOutOfMemory,
                  "there was no memory for " + std::string(what));
  }
  const std::string problem =
      constant.data() == nullptr ? "has no data" : DataProblem(constant);
  if (problem.empty()) return Status();
  return InvalidArgument(std::string(what) + " " + problem);
}

// The scales of `bases` bases for `channels` channels.
inline Status CheckAlpha(const Constant& alpha, int64_t bases,
                         int64_t channels) {
  if (alpha.lost()) return CheckConstant("alpha", alpha);
  if (alpha.type() != DataType::kFloat32) {
    return InvalidArgument("alpha must be float32");
  }
  if (alpha.shape() != Shape{bases} &&
      alpha.shape() != Shape{bases, channels}) {
    return InvalidArgument("alpha must be [M] or [M, O]");
  }
  if (Status s = CheckConstant("alpha", alpha); !s.ok()) return s;
  if (Status s = CheckFinite(alpha.floats()); !s.ok()) {
    return InvalidArgument("alpha: " + s.message());
  }
  return Status();
}

// Position of an element in packed rows of `columns` bits.
struct BitPosition {
  BitPosition(int64_t element, int64_t columns)
      : word(static_cast<size_t>(element / columns * WordsFor(columns) +
                                 element % columns / kWordBits)),
        mask(uint64_t{1} << (element % columns % kWordBits)) {}
  size_t word;
  uint64_t mask;
};

}  // namespace bqengine::quantize

#endif  // BQENGINE_QUANTIZE_CHECKS_H_
