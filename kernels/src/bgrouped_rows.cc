#include "bgrouped_rows.h"

#include <algorithm>
#include <cstdint>

namespace bqengine::kernels {
namespace {

// Calls body(in, at) for the pixels of a row in all phases: `in` is the column
// of the image, -1 on padding, `at` where the pixel goes in a plane.
template <class Body>
void ForEachPixel(const BgroupedPlan& plan, const Body& body) {
  const Window& w = plan.shape.window;
  const int64_t columns =
      w.out_w + (w.kernel_w - 1) * w.dilation_w / w.stride_w;
  for (int64_t phase = 0; phase < plan.phases; ++phase) {
    int64_t at = phase * plan.phase_words;
    int64_t in = phase - w.pad_left;
    for (int64_t i = 0; i < columns; ++i) {
      body(in >= 0 && in < w.in_w ? in : -1, at);
      at += plan.pixel_words;
      in += w.stride_w;
    }
  }
}

// The `count` (1 to 64) bits of a pixel from bit `begin` on.
uint64_t CutBits(const uint64_t* pixel, int64_t begin, int64_t count) {
  const int64_t word = begin / kWordBits, shift = begin % kWordBits;
  uint64_t bits = pixel[word] >> shift;
  if (shift + count > kWordBits) bits |= pixel[word + 1] << (kWordBits - shift);
  return bits & TailMask(count);
}

// Sets `run`, the lowest bits of a word, from bit `begin` of a pixel on.
void OrBits(uint64_t run, int64_t begin, int64_t count, uint64_t* pixel) {
  const int64_t word = begin / kWordBits, shift = begin % kWordBits;
  pixel[word] |= run << shift;
  if (shift + count > kWordBits) pixel[word + 1] |= run >> (kWordBits - shift);
}

void SpreadPixel(const BgroupedPlan& plan, const uint64_t* pixel,
                 int64_t plane_words, uint64_t* to) {
  const int64_t in = plan.planes;
  const int64_t out = plan.shape.out_channels / plan.shape.groups;
  const uint64_t run = TailMask(out);
  for (int64_t i = 0; i < in; ++i) {
    std::fill_n(to + i * plane_words, plan.pixel_words, 0);
  }
  for (int64_t group = 0; group < plan.shape.groups; ++group) {
    const uint64_t bits = CutBits(pixel, group * in, in);
    for (int64_t i = 0; i < in; ++i) {
      OrBits(run & (0 - (bits >> i & 1)), group * out, out,
             to + i * plane_words);
    }
  }
}

}  // namespace

void LayOutPixels(const BgroupedPlan& plan, const uint64_t* row, uint64_t* to) {
  const int64_t words = WordsFor(plan.shape.in_channels);
  const uint64_t padding = plan.pad_ones ? ~uint64_t{0} : 0;
  ForEachPixel(plan, [&](int64_t in, int64_t at) {
    if (in < 0) {
      std::fill_n(to + at, plan.pixel_words, padding);
      return;
    }
    for (int64_t i = 0; i < words; ++i) to[at + i] = row[in * words + i];
    for (int64_t i = words; i < plan.pixel_words; ++i) to[at + i] = 0;
  });
}

void SpreadPixels(const BgroupedPlan& plan, const uint64_t* row, uint64_t* to) {
  const int64_t words = WordsFor(plan.shape.in_channels);
  const int64_t plane_words = plan.phases * plan.phase_words;
  const uint64_t padding = plan.pad_ones ? ~uint64_t{0} : 0;
  ForEachPixel(plan, [&](int64_t in, int64_t at) {
    if (in >= 0) {
      SpreadPixel(plan, row + in * words, plane_words, to + at);
      return;
    }
    for (int64_t i = 0; i < plan.planes; ++i) {
      std::fill_n(to + i * plane_words + at, plan.pixel_words, padding);
    }
  });
}

}  // namespace bqengine::kernels
