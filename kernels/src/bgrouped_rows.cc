#include "bgrouped_rows.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "window_taps.h"

namespace bqengine::kernels {
namespace {

// The pixels of one phase of a row: padding, then pixels of the image from
// column `in` on, `stride` columns apart, then padding.
struct Phase {
  int64_t before, inside, behind;
  int64_t in;

  Phase(const Window& w, int64_t phase) {
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
  const Window& w = plan.shape.window;
  const int64_t words = WordsFor(plan.shape.in_channels);
  const int64_t pitch = plan.pixel_words, step = w.stride_w * words;
  const uint64_t padding = plan.pad_ones ? ~uint64_t{0} : 0;
  for (int64_t i = 0; i < plan.phases; ++i, to += plan.phase_words) {
    const Phase phase(w, i);
    uint64_t* at = std::fill_n(to, phase.before * pitch, padding);
    const uint64_t* from = row + phase.in * words;
    if (step == pitch) {
      std::memcpy(at, from, size_t(phase.inside * pitch) * sizeof(uint64_t));
      at += phase.inside * pitch;
    } else {
      for (int64_t n = phase.inside; n > 0; --n, from += step) {
        for (int64_t j = 0; j < words; ++j) at[j] = from[j];
        for (int64_t j = words; j < pitch; ++j) at[j] = 0;
        at += pitch;
      }
    }
    std::fill_n(at, phase.behind * pitch, padding);
  }
}

void SpreadPixels(const BgroupedPlan& plan, const uint64_t* row, uint64_t* to) {
  const Window& w = plan.shape.window;
  const int64_t words = WordsFor(plan.shape.in_channels);
  const int64_t pitch = plan.pixel_words;
  const int64_t plane_words = plan.phases * plan.phase_words;
  const uint64_t padding = plan.pad_ones ? ~uint64_t{0} : 0;
  const auto pad = [&](int64_t pixels, uint64_t* at) {
    for (int64_t i = 0; i < plan.planes; ++i, at += plane_words) {
      std::fill_n(at, pixels * pitch, padding);
    }
  };
  for (int64_t i = 0; i < plan.phases; ++i, to += plan.phase_words) {
    const Phase phase(w, i);
    pad(phase.before, to);
    uint64_t* at = to + phase.before * pitch;
    for (int64_t n = 0; n < phase.inside; ++n, at += pitch) {
      const int64_t in = phase.in + n * w.stride_w;
      SpreadPixel(plan, row + in * words, plane_words, at);
    }
    pad(phase.behind, at);
  }
}

}  // namespace bqengine::kernels
