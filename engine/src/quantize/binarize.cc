// One threshold, and the error it makes.
#include <cmath>
#include <limits>
#include <utility>

#include "border.h"
#include "bqengine/quantize.h"
#include "graph/make_constant.h"
#include "quantize/checks.h"

namespace bqengine::quantize {
namespace {

Status CheckBinarize(std::span<const float> x, float threshold,
                     DataType encoding) {
  if (Status s = CheckNotEmpty(x); !s.ok()) return s;
  if (std::isnan(threshold)) return InvalidArgument("the threshold is NaN");
  return CheckEncoding(encoding);
}

float SmallerValue(DataType encoding) {
  return encoding == DataType::kBipolar ? -1.0f : 0.0f;
}

}  // namespace

Result<std::vector<float>> Binarize(std::span<const float> x, float threshold,
                                    DataType encoding) {
  return AtBorder([&]() -> Result<std::vector<float>> {
    if (Status s = CheckBinarize(x, threshold, encoding); !s.ok()) return s;
    std::vector<float> values(x.size(), SmallerValue(encoding));
    for (size_t i = 0; i < x.size(); ++i) {
      if (x[i] >= threshold) values[i] = 1.0f;
    }
    return values;
  });
}

Result<Constant> BinarizeToBits(std::span<const float> x, const Shape& shape,
                                float threshold, DataType encoding) {
  return AtBorder([&]() -> Result<Constant> {
    if (Status s = CheckBinarize(x, threshold, encoding); !s.ok()) return s;
    if (Status s = CheckShape(shape, x.size(), 1); !s.ok()) return s;
    const int64_t columns = shape.back();
    const int64_t rows = static_cast<int64_t>(x.size()) / columns;
    std::vector<uint64_t> words(static_cast<size_t>(rows * WordsFor(columns)));
    for (size_t i = 0; i < x.size(); ++i) {
      if (x[i] >= threshold) {
        const BitPosition position(static_cast<int64_t>(i), columns);
        words[position.word] |= position.mask;
      }
    }
    return MakeBits(encoding, shape, std::move(words));
  });
}

Result<std::vector<float>> Unpack(const Constant& bits) {
  return AtBorder([&]() -> Result<std::vector<float>> {
    if (Status s = CheckEncoding(bits.type()); !s.ok()) return s;
    if (Status s = CheckConstant("the constant", bits); !s.ok()) return s;
    const std::span<const uint64_t> words = bits.words();
    auto count = ElementCount(bits.shape());
    if (!count.ok()) return OfArgument(count.status());
    std::vector<float> values(static_cast<size_t>(*count),
                              SmallerValue(bits.type()));
    for (size_t i = 0; i < values.size(); ++i) {
      const BitPosition position(static_cast<int64_t>(i), bits.shape().back());
      if (words[position.word] & position.mask) values[i] = 1.0f;
    }
    return values;
  });
}

Result<std::vector<float>> ScaleAndShift(std::span<const float> o_b,
                                         float alpha, float beta) {
  return AtBorder([&]() -> Result<std::vector<float>> {
    if (Status s = CheckFinite(o_b); !s.ok()) return s;
    if (!std::isfinite(alpha)) return InvalidArgument("alpha is not finite");
    if (!std::isfinite(beta)) return InvalidArgument("beta is not finite");
    std::vector<float> values;
    values.reserve(o_b.size());
    for (float value : o_b) values.push_back(alpha * value + beta);
    return values;
  });
}

Result<Error> MeasureError(std::span<const float> x,
                           std::span<const float> quantized) {
  return AtBorder([&]() -> Result<Error> {
    if (x.size() != quantized.size()) {
      return InvalidArgument(std::to_string(x.size()) + " values, but " +
                             std::to_string(quantized.size()) + " quantized");
    }
    if (Status s = CheckFinite(x); !s.ok()) return s;
    if (Status s = CheckFinite(quantized); !s.ok()) return s;
    double sum = 0, magnitude = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      sum += std::abs(static_cast<double>(x[i]) - quantized[i]);
      magnitude += std::abs(static_cast<double>(x[i]));
    }
    Error error{.sum = sum,
                .mean = sum / static_cast<double>(x.size()),
                .relative = sum / magnitude};
    if (magnitude == 0) {
      error.relative = sum == 0 ? 0 : std::numeric_limits<double>::infinity();
    }
    return error;
  });
}

}  // namespace bqengine::quantize
