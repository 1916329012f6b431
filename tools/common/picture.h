// PNG and JPEG files, by stb_image.
#ifndef BQENGINE_TOOLS_COMMON_PICTURE_H_
#define BQENGINE_TOOLS_COMMON_PICTURE_H_

#include <cstdint>
#include <span>
#include <string>

#include "bqengine/status.h"
#include "common/pixels.h"

namespace bqengine::tools {

// A PNG or JPEG file as one picture of `channels` channels: 1 (gray,
// luminance), 3 (RGB), or 0 for that of the two which the file holds.
// Transparency is ignored. kNotFound, kIo, or kInvalidArgument naming the file:
// no picture, damaged, more than 64 million pixels.
Result<PixelBatch> ReadPicture(const std::string& path, int64_t channels);

// The same from memory; `name` stands for the path in errors.
Result<PixelBatch> DecodePicture(const std::string& name,
                                 std::span<const uint8_t> bytes,
                                 int64_t channels);

// All pictures at another size: bilinear, averaging when they shrink.
// kOutOfMemory, or kInvalidArgument for a size below 1 or above 65535.
Result<PixelBatch> ResizePictures(const PixelBatch& from, int64_t height,
                                  int64_t width);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_PICTURE_H_
