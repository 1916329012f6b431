// Rows of the image as activation planes (kernels/bgrouped.h), and the memory
// of a run that holds them.
#ifndef KERNELS_SRC_BGROUPED_ROWS_H_
#define KERNELS_SRC_BGROUPED_ROWS_H_

#include <cstdint>
#include <cstring>

#include "kernels/bgrouped.h"
#include "memory_layout.h"
#include "window_taps.h"

namespace bqengine::kernels {

// Whether a group has as many channels in as out, a power of two of at most a
// word: then its planes can be made of whole words.
constexpr bool HasWordPlanes(const ConvShape& shape) {
  const int64_t in = shape.in_channels / shape.groups;
  return shape.in_channels == shape.out_channels && kWordBits % in == 0;
}

inline uint64_t PaddingWord(const BgroupedPlan& plan) {
  return plan.pad_ones ? ~uint64_t{0} : 0;
}

inline constexpr int64_t kMaxVectorWords = 8;

// Memory of a run. Of the vectors in it that reach beyond the last pixel, the
// rest is whatever was there, and so are outputs that nobody reads.
struct BgroupedScratch {
  BgroupedScratch(const BgroupedPlan& plan, void* memory) : layout(memory) {
    const int64_t row_words = plan.phases * plan.phase_words;
    plane_words = row_words;
    terms = layout.Take<const uint64_t*>(plan.steps);
    ring_row = layout.Take<int64_t>(plan.ring_rows);
    padding = layout.Take<uint64_t>(plan.row_words);
    ring = layout.Take<uint64_t>(plan.ring_rows * plan.planes * row_words);
    if (!HasWordPlanes(plan.shape)) {
      pixels = layout.Take<uint64_t>(WordsFor(plan.shape.in_channels) *
                                     kMaxVectorWords);
    } else if (plan.planes > 1) {
      pixels = layout.Take<uint64_t>(row_words);
    }
    if (plan.bits_out) {
      bits = layout.Take<uint64_t>(plan.row_words);
    } else {
      counts = layout.Take<uint8_t>(plan.weight_period * kWordBits);
      chunk_at = layout.Take<int32_t>(plan.weight_period * kWordBits / 16);
    }
  }

  uint64_t* Row(const BgroupedPlan& plan, int64_t slot) const {
    return ring + slot * plan.planes * plane_words;
  }

  MemoryLayout layout;
  int64_t plane_words;     // of a row: all phases
  const uint64_t** terms;  // [steps]: activations of an output row
  int64_t* ring_row;       // [ring_rows]: which row of the batch it is, or -1
  uint64_t* padding;       // a row of padding
  uint64_t* ring;          // [ring_rows][planes][plane_words]
  // Before they become planes: a row, [plane_words]; or, if not HasWordPlanes,
  // a vector of pixels, [words][vector].
  uint64_t* pixels = nullptr;
  uint64_t* bits = nullptr;     // [row_words]: an output row
  uint8_t* counts = nullptr;    // [weight_period][64]: of a few pixels
  int32_t* chunk_at = nullptr;  // where each 16 channels of these are
};

// The pixels of one phase of a row: padding, then pixels of the image from
// column `in` on, `stride` columns apart, then padding.
struct RowPhase {
  int64_t before, inside, behind;
  int64_t in;

  RowPhase(const Window& w, int64_t phase) {
    const int64_t columns =
        w.out_w + (w.kernel_w - 1) * w.dilation_w / w.stride_w;
    const TapRange range =
        InsideTaps(phase - w.pad_left, w.stride_w, columns, w.in_w);
    before = range.begin;
    inside = range.count();
    behind = columns - range.end;
    in = phase - w.pad_left + range.begin * w.stride_w;
  }
};

// The pixels of a row of the image, cut into phases and padded: all that its
// single plane takes, if HasWordPlanes. What no output reads, it leaves
// alone.
void LayOutPixels(const BgroupedPlan& plan, const uint64_t* row, uint64_t* to);

// `pixels` of `words` words, from where they are `pitch` words apart, to where
// they follow each other.
inline void CopyPixels(const uint64_t* from, int64_t pitch, int64_t words,
                       int64_t pixels, uint64_t* to) {
  if (pitch == words) {
    std::memcpy(to, from, size_t(words * pixels) * sizeof(uint64_t));
    return;
  }
  for (; pixels > 0; --pixels, from += pitch) {
    for (int64_t i = 0; i < words; ++i) *to++ = from[i];
  }
}

}  // namespace bqengine::kernels

#endif  // KERNELS_SRC_BGROUPED_ROWS_H_
