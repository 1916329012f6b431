#include "common/resize.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "common/memory.h"

// The arithmetic is Pillow's (its src/libImaging/Resample.c), so that a network
// meets the pixels that it was trained on: weights in double, rounded to fixed
// point; first along rows, then along columns, with 8 bits in between.
namespace bqengine::tools {
namespace {

// A weight is at most 1 and a pixel 8 bits, so a sum fits into 31.
constexpr int kFractionBits = 22;
constexpr int32_t kHalf = 1 << (kFractionBits - 1);

// What one pixel of a side is made of: a weighted sum of neighbouring ones.
struct Window {
  int64_t first;
  std::vector<int32_t> weights;
};

// The window of each of `to` pixels over `from`. A triangle, one pixel wide to
// each side on the coarser grid of the two; cut at the border, and what is left
// of it has sum 1.
std::vector<Window> Windows(int64_t from, int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double support = std::max(scale, 1.0);
  const double inverse = 1.0 / support;
  std::vector<Window> windows(static_cast<size_t>(to));
  std::vector<double> exact;
  for (int64_t i = 0; i < to; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto first =
        std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const auto end =
        std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), from);
    exact.clear();
    double sum = 0;
    for (int64_t k = 0; k < end - first; ++k) {
      const double distance =
          std::abs((static_cast<double>(k + first) - center + 0.5) * inverse);
      exact.push_back(distance < 1 ? 1 - distance : 0);
      sum += exact.back();
    }
    Window& window = windows[static_cast<size_t>(i)];
    window.first = first;
    for (const double weight : exact) {
      window.weights.push_back(
          static_cast<int32_t>(0.5 + weight / sum * (1 << kFractionBits)));
    }
  }
  return windows;
}

// The sum over a window whose pixels are `stride` values apart. (Weights are
// rounded one by one: of many, the sum may pass 1.)
uint8_t Sum(const Window& window, const uint8_t* first, size_t stride) {
  int32_t sum = kHalf;
  for (const int32_t weight : window.weights) {
    sum += weight * *first;
    first += stride;
  }
  return static_cast<uint8_t>(std::min(sum >> kFractionBits, 255));
}

// Rows of `values` values become as many of `windows` pixels each.
void ResizeRows(const uint8_t* from, size_t rows, size_t values,
                size_t channels, const std::vector<Window>& windows,
                uint8_t* to) {
  for (size_t row = 0; row < rows; ++row, from += values) {
    for (const Window& window : windows) {
      const uint8_t* first =
          from + static_cast<size_t>(window.first) * channels;
      for (size_t c = 0; c < channels; ++c) {
        *to++ = Sum(window, first + c, channels);
      }
    }
  }
}

// Rows of `values` values are combined to as many rows as there are windows.
void ResizeColumns(const uint8_t* from, size_t values,
                   const std::vector<Window>& windows, uint8_t* to) {
  for (const Window& window : windows) {
    const uint8_t* first = from + static_cast<size_t>(window.first) * values;
    for (size_t i = 0; i < values; ++i) *to++ = Sum(window, first + i, values);
  }
}

}  // namespace

Result<PixelBatch> ResizePictures(const PixelBatch& from, int64_t height,
                                  int64_t width) {
  constexpr int64_t kMaxSide = 65535;
  if (height < 1 || width < 1 || height > kMaxSide || width > kMaxSide ||
      from.height > kMaxSide || from.width > kMaxSide) {
    return Status(StatusCode::kInvalidArgument,
                  "cannot resize a picture of " + std::to_string(from.width) +
                      "x" + std::to_string(from.height) + " to " +
                      std::to_string(width) + "x" + std::to_string(height));
  }
  const std::string what = "resized pictures";
  PixelBatch to{from.count, height, width, from.channels, {}};
  Result<std::vector<uint8_t>> pixels = MakeVector<uint8_t>(
      to.count * static_cast<int64_t>(to.item_size()), what);
  if (!pixels.ok()) return pixels.status();
  to.pixels = *std::move(pixels);
  Result<std::vector<uint8_t>> narrow =
      MakeVector<uint8_t>(from.height * width * from.channels, what);
  if (!narrow.ok()) return narrow.status();

  // A window of one side that stays is one pixel: it changes nothing.
  const std::vector<Window> columns = Windows(from.width, width);
  const std::vector<Window> rows = Windows(from.height, height);
  const auto channels = static_cast<size_t>(from.channels);
  for (int64_t i = 0; i < from.count; ++i) {
    ResizeRows(from.item(i).data(), static_cast<size_t>(from.height),
               static_cast<size_t>(from.width) * channels, channels, columns,
               narrow->data());
    ResizeColumns(narrow->data(), static_cast<size_t>(width) * channels, rows,
                  to.pixels.data() + static_cast<size_t>(i) * to.item_size());
  }
  return to;
}

}  // namespace bqengine::tools
