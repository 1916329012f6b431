#include "common/picture.h"

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>

#include "common/file.h"

namespace bqengine::tools {
namespace {

// 64 million pixels of four channels of 16 bits take half of this. What wants
// more is a chunk that lies about its length, or compressed to an extreme.
constexpr size_t kMaxStbBytes = size_t{1} << 30;

// Cleared: a JPEG file may use tables that it does not define.
void* StbAllocate(size_t bytes) {
  return bytes > kMaxStbBytes ? nullptr : std::calloc(1, bytes);
}

void* StbReallocate(void* memory, size_t bytes) {
  return bytes > kMaxStbBytes ? nullptr : std::realloc(memory, bytes);
}

}  // namespace
}  // namespace bqengine::tools

// Only the two formats that are needed: the others are where most of stb's
// reported defects are.
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_MALLOC(bytes) bqengine::tools::StbAllocate(bytes)
#define STBI_REALLOC(memory, bytes) \
  bqengine::tools::StbReallocate(memory, bytes)
#define STBI_FREE(memory) std::free(memory)
#include <stb/stb_image.h>

namespace bqengine::tools {

namespace {

// A Huffman table of a JPEG file has at most 256 symbols. stb_image before 2.28
// (Debian 12 has 2.27) does not check that, and writes behind its tables
// (github.com/nothings/stb/issues/1289). Tables follow the marker FF C4; it is
// looked for everywhere, so that nothing depends on finding the same segments
// as stb does. Bytes behind the end count as 0, as there.
bool HuffmanTablesFit(std::span<const uint8_t> bytes) {
  const auto at = [bytes](size_t i) -> int {
    return i < bytes.size() ? bytes[i] : 0;
  };
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    if (bytes[i] != 0xff || bytes[i + 1] != 0xc4) continue;
    int left = at(i + 2) * 256 + at(i + 3) - 2;
    for (size_t table = i + 4; left > 0;) {
      const bool is_table = at(table) >> 4 <= 1 && (at(table) & 15) <= 3;
      if (!is_table) break;  // stb stops here, too
      int symbols = 0;
      for (size_t k = 1; k <= 16; ++k) symbols += at(table + k);
      if (symbols > 256) return false;
      table += 17 + static_cast<size_t>(symbols);
      left -= 17 + symbols;
    }
  }
  return true;
}

// Luminance with the weights and the rounding of Pillow's convert("L").
std::vector<uint8_t> ToGray(std::span<const uint8_t> rgb) {
  std::vector<uint8_t> gray;
  gray.reserve(rgb.size() / 3);
  for (size_t i = 0; i + 2 < rgb.size(); i += 3) {
    gray.push_back(static_cast<uint8_t>(
        (rgb[i] * 19595 + rgb[i + 1] * 38470 + rgb[i + 2] * 7471 + 32768) >>
        16));
  }
  return gray;
}

}  // namespace

Result<PixelBatch> ReadPicture(const std::string& path, int64_t channels) {
  constexpr uint64_t kMaxBytes = uint64_t{256} << 20;
  const Result<std::vector<uint8_t>> bytes = ReadFile(path, kMaxBytes);
  if (!bytes.ok()) return bytes.status();
  return DecodePicture(path, *bytes, channels);
}

Result<PixelBatch> DecodePicture(const std::string& name,
                                 std::span<const uint8_t> bytes,
                                 int64_t channels) {
  constexpr int64_t kMaxPixels = int64_t{64} << 20;
  const auto broken = [&name](const std::string& what) {
    return FileError(StatusCode::kInvalidArgument, name, what);
  };
  if (bytes.empty()) return broken("is empty");
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    return broken("is too large");
  }
  const bool is_jpeg = bytes[0] == 0xff;
  if (is_jpeg && !HuffmanTablesFit(bytes)) {
    return broken("picture is damaged (bad Huffman table)");
  }
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, stored_channels = 0;
  if (!stbi_info_from_memory(bytes.data(), size, &width, &height,
                             &stored_channels)) {
    return broken("is not a PNG or JPEG picture, or is damaged");
  }
  // A few bytes can declare a picture that fills the memory.
  if (int64_t{width} * height > kMaxPixels) {
    return broken("picture of " + std::to_string(width) + "x" +
                  std::to_string(height) + " is too large");
  }
  const bool is_color = stored_channels >= 3;
  if (channels == 0) channels = is_color ? 3 : 1;
  const bool to_gray = channels == 1 && is_color;
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> decoded(
      stbi_load_from_memory(bytes.data(), size, &width, &height,
                            &stored_channels,
                            to_gray ? 3 : static_cast<int>(channels)),
      &stbi_image_free);
  if (!decoded) {
    const char* reason = stbi_failure_reason();
    return broken(std::string("picture is damaged (") +
                  (reason ? reason : "unknown reason") + ")");
  }
  PixelBatch batch{1, height, width, channels, {}};
  if (to_gray) {
    batch.pixels = ToGray({decoded.get(), batch.item_size() * 3});
  } else {
    batch.pixels.assign(decoded.get(), decoded.get() + batch.item_size());
  }
  return batch;
}

}  // namespace bqengine::tools
