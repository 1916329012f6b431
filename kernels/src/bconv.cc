#include "kernels/bconv.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "memory_layout.h"

namespace bqengine::kernels {
namespace {

constexpr int64_t kWordBytes = sizeof(uint64_t);

// Distances in a packed image, in bytes.
struct Pitches {
  explicit Pitches(const ConvShape& shape)
      : pixel(WordsFor(shape.in_channels) * kWordBytes),
        line(shape.window.in_w * pixel),
        image(shape.window.in_h * line) {}
  int64_t pixel, line, image;
};

// Bytes from the first of `count` lines or pixels to the one behind the last.
// Modulo 2^64: far from the image, where a window's corner may be, a distance
// may be too large, but not that to the taps inside.
int64_t Distance(int64_t count, int64_t pitch) {
  return int64_t(uint64_t(count) * uint64_t(pitch));
}

int64_t MaxRuns(const BconvPlan& plan) {
  const Window& w = plan.shape.window;
  return plan.joins_taps ? w.kernel_h : w.kernel_h * w.kernel_w;
}

// Memory of one RunBconv.
struct Scratch {
  Scratch(const BconvPlan& plan, int64_t pixels, void* memory)
      : layout(memory) {
    const BgemmPlan& product = plan.groups[0];
    const int64_t bases = product.activation_bases;
    activations = layout.Take<const uint8_t*>(bases);
    row_offsets = layout.Take<int64_t>(pixels);
    output_rows = layout.Take<int64_t>(pixels);
    spans = layout.Take<BgemmSpan>(pixels);
    runs = layout.Take<BgemmRun>(pixels * MaxRuns(plan));
    product_memory =
        layout.Take<uint8_t>(int64_t(BgemmScratchBytes(product, pixels)));
    if (!plan.cuts) return;
    image_offsets = layout.Take<int64_t>(pixels);
    rows = layout.Take<uint8_t>(bases * pixels * product.steps * kStepBytes);
  }
  MemoryLayout layout;
  const uint8_t** activations;
  int64_t* row_offsets;
  int64_t* output_rows;
  BgemmSpan* spans;
  BgemmRun* runs;
  uint8_t* product_memory;
  int64_t* image_offsets = nullptr;
  uint8_t* rows = nullptr;
};

// The taps of a class that are inside, line by line.
void MakeRuns(const BconvPlan& plan, TapSpan lines, TapSpan columns,
              BgemmSpan& span, BgemmRun* runs) {
  const Window& w = plan.shape.window;
  const Pitches pitches(plan.shape);
  const int64_t tap_steps = plan.tap_bytes / kStepBytes;
  const int64_t taps = columns.end - columns.begin;
  span.runs = runs;
  int64_t done = 0;  // bytes of a row whose taps are cut out
  for (int64_t h = lines.begin; h < lines.end; ++h) {
    const int64_t line = Distance(h * w.dilation_h, pitches.line);
    for (int64_t i = columns.begin; i < columns.end;) {
      const int64_t joined = plan.joins_taps ? taps : 1;
      *runs++ = {.offset = plan.cuts ? done
                                     : line + Distance(i * w.dilation_w,
                                                       pitches.pixel),
                 .step = (h * w.kernel_w + i) * tap_steps,
                 .steps = joined * tap_steps};
      done += joined * plan.tap_bytes;
      i += joined;
    }
  }
  span.num_runs = runs - span.runs;
}

// Lists a part's pixels.
class RowLister {
 public:
  RowLister(const BconvPlan& plan, const BconvPart& part,
            const Scratch& scratch)
      : plan_(plan),
        part_(part),
        scratch_(scratch),
        pitches_(plan.shape),
        image_pixels_(plan.shape.window.out_h * plan.shape.window.out_w) {}

  // Returns the number of spans.
  int64_t List() {
    if (image_pixels_ == 1) {
      ListOnePixelImages();
      return spans_;
    }
    const int64_t first_image = part_.first_pixel / image_pixels_;
    int64_t skip = part_.first_pixel - first_image * image_pixels_;
    for (int64_t image = first_image; listed_ < part_.pixels; ++image) {
      for (int64_t i = 0; i < plan_.row_classes; ++i) {
        for (int64_t j = 0; j < plan_.column_classes; ++j) {
          const PositionClass& lines = plan_.rows[i];
          const PositionClass& columns = plan_.columns[j];
          const int64_t pixels =
              (lines.end - lines.begin) * (columns.end - columns.begin);
          const int64_t count = std::min(pixels - skip, part_.pixels - listed_);
          if (count > 0) {
            AddToSpan(i * plan_.column_classes + j, lines, columns, count);
            ListRectangle(image, lines, columns, skip, count);
          }
          skip = std::max(skip - pixels, int64_t{0});
        }
      }
    }
    return spans_;
  }

