// Binary convolution with groups of few channels, depthwise ones above all,
// bit by bit: bit o of a word belongs to output channel o, and the K terms of
// an output are K words, added with carry-save adders.
//
// kernels/bgemm.h spends 32 bits of K and a vector of channels on each step,
// which groups leave almost empty. Here a vector has a channel in each of its
// bits whatever the size of a group:
//
//   1. Activation planes. An output channel reads the C / groups channels of
//      its group, so a pixel becomes that many planes of a bit for each output
//      channel. In plane i, bit o is channel i of the group of o. Of a
//      depthwise convolution, the pixel is its own only plane.
//
//        pixel, C = 8, groups of 4 channels in and out:   a b c d e f g h
//        planes 0..3:   a a a a e e e e     b b b b f f f f
//                       c c c c g g g g     d d d d h h h h
//
//      Planes are made of a row of the image, once for all rows of the output
//      that read it, padding included.
//   2. Counting. Term by term, plane XOR weights (or AND: the table at the head
//      of kernels/bgemm.h) goes through full adders, and bit p
//      of each channel's count ends up in count plane p. The pixels of a row
//      follow each other, so vectors are full, too, if a pixel is shorter than
//      a vector.
//   3. Output. To packed bits, count planes are compared with planes of
//      thresholds. To floats, planes are transposed to a byte for each channel.
//
// Padding: padded taps are filled with bits. Where they are to contribute
// nothing and a bit cannot say so (bipolar activations padded with 0), what
// they add is taken out of the offset or threshold, of which there is one for
// each class of pixels with the same padded taps, as in kernels/bconv.h.
#ifndef KERNELS_BGROUPED_H_
#define KERNELS_BGROUPED_H_

#include <cstdint>

#include "kernels/bconv.h"
#include "kernels/shapes.h"
#include "kernels/targets.h"

namespace bqengine::kernels {

// Pointers are into the memory given to MakeBgroupedPlan.
struct BgroupedPlan {
  ConvShape shape;  // window.batch is only a guess
  bool use_and;     // else XOR
  bool pad_ones;    // padded taps are filled with 1, else with 0
  bool bits_out;

  int64_t planes;       // activation planes: C / groups
  int64_t steps;        // K = kernel_h * kernel_w * planes
  int64_t pixel_words;  // of a plane's pixel; the last ones may be unused
  int64_t row_words;    // of an output row's pixels, whole vectors
  // A row of the image in a plane is cut into `phases`: the columns that are
  // phase, phase + stride, .. from the left padding on, so that an output row
  // reads neighbours.
  int64_t phases;
  int64_t phase_words;
  const int64_t* column_at;  // [kernel_w]: first word read for a tap
  int64_t ring_rows;         // rows of the image that are kept as planes

  // [weight_period / vector][steps][vector]: of a pixel, repeated until vectors
  // are full.
  const uint64_t* weights;
  int64_t weight_period;  // words

  // Of each row and column of the output.
  const int32_t* row_class;
  const int32_t* column_class;
  int64_t column_classes;

  // To floats: acc = offset[row class][column class][channel] + factor * count.
  float factor;
  int64_t channel_pitch;
  const float* offsets;
  const float* mul;
  const float* add;

  int64_t count_planes;  // 4 or 8: K < 2^count_planes
  // To bits, for each row class: bit = last ^ (count < first) ^ (count <
  // second), with [row_words] of `last` and [count_planes][row_words] of each
  // bound. `second` is null if no channel needs it.
  const uint64_t* last;
  const uint64_t* first;
  const uint64_t* second;
};

struct BgroupedKernels {
  int64_t vector_words;
  // Computes the output rows [first_row, first_row + rows), counted through the
  // batch. `x`: the whole packed input; one of `y` and `y_bits`, the whole
  // output, is not null. `scratch`: BgroupedScratchBytes, aligned to 64 bytes.
  void (*run)(const BgroupedPlan& plan, int64_t first_row, int64_t rows,
              const uint64_t* x, float* y, uint64_t* y_bits, void* scratch);
};

// Null if this build does not contain the target.
const BgroupedKernels* GetBgroupedKernels(Target target);

// Whether these kernels can compile a convolution, which they then do faster
// than a product for each group: up to 255 terms, groups of at most a word, one
// base of each kind, no alpha or beta before floats, no steps, one output, and
// a window that IsCompact.
bool UsesBgrouped(const BconvSpec& spec);

// The rest is for specs that do. Memory for a plan, to be aligned to 64 bytes.
uint64_t BgroupedPlanBytes(const BgroupedKernels& kernels,
                           const BconvSpec& spec);

// weight: [O, kernel_h, kernel_w, WordsFor(C / groups)], not used afterwards.
BgroupedPlan MakeBgroupedPlan(const BgroupedKernels& kernels,
                              const BconvSpec& spec, const uint64_t* weight,
                              void* memory);

uint64_t BgroupedScratchBytes(const BgroupedPlan& plan);

}  // namespace bqengine::kernels

#endif  // KERNELS_BGROUPED_H_
