#include "bqengine/preprocess.h"

#include <algorithm>
#include <string>

#include "border.h"

namespace bqengine {
namespace {

Status WrongSize(const char* what, size_t got, size_t other, int64_t item) {
  return Status(StatusCode::kInvalidArgument,
                std::string(what) + ": buffers of " + std::to_string(got) +
                    " and " + std::to_string(other) +
                    " elements, expected two of one size, a multiple of " +
                    std::to_string(item));
}

bool HoldsWholeItems(size_t a, size_t b, int64_t item) {
  return a == b && a > 0 && a % static_cast<uint64_t>(item) == 0;
}

// One item seen as a matrix of positions × channels. Rank 1 and 2 have one
// position: there is nothing to reorder.
struct ItemShape {
  size_t elements;
  size_t channels;
};

Result<ItemShape> DescribeItem(const Shape& channels_last) {
  const Result<int64_t> elements = ElementCount(channels_last, 1);
  if (!elements.ok()) return elements.status();
  const size_t rank = channels_last.size();
  return ItemShape{
      static_cast<size_t>(*elements),
      static_cast<size_t>(rank >= 3 ? channels_last[rank - 1] : *elements)};
}

// [rows][columns] to [columns][rows], for each of the matrices in `in`.
void TransposeAll(std::span<const float> in, size_t rows, size_t columns,
                  float* out) {
  const size_t elements = rows * columns;
  for (size_t begin = 0; begin < in.size(); begin += elements) {
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < columns; ++c) {
        out[begin + c * rows + r] = in[begin + r * columns + c];
      }
    }
  }
}

}  // namespace

Status PixelsToInput(const GraphInput& input, std::span<const uint8_t> pixels,
                     std::span<float> out) {
  return AtBorder([&]() -> Status {
    if (input.info.type != DataType::kFloat32) {
      return Status(StatusCode::kInvalidArgument,
                    "input '" + input.name + "' takes " +
                        DataTypeName(input.info.type) + ", not pixels");
    }
    const Result<int64_t> item = ElementCount(input.info.shape, 1);
    if (!item.ok()) return item.status();
    if (!HoldsWholeItems(pixels.size(), out.size(), *item)) {
      return WrongSize("PixelsToInput", pixels.size(), out.size(), *item);
    }

    const Preprocess& by = input.preprocess;
    const size_t channels = input.info.shape.size() >= 2
                                ? static_cast<size_t>(input.info.shape.back())
                                : 1;
    for (const std::vector<float>* values : {&by.mean, &by.std}) {
      if (values->size() != 1 && values->size() != channels) {
        return Status(StatusCode::kInvalidArgument,
                      "input '" + input.name + "': preprocessing has " +
                          std::to_string(values->size()) +
                          " values of mean or std for " +
                          std::to_string(channels) + " channels");
      }
    }

    if (by.mean.size() == 1 && by.std.size() == 1) {
      const float mean = by.mean[0], std = by.std[0];
      for (size_t i = 0; i < pixels.size(); ++i) {
        out[i] = (static_cast<float>(pixels[i]) * by.scale - mean) / std;
      }
      return Status();
    }
    const size_t mean_step = by.mean.size() == 1 ? 0 : 1;
    const size_t std_step = by.std.size() == 1 ? 0 : 1;
    for (size_t begin = 0; begin < pixels.size(); begin += channels) {
      for (size_t c = 0; c < channels; ++c) {
        out[begin + c] = (static_cast<float>(pixels[begin + c]) * by.scale -
                          by.mean[c * mean_step]) /
                         by.std[c * std_step];
      }
    }
    return Status();
  });
}

Result<Shape> ShapeInLayout(const Shape& channels_last, Layout layout) {
  return AtBorder([&]() -> Result<Shape> {
    Shape shape = channels_last;
    if (layout == Layout::kNCHW && shape.size() >= 3) {
      std::rotate(shape.begin() + 1, shape.end() - 1, shape.end());
    }
    return shape;
  });
}

Status ToChannelsLast(const Shape& channels_last, Layout layout,
                      std::span<const float> in, std::span<float> out) {
  return AtBorder([&]() -> Status {
    const Result<ItemShape> item = DescribeItem(channels_last);
    if (!item.ok()) return item.status();
    if (!HoldsWholeItems(in.size(), out.size(), item->elements)) {
      return WrongSize("ToChannelsLast", in.size(), out.size(), item->elements);
    }
    if (layout == Layout::kNHWC) {
      std::copy(in.begin(), in.end(), out.begin());
    } else {
      TransposeAll(in, item->channels, item->elements / item->channels,
                   out.data());
    }
    return Status();
  });
}

Status FromChannelsLast(const Shape& channels_last, Layout layout,
                        std::span<const float> in, std::span<float> out) {
  return AtBorder([&]() -> Status {
    const Result<ItemShape> item = DescribeItem(channels_last);
    if (!item.ok()) return item.status();
    if (!HoldsWholeItems(in.size(), out.size(), item->elements)) {
      return WrongSize("FromChannelsLast", in.size(), out.size(),
                       item->elements);
    }
    if (layout == Layout::kNHWC) {
      std::copy(in.begin(), in.end(), out.begin());
    } else {
      TransposeAll(in, item->elements / item->channels, item->channels,
                   out.data());
    }
    return Status();
  });
}

}  // namespace bqengine