 private:
  // The rows of a matrix product.
  void ListOnePixelImages() {
    const Window& w = plan_.shape.window;
    AddToSpan(0, plan_.rows[0], plan_.columns[0], part_.pixels);
    const int64_t offset = -Distance(w.pad_top, pitches_.line) -
                           Distance(w.pad_left, pitches_.pixel);
    for (; listed_ < part_.pixels; ++listed_) {
      const int64_t image = part_.first_pixel + listed_;
      scratch_.row_offsets[listed_] = image * pitches_.image + offset;
      scratch_.output_rows[listed_] = image;
    }
  }

  // Images of one class share a span.
  void AddToSpan(int64_t tap_class, const PositionClass& lines,
                 const PositionClass& columns, int64_t count) {
    if (spans_ > 0 && scratch_.spans[spans_ - 1].tap_class == tap_class) {
      scratch_.spans[spans_ - 1].rows += count;
      return;
    }
    BgemmSpan& span = scratch_.spans[spans_];
    span.rows = count;
    span.tap_class = tap_class;
    MakeRuns(plan_, lines.taps, columns.taps, span,
             scratch_.runs + spans_ * MaxRuns(plan_));
    ++spans_;
  }

  // `count` of the pixels of a rectangle, from number `skip` on.
  void ListRectangle(int64_t image, const PositionClass& lines,
                     const PositionClass& columns, int64_t skip,
                     int64_t count) {
    const Window& w = plan_.shape.window;
    const int64_t width = columns.end - columns.begin;
    const int64_t full_lines = skip == 0 ? 0 : skip / width;
    int64_t oh = lines.begin + full_lines;
    int64_t ow = columns.begin + skip - full_lines * width;
    const int64_t step = w.stride_w * pitches_.pixel;
    for (const int64_t end = listed_ + count; listed_ < end; ++oh) {
      int64_t offset = image * pitches_.image +
                       Distance(oh * w.stride_h - w.pad_top, pitches_.line) +
                       Distance(ow * w.stride_w - w.pad_left, pitches_.pixel);
      int64_t output = image * image_pixels_ + oh * w.out_w + ow;
      const int64_t line = std::min(columns.end - ow, end - listed_);
      for (int64_t i = 0; i < line; ++i) {
        scratch_.row_offsets[listed_ + i] = offset + i * step;
        scratch_.output_rows[listed_ + i] = output + i;
      }
      listed_ += line;
      ow = columns.begin;
    }
  }

