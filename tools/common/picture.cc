#include "common/picture.h"

#include <cstdint>
#include <memory>

#include "common/file.h"

// Only the two formats that are needed: the others are where most of stb's
// reported defects are.
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#include <stb/stb_image.h>

#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#include <stb/stb_image_resize.h>

namespace bqengine::tools {

Result<PixelBatch> ReadPicture(const std::string& path, int64_t channels) {
  constexpr uint64_t kMaxBytes = uint64_t{256} << 20;
  constexpr int64_t kMaxPixels = int64_t{64} << 20;

  const Result<std::vector<uint8_t>> bytes = ReadFile(path, kMaxBytes);
  if (!bytes.ok()) return bytes.status();
  const auto broken = [&path](const std::string& what) {
    return FileError(StatusCode::kInvalidArgument, path, what);
  };
  if (bytes->empty()) return broken("is empty");

  const int size = static_cast<int>(bytes->size());
  int width = 0, height = 0, stored_channels = 0;
  if (!stbi_info_from_memory(bytes->data(), size, &width, &height,
                             &stored_channels)) {
    return broken("is not a PNG or JPEG picture, or is damaged");
  }
  // A few bytes can declare a picture that fills the memory.
  if (int64_t{width} * height > kMaxPixels) {
    return broken("picture of " + std::to_string(width) + "x" +
                  std::to_string(height) + " is too large");
  }
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> decoded(
      stbi_load_from_memory(bytes->data(), size, &width, &height,
                            &stored_channels, static_cast<int>(channels)),
      &stbi_image_free);
  if (!decoded) {
    const char* reason = stbi_failure_reason();
    return broken(std::string("picture is damaged (") +
                  (reason ? reason : "unknown reason") + ")");
  }
  PixelBatch batch{1, height, width, channels, {}};
  batch.pixels.assign(decoded.get(), decoded.get() + batch.item_size());
  return batch;
}

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
  PixelBatch to{from.count, height, width, from.channels, {}};
  to.pixels.resize(static_cast<size_t>(to.count) * to.item_size());
  for (int64_t i = 0; i < from.count; ++i) {
    // The triangle filter is what torchvision and Pillow call bilinear.
    if (!stbir_resize_uint8_generic(
            from.item(i).data(), static_cast<int>(from.width),
            static_cast<int>(from.height), 0,
            to.pixels.data() + static_cast<size_t>(i) * to.item_size(),
            static_cast<int>(width), static_cast<int>(height), 0,
            static_cast<int>(from.channels), STBIR_ALPHA_CHANNEL_NONE, 0,
            STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR,
            nullptr)) {
      return Status(StatusCode::kOutOfMemory, "no memory to resize a picture");
    }
  }
  return to;
}

}  // namespace bqengine::tools
