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
// luminance), 3 (RGB), or 0 for that of the two which the file holds. As
// Pillow's convert("L") and convert("RGB"): transparency is dropped, a palette
// becomes its colors; an orientation, gamma or color profile that the file
// mentions is not applied. Of 16 bits the upper 8 remain. PNG pixels are
// Pillow's own, those of JPEG files differ by its decoder's rounding.
// kNotFound, kIo, or kInvalidArgument naming the file:
// no picture, damaged, more than 64 million pixels.
Result<PixelBatch> ReadPicture(const std::string& path, int64_t channels);

// The same from memory; `name` stands for the path in errors.
Result<PixelBatch> DecodePicture(const std::string& name,
                                 std::span<const uint8_t> bytes,
                                 int64_t channels);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_PICTURE_H_
