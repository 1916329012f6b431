// Binary matrix product: packed rows of activations times packed weights, with
// the epilogue applied while a tile of accumulators is in registers or L1.
//
// All pairings of encodings run on one count per output, over XOR or over AND:
//
//   activations x weights   dot product                   offset[channel]
//   bipolar x bipolar       K     - 2 * pc(a XOR w)       K
//   unipolar x bipolar      pc(w) -     pc(a XOR w)       pc(w)
//   bipolar x unipolar      -pc(w) + 2 * pc(a AND w)      -pc(w)
//   unipolar x unipolar             pc(a AND w)           0
//
// (The second is the same as 2 * pc(a AND w) - pc(a), without a count for each
// row: pc(a XOR w) = pc(a) + pc(w) - 2 * pc(a AND w).)
//
// Output channels are in the lanes of a vector, 32 bits wide; one step takes 32
// bits of K: `a` is broadcast from the row, `w` is a vector of 32 bits each of
// as many channels. No sum across lanes is ever needed, the epilogue's
// constants are vectors, and outputs are stored as they are.
//
// Packed weights, private to a target: a block is a few vectors of channels,
// and its steps follow each other in memory. With 2 vectors of 4 lanes:
//
//                       32-bit words of memory, ascending ->
//   block 0 (o = 0..7)  step 0: o0 o1 o2 o3 | o4 o5 o6 o7
//                       step 1: o0 o1 o2 o3 | o4 o5 o6 o7   ...
//   block 1 (o = 8..15) step 0: o8 ...
//
// The last block has only as many vectors as it needs; channels beyond the last
// have zero weights. Bit i of the word of step s is the weight of the
// activation in bit i of the row's 32-bit word s. Steps are ordered tap by tap
// (the elements of a convolution's kernel; a matrix product has one), and a tap
// ends with a whole step.
//
// x86 without vector popcount looks ones up, 4 bits of K of two rows at a time
// (src/bgemm_lookup-inl.h), which needs other weights: a block is a vector of
// bytes, each a channel; a step is 8 such vectors, of bits 0-3 of each byte of
// the step's word, then of bits 4-7. With 4 lanes:
//
//                       bytes of memory, ascending ->
//   block 0 (o = 0..15) step 0, byte 0, low:   o0 o4 o8 o12  o1 o5 o9 o13 ...
//                       step 0, byte 1, low:   o0 o4 ...
//
// Fewer channels than fill a good part of such a vector are counted, for then a
// vector of 32-bit lanes does more of them; and so are a few rows of more
// weights than a cache holds, for looking up reads twice the bytes.
#ifndef KERNELS_BGEMM_H_
#define KERNELS_BGEMM_H_

#include <cstdint>

#include "kernels/epilogue.h"
#include "kernels/shapes.h"
#include "kernels/targets.h"

namespace bqengine::kernels {

// Bits of K in a step.
inline constexpr int64_t kStepBits = 32;
inline constexpr int64_t kStepBytes = kStepBits / 8;

// Positions [begin, end) of a convolution's kernel, on one axis.
struct TapSpan {
  int32_t begin, end;
};

// A product, ready to run: what is the same for all its rows. Pointers are into
// the memory given to MakeBgemmPlan. Arrays per channel are padded to whole
// vectors: `channel_pitch` entries.
//
// What tiles accumulate is not the dot product but, where the table above
// doubles the count, half of it: h = start -+ count, and dot = 2 * h + odd. If
// all offsets are even (`odds` is null) the factor 2 has gone into `alpha` or
// `mul`, which changes no bit of the output: doubling rounds nothing.
struct BgemmPlan {
  int64_t steps;
  int64_t channels;
  int64_t channel_pitch;
  int64_t weight_bases, activation_bases;  // M, N

  bool use_and;  // else XOR
  // [classes][M][channel_pitch]. With ranges (below) the offset of the range
  // is in them, too.
  const int32_t* starts;
  const int32_t* odds;  // null: dot = h, or its half

  const uint32_t* weights;  // [M] packed
  int64_t weight_base_pitch;
  int64_t channel_words;  // of packed weights, for one channel
  bool looks_up;

