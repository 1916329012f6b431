// Pictures at another size.
#ifndef BQENGINE_TOOLS_COMMON_RESIZE_H_
#define BQENGINE_TOOLS_COMMON_RESIZE_H_

#include <cstdint>

#include "bqengine/status.h"
#include "common/pixels.h"

namespace bqengine::tools {

// All pictures stretched to another size, each pixel as Pillow's
// Image.resize((width, height), Image.BILINEAR) makes it, which torchvision's
// Resize is for a PIL image: bilinear, over a wider neighbourhood where a side
// shrinks. The ratio of the sides is not kept and nothing is cut off.
// kOutOfMemory, or kInvalidArgument for a size below 1 or above 65535.
Result<PixelBatch> ResizePictures(const PixelBatch& from, int64_t height,
                                  int64_t width);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_RESIZE_H_
