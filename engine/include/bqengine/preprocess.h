// Between what files and cameras hold and what a session takes: pixels to float
// inputs, and channels-first (NCHW) to channels-last (NHWC) buffers and back.
// Pure functions; safe from any thread and in any floating-point mode, which
// stays. Those that fill buffers allocate nothing unless they fail.
#ifndef BQENGINE_PREPROCESS_H_
#define BQENGINE_PREPROCESS_H_

#include <cstdint>
#include <span>

#include "bqengine/export.h"
#include "bqengine/graph.h"
#include "bqengine/status.h"

namespace bqengine {

// Pixels to the model's input by its own preprocessing, in float arithmetic
// with each operation rounded by itself:
//
//   out[i] = (float(pixels[i]) * scale - mean[c]) / std[c]
//
// with c = i modulo the size of the innermost dimension of `input`. A mean or
// std of one entry serves all channels. Both buffers are channels-last and
// dense, and hold one or more whole items of the batch: the same number of
// elements, a multiple of those of one item.
//
// kInvalidArgument if the sizes do not fit, if mean or std has neither one
// entry nor one per channel, or if the input is not float32.
BQENGINE_API Status PixelsToInput(const GraphInput& input,
                                  std::span<const uint8_t> pixels,
                                  std::span<float> out);

// The shape a tensor has in a file of the given layout: [N, H, W, C] becomes
// [N, C, H, W] for kNCHW; in general the innermost dimension moves to position
// 1. Shapes of fewer than three dimensions, and all of kNHWC, stay as they are.
BQENGINE_API Result<Shape> ShapeInLayout(const Shape& channels_last,
                                         Layout layout);

// Copies `in`, stored in `layout`, into `out`, which is channels-last; and
// back. `channels_last` is the tensor's shape in the model ([kBatch, H, W, C]);
// the batch follows from the sizes. The buffers hold the same number of
// elements, a multiple of those of one item, and do not overlap.
//
// kInvalidArgument if the sizes do not fit.
BQENGINE_API Status ToChannelsLast(const Shape& channels_last, Layout layout,
                                   std::span<const float> in,
                                   std::span<float> out);
BQENGINE_API Status FromChannelsLast(const Shape& channels_last, Layout layout,
                                     std::span<const float> in,
                                     std::span<float> out);

}  // namespace bqengine

#endif  // BQENGINE_PREPROCESS_H_
