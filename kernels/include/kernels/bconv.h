// Binary convolution: gathers the packed taps of a few output pixels into rows
// (im2col of bits, of a tile and not of the image) and multiplies them with
// kernels/bgemm.h. A 1x1 convolution that skips no pixel reads the image
// itself, and so does a matrix product, which is one: its rows are images of
// one pixel.
//
// Padding. Padded taps are filled with bits: 0 for the smaller value, 1 for +1.
// For bipolar activations padded with 0, they are filled with -1, and what they
// add, minus the sum of their weights, is taken out of the accumulator's
// offset. Which taps are padded depends only on where the pixel is: the rows of
// an image fall into a few classes (in a 3x3 convolution: top, inside, bottom),
// so do the columns, and each pair of classes has its offsets. The kernel adds
// an offset anyway, so this costs nothing, at the border or inside.
//
// Groups whose channels are no whole words are cut out of them bit by bit.
#ifndef KERNELS_BCONV_H_
#define KERNELS_BCONV_H_

#include <cstdint>

#include "kernels/bgemm.h"
#include "kernels/epilogue.h"
#include "kernels/shapes.h"

namespace bqengine::kernels {

// Kernel positions [begin, end) that fall inside of the image.
struct TapSpan {
  int32_t begin, end;
};

// A convolution, ready to run. Pointers are into the memory given to
// MakeBconvPlan.
struct BconvPlan {
  ConvShape shape;  // window.batch is only a guess
  bool gathers;
  bool pad_ones;            // padded taps are filled with 1, else with 0
  int64_t tap_bytes;        // of a gathered row
  int64_t row_bytes;        // gathered, or from pixel to pixel of the image
  const BgemmPlan* groups;  // [shape.groups]

  // Only if it gathers. For each row and column of the output: which taps are
  // inside, and (null: 0) the first class of its row, its column's class.
  const TapSpan* row_taps;
  const TapSpan* column_taps;
  const int32_t* row_class;
  const int32_t* column_class;
};

struct BconvSpec {
  ConvShape shape;
  BinaryFormat format;
  Epilogue epilogue;
  bool bits_out;
};

// K = kernel_h * kernel_w * in_channels / groups must be below this.
inline constexpr int64_t kMaxAccumulator = int64_t{1} << 30;

// Memory for a plan, to be aligned to 64 bytes.
uint64_t BconvPlanBytes(const BgemmKernels& kernels, const BconvSpec& spec);

// weight: [M, O, kernel_h, kernel_w, WordsFor(C / groups)], not used
// afterwards.
BconvPlan MakeBconvPlan(const BgemmKernels& kernels, const BconvSpec& spec,
                        const uint64_t* weight, void* memory);

// A rectangle of the output: pixels, counted through the batch, and channels.
struct BconvPart {
  int64_t first_pixel, pixels;
  // `first_channel` is a multiple of 64; so is `channels`, unless the part
  // reaches to the last one. With groups: all channels.
  int64_t first_channel, channels;
};

// Pixels of a part that keep its gathered rows in L1 beside the weights.
int64_t BconvPartPixels(const BgemmKernels& kernels, const BconvPlan& plan);

// Memory for RunBconv, to be aligned to 64 bytes.
uint64_t BconvScratchBytes(const BconvPlan& plan, int64_t pixels);

// inputs: [N], whole packed tensors. One of `y` and `y_bits`, the whole output,
// is not null.
void RunBconv(const BgemmKernels& kernels, const BconvPlan& plan,
              const BconvPart& part, const uint64_t* const* inputs, float* y,
              uint64_t* y_bits, void* scratch);

}  // namespace bqengine::kernels

#endif  // KERNELS_BCONV_H_
