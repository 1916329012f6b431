// Binary convolution: rows of kernels/bgemm.h that lie in the packed image. A
// row begins at an output pixel's window; its runs are the window's lines, the
// same for all pixels that have the same taps inside of the image. Nothing is
// copied, and a matrix product is a convolution, too: its rows are images of
// one pixel.
//
// Padding. Taps on padding have no run: they take no time. What they add to the
// dot product, 0 or plus or minus the sum of their weights, is in the offset
// where the accumulator begins. Which taps are padded depends only on where the
// pixel is: the rows of the output fall into a few classes (in a 3x3
// convolution: top, inside, bottom), so do the columns, and a pair of classes
// is a rectangle of pixels with equal taps and offsets. Pixels are computed in
// the order of these rectangles, so that tiles do not mix them.
//
// Only groups whose channels do not begin or end with a step of 32 bits are
// copied: their taps are cut out, bit by bit, a part of the output at a time.
#ifndef KERNELS_BCONV_H_
#define KERNELS_BCONV_H_

#include <cstdint>

#include "kernels/bgemm.h"
#include "kernels/epilogue.h"
#include "kernels/shapes.h"

namespace bqengine::kernels {

// Output positions [begin, end) on one axis that have the same taps inside.
struct PositionClass {
  int64_t begin, end;
  TapSpan taps;
};

// A convolution, ready to run. Pointers are into the memory given to
// MakeBconvPlan.
struct BconvPlan {
  ConvShape shape;  // window.batch is only a guess
  bool cuts;        // taps are cut out
  int64_t tap_bytes;
  bool joins_taps;          // of a line of the window: they are one run
  const BgemmPlan* groups;  // [shape.groups]
  int64_t row_classes, column_classes;
  const PositionClass* rows;
  const PositionClass* columns;
};

struct BconvSpec {
  ConvShape shape;
  BinaryFormat format;
  Epilogue epilogue;
  bool bits_out;
  bool floats_too = false;  // beside the bits
};

// Memory for a plan, to be aligned to 64 bytes.
uint64_t BconvPlanBytes(const BgemmKernels& kernels, const BconvSpec& spec);

// weight: [M, O, kernel_h, kernel_w, WordsFor(C / groups)], not used
// afterwards.
BconvPlan MakeBconvPlan(const BgemmKernels& kernels, const BconvSpec& spec,
                        const uint64_t* weight, void* memory);

// A part of the output: pixels, in an order that is the plan's own (images
// follow each other), and channels.
struct BconvPart {
  int64_t first_pixel, pixels;
  // `first_channel` is a multiple of 64; so is `channels`, unless the part
  // reaches to the last one. With groups: all channels.
  int64_t first_channel, channels;
};

// Pixels of a part that keep its rows in L1 beside the weights.
int64_t BconvPartPixels(const BgemmKernels& kernels, const BconvPlan& plan);

// Memory for RunBconv, to be aligned to 64 bytes.
uint64_t BconvScratchBytes(const BconvPlan& plan, int64_t pixels);

// inputs: [N], whole packed tensors; so are those of the output, of which there
// are those that the plan was made for.
void RunBconv(const BgemmKernels& kernels, const BconvPlan& plan,
              const BconvPart& part, const uint64_t* const* inputs,
              const BinaryOutput& output, void* scratch);

}  // namespace bqengine::kernels

#endif  // KERNELS_BCONV_H_
