// Pictures in memory: what the readers of this folder produce.
#ifndef BQENGINE_TOOLS_COMMON_PIXELS_H_
#define BQENGINE_TOOLS_COMMON_PIXELS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bqengine::tools {

// `count` pictures of one size: [count, height, width, channels], dense.
// Channels are gray (1) or red, green, blue (3).
struct PixelBatch {
  int64_t count = 0;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  std::vector<uint8_t> pixels;

  size_t item_size() const {
    return static_cast<size_t>(height * width * channels);
  }
  std::span<const uint8_t> item(int64_t i) const {
    return std::span(pixels).subspan(static_cast<size_t>(i) * item_size(),
                                     item_size());
  }
};

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_PIXELS_H_