  const BconvPlan& plan_;
  const BconvPart& part_;
  const Scratch& scratch_;
  const Pitches pitches_;
  const int64_t image_pixels_;
  int64_t listed_ = 0, spans_ = 0;
};

// Channels of a group, cut out of a pixel: `bits` of them from `first_bit` on.
void CutTap(const uint8_t* pixel, int64_t first_bit, int64_t bits,
            uint8_t* to) {
  for (int64_t done = 0; done < bits; done += kStepBits, to += kStepBytes) {
    const int64_t valid = std::min(bits - done, kStepBits);
    const int64_t word = (first_bit + done) / kWordBits;
    const int64_t shift = (first_bit + done) % kWordBits;
    const bool crosses = shift + valid > kWordBits;
    uint64_t words[2] = {};
    std::memcpy(words, pixel + word * kWordBytes,
                size_t(crosses ? 2 * kWordBytes : kWordBytes));
    uint64_t cut = words[0] >> shift;
    if (crosses) cut |= words[1] << (kWordBits - shift);
    const uint32_t step = uint32_t(cut & TailMask(valid));
    std::memcpy(to, &step, sizeof(step));
  }
}

// Cuts one group out of all taps of the listed pixels of one activation base.
void CutRows(const BconvPlan& plan, int64_t group, int64_t num_spans,
             const Scratch& scratch, const uint8_t* input, uint8_t* to) {
  const Window& w = plan.shape.window;
  const Pitches pitches(plan.shape);
  const int64_t bits = plan.shape.in_channels / plan.shape.groups;
  const int64_t row_bytes = plan.groups[group].steps * kStepBytes;
  int64_t row = 0;
  for (int64_t i = 0; i < num_spans; ++i) {
    const int64_t tap_class = scratch.spans[i].tap_class;
    const TapSpan lines = plan.rows[tap_class / plan.column_classes].taps;
    const TapSpan columns = plan.columns[tap_class % plan.column_classes].taps;
    for (const int64_t end = row + scratch.spans[i].rows; row < end; ++row) {
      uint8_t* tap = to + row * row_bytes;
      for (int64_t h = lines.begin; h < lines.end; ++h) {
        for (int64_t v = columns.begin; v < columns.end; ++v) {
          const uint8_t* pixel = input + scratch.image_offsets[row] +
                                 h * w.dilation_h * pitches.line +
                                 v * w.dilation_w * pitches.pixel;
          CutTap(pixel, group * bits, bits, tap);
          tap += plan.tap_bytes;
        }
      }
    }
  }
}

// Cuts one group out of a part's pixels, all activation bases.
void CutPart(const BconvPlan& plan, int64_t group, const BconvPart& part,
             int64_t num_spans, const uint64_t* const* inputs,
             const Scratch& scratch) {
  const BgemmPlan& product = plan.groups[group];
  const int64_t row_bytes = product.steps * kStepBytes;
  for (int64_t n = 0; n < product.activation_bases; ++n) {
    uint8_t* const rows = scratch.rows + n * part.pixels * row_bytes;
    CutRows(plan, group, num_spans, scratch,
            reinterpret_cast<const uint8_t*>(inputs[n]), rows);
    scratch.activations[n] = rows;
  }
}

// Kernels only set bits.
void ClearBits(const BgemmRows& rows) {
  const int64_t first_word = rows.first_channel / kWordBits;
  for (int64_t i = 0; i < rows.rows; ++i) {
    std::fill_n(
        rows.output.y_bits + rows.output_rows[i] * rows.bits_pitch + first_word,
        WordsFor(rows.channels), 0);
  }
}

}  // namespace

int64_t BconvPartPixels(const BgemmKernels& kernels, const BconvPlan& plan) {
  // With more pixels than 256 what is done for each part costs nothing. Rows
  // get half of the smallest L1 of the machines we aim at (32 KiB), weights of
  // a block the other. Runs may differ for every pixel of a part.
  constexpr int64_t kMaxPixels = 256;
  constexpr int64_t kRowsBytes = 16 * 1024;
  constexpr int64_t kRunsBytes = 256 * 1024;
  const BgemmPlan& product = plan.groups[0];
  const Window& w = plan.shape.window;
  // What is read for each pixel that its neighbours do not read: in the image,
  // cut out of it, or prepared.
  int64_t row_bytes = Pitches(plan.shape).pixel *
                      std::min(w.stride_h, w.kernel_h) *
                      std::min(w.stride_w, w.kernel_w);
  if (plan.cuts) row_bytes = product.steps * kStepBytes;
  row_bytes *= product.activation_bases;
  if (product.looks_up) row_bytes = int64_t(BgemmScratchBytes(product, 1)) / 2;
  const int64_t run_bytes = MaxRuns(plan) * int64_t{sizeof(BgemmRun)};
  const int64_t pixels =
      std::min({kMaxPixels, kRowsBytes / row_bytes, kRunsBytes / run_bytes});
  return std::max(pixels / kernels.tile_rows, int64_t{1}) * kernels.tile_rows;
}

uint64_t BconvScratchBytes(const BconvPlan& plan, int64_t pixels) {
  return Scratch(plan, pixels, nullptr).layout.used();
}

void RunBconv(const BgemmKernels& kernels, const BconvPlan& plan,
              const BconvPart& part, const uint64_t* const* inputs,
              const BinaryOutput& output, void* memory) {
  const Scratch scratch(plan, part.pixels, memory);
  const int64_t out = plan.shape.out_channels;
  const int64_t num_spans = RowLister(plan, part, scratch).List();
  BgemmRows rows = {.rows = part.pixels,
                    .spans = scratch.spans,
                    .num_spans = num_spans,
                    .activations = scratch.activations,
                    .row_offsets = scratch.row_offsets,
                    .output_rows = scratch.output_rows,
                    .first_channel = part.first_channel,
                    .channels = part.channels,
                    .output = output,
                    .float_pitch = out,
                    .bits_pitch = WordsFor(out),
                    .y_channel = 0,
                    .scratch = scratch.product_memory};
  if (output.y_bits != nullptr) ClearBits(rows);
  if (plan.cuts) {
    const int64_t row_bytes = plan.groups[0].steps * kStepBytes;
    for (int64_t i = 0; i < part.pixels; ++i) {
      scratch.image_offsets[i] = scratch.row_offsets[i];
      scratch.row_offsets[i] = i * row_bytes;
    }
  }
  const int64_t group_bytes = plan.tap_bytes;
  for (int64_t group = 0; group < plan.shape.groups; ++group) {
    const BgemmPlan& product = plan.groups[group];
    if (plan.cuts) {
      CutPart(plan, group, part, num_spans, inputs, scratch);
    } else {
      for (int64_t n = 0; n < product.activation_bases; ++n) {
        scratch.activations[n] =
            reinterpret_cast<const uint8_t*>(inputs[n]) + group * group_bytes;
      }
    }
    if (plan.shape.groups > 1) {
      rows.y_channel = group * product.channels;
      rows.channels = product.channels;
    }
    kernels.run(product, rows);
  }
}

}  // namespace bqengine::kernels