  // Null: M = N = 1, neither alpha nor beta.
  const float* alpha;  // [M][channel_pitch]
  const float* beta;   // [N]
  const float* mul;
  const float* add;
  // Behind that; values are of the plan's channels, but for kClip.
  int post_steps;
  PostStep post[kMaxPostSteps];
  // Bits from floats; and, if there is one accumulator for a bit, from integers
  // (kernels/threshold.h), which replaces all of the above and may be null.
  const float* threshold;
  const int32_t* range_limit;
};

// A stretch of K without gap in a row and in the weights.
struct BgemmRun {
  int64_t offset;  // bytes, from where the row begins
  int64_t step;    // of the weights
  int64_t steps;
};

// Rows, one behind the other, that meet the same weights.
struct BgemmSpan {
  int64_t rows;
  int64_t tap_class;  // row of BgemmPlan::starts
  const BgemmRun* runs;
  int64_t num_runs;
};

// A part of the output: some rows, some channels of a plan. A row is wherever
// its bits are: a pixel of a packed image and its neighbours, say.
struct BgemmRows {
  int64_t rows;
  const BgemmSpan* spans;
  int64_t num_spans;
  // Row i of activation base n begins at activations[n] + row_offsets[i]
  // (bytes); only what is in the runs is read. Padding bits are zero.
  const uint8_t* const* activations;
  const int64_t* row_offsets;
  const int64_t* output_rows;  // where the outputs of row i go

  // `first_channel` is a multiple of 64.
  int64_t first_channel, channels;

  // What the plan was made for is not null. Channel 0 of the plan is at element
  // (or bit) `y_channel` of the row. Bits are only ever set: clear the rows
  // first.
  BinaryOutput output;
  int64_t float_pitch;  // from row to row of output.y and output.residual
  int64_t bits_pitch;   // the same in words of output.y_bits
  int64_t y_channel;

  uint8_t* scratch;  // BgemmScratchBytes
};

struct BgemmKernels {
  int64_t lanes;          // channels in a vector
  int64_t block_vectors;  // vectors in a block; lanes * vectors divides 64
  int64_t tile_rows;      // rows that are computed together
  bool can_look_up;
  void (*run)(const BgemmPlan& plan, const BgemmRows& rows);
};

// Null if this build does not contain the target.
const BgemmKernels* GetBgemmKernels(Target target);

// What MakeBgemmPlan compiles: one group of a convolution, or a matrix product,
// which is one with a kernel of 1 x 1.
struct BgemmSpec {
  int64_t kernel_h = 1, kernel_w = 1;
  int64_t tap_bits;       // K = kernel_h * kernel_w * tap_bits < 2^30
  int64_t out_channels;   // of all groups together
  int64_t first_channel;  // this group's, of out_channels
  int64_t channels;       // in this group
  BinaryFormat format;
  Epilogue epilogue;
  bool bits_out;
  bool floats_too = false;  // beside the bits
  // Classes of rows differ in the taps that they meet: those of a row class
  // times those of a column class, in this order. The others are padding, and
  // no run has them. Null: one class, all taps.
  int64_t row_classes = 1, column_classes = 1;
  const TapSpan* class_rows = nullptr;
  const TapSpan* class_columns = nullptr;
  int64_t rows = 1;  // as many as there will be, or a part of them

  int64_t taps() const { return kernel_h * kernel_w; }
  int64_t classes() const { return row_classes * column_classes; }
};

// Memory for a plan, to be aligned to 64 bytes.
uint64_t BgemmPlanBytes(const BgemmKernels& kernels, const BgemmSpec& spec);

// weight: [M, out_channels, taps, WordsFor(tap_bits)], not used afterwards.
BgemmPlan MakeBgemmPlan(const BgemmKernels& kernels, const BgemmSpec& spec,
                        const uint64_t* weight, void* memory);

// Memory for a run of so many rows, to be aligned to 64 bytes.
uint64_t BgemmScratchBytes(const BgemmPlan& plan, int64_t rows);

}  // namespace bqengine::kernels

#endif  // KERNELS_BGEMM_H_
