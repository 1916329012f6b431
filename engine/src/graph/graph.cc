#include "bqengine/graph.h"

#include <cassert>
#include <limits>
#include <new>
#include <utility>

#include "border.h"
#include "graph/make_constant.h"
#include "graph/packed.h"

namespace bqengine {
namespace {

Status InvalidModel(std::string message) {
  return Status(StatusCode::kInvalidModel, std::move(message));
}

// Multiplies `*count` by a dimension, which may be the batch.
Status Multiply(int64_t dim, int64_t batch, int64_t* count) {
  if (dim == kBatch) dim = batch;
  if (dim < 1) {
    return InvalidModel("a dimension of " + std::to_string(dim) +
                        " is less than 1");
  }
  if (__builtin_mul_overflow(*count, dim, count)) {
    return InvalidModel("the shape has more than 2^63 elements or bytes");
  }
  return Status();
}

// Part of every run, so it copies no shape.
Result<int64_t> CountBytes(const TensorInfo& info, int64_t batch) {
  const Shape& shape = info.shape;
  const bool packed = IsBits(info.type);
  if (packed && shape.empty()) {
    return InvalidModel("a packed tensor has no dimension");
  }
  int64_t bytes = packed                 ? sizeof(uint64_t)
                  : IsInteger(info.type) ? sizeof(uint8_t)
                                         : sizeof(float);
  for (size_t i = 0; i < shape.size(); ++i) {
    int64_t dim = shape[i] == kBatch ? batch : shape[i];
    if (packed && i + 1 == shape.size() && dim > 0) {
      dim = WordsFor(dim);
    }
    if (Status s = Multiply(dim, batch, &bytes); !s.ok()) return s;
  }
  return bytes;
}

// Inside the library, want of memory is an exception.
Constant OrThrow(Constant constant) {
  if (constant.lost()) throw std::bad_alloc();
  return constant;
}

}  // namespace

const char* DataTypeName(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return "float32";
    case DataType::kBipolar:
      return "bipolar";
    case DataType::kUnipolar:
      return "unipolar";
    case DataType::kInt8:
      return "int8";
    case DataType::kUint8:
      return "uint8";
  }
  return "unknown";
}

Result<int64_t> ElementCount(const Shape& shape, int64_t batch) {
  return AtBorder([&]() -> Result<int64_t> {
    int64_t count = 1;
    for (int64_t dim : shape) {
      if (Status s = Multiply(dim, batch, &count); !s.ok()) return s;
    }
    return count;
  });
}

Result<int64_t> ByteCount(const TensorInfo& info, int64_t batch) {
  return AtBorder([&] { return CountBytes(info, batch); });
}

Constant Constant::Declare(TensorInfo info) {
  Constant constant;
  constant.info_ = std::move(info);
  return constant;
}

template <typename T>
Constant Constant::Own(TensorInfo info, std::vector<T> values) {
  Constant constant = Declare(std::move(info));
  try {
    const auto owner =
        std::make_shared<const std::vector<T>>(std::move(values));
    constant.data_ = owner->data();
    constant.bytes_ = owner->size() * sizeof(T);
    constant.owner_ = owner;
  } catch (const std::bad_alloc&) {
    constant.lost_ = true;
  }
  return constant;
}

Constant Constant::Floats(Shape shape, std::vector<float> values) {
  return Own({DataType::kFloat32, std::move(shape)}, std::move(values));
}

Constant Constant::Bits(DataType type, Shape shape,
                        std::vector<uint64_t> words) {
  assert(IsBits(type));
  return Own({type, std::move(shape)}, std::move(words));
}

Constant MakeFloats(Shape shape, std::vector<float> values) {
  return OrThrow(Constant::Floats(std::move(shape), std::move(values)));
}

Constant MakeBits(DataType type, Shape shape, std::vector<uint64_t> words) {
  return OrThrow(Constant::Bits(type, std::move(shape), std::move(words)));
}

Constant Constant::View(TensorInfo info, const void* data, size_t bytes,
                        std::shared_ptr<const void> owner) {
  Constant constant;
  constant.info_ = std::move(info);
  constant.data_ = data;
  constant.bytes_ = bytes;
  constant.owner_ = std::move(owner);
  return constant;
}

std::span<const float> Constant::floats() const {
  if (data_ == nullptr || type() != DataType::kFloat32) return {};
  return {static_cast<const float*>(data_), bytes_ / sizeof(float)};
}

std::span<const uint64_t> Constant::words() const {
  if (data_ == nullptr || !IsBits(type())) return {};
  return {static_cast<const uint64_t*>(data_), bytes_ / sizeof(uint64_t)};
}

}  // namespace bqengine
