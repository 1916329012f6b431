#include "kernels/bconv.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "memory_layout.h"

namespace bqengine::kernels {
namespace {

constexpr int64_t kWordBytes = sizeof(uint64_t);

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

// `count` padded taps; returns their end. Only the border needs it: not
// inlined.
[[gnu::noinline]] uint8_t* FillTaps(int64_t count, int64_t tap_bytes,
                                    bool pad_ones, int64_t bits, uint8_t* to) {
  uint8_t* const end = to + count * tap_bytes;
  std::fill(to, end, pad_ones ? uint8_t{0xFF} : uint8_t{0});
  if (!pad_ones || bits % kStepBits == 0) return end;
  // The last step of each tap has fewer channels.
  const uint32_t tail = uint32_t(TailMask(bits % kStepBits));
  for (; to < end; to += tap_bytes) {
    std::memcpy(to + tap_bytes - kStepBytes, &tail, sizeof(tail));
  }
  return end;
}

// Taps of one group of an image's output pixels. kTapBytes: of a gathered tap,
// if it is all of a pixel's channels and of a common size, for with a size
// known to the compiler a tap is a few moves, where a call of memcpy would take
// as long as a row of weights; else one of the other two.
constexpr int64_t kAnyTapBytes = 0;
constexpr int64_t kCutTaps = -1;

// All its numbers are copies: it writes through pointers to bytes, which might
// otherwise point to the plan.
template <int64_t kTapBytes>
class Gatherer {
 public:
  Gatherer(const BconvPlan& plan, int64_t group)
      : kernel_h_(plan.shape.window.kernel_h),
        kernel_w_(plan.shape.window.kernel_w),
        bits_(plan.shape.in_channels / plan.shape.groups),
        first_bit_(group * bits_),
        tap_bytes_(kTapBytes > 0 ? kTapBytes : plan.tap_bytes),
        pad_ones_(plan.pad_ones) {
    const Window& w = plan.shape.window;
    const int64_t pixel = WordsFor(plan.shape.in_channels) * kWordBytes;
    const int64_t row = w.in_w * pixel;
    first_ = -(w.pad_top * row + w.pad_left * pixel);
    oh_step_ = w.stride_h * row;
    ow_step_ = w.stride_w * pixel;
    kh_step_ = w.dilation_h * row;
    kw_step_ = w.dilation_w * pixel;
  }

  // Of one output pixel; `rows` and `columns` are the taps that are inside.
  void Gather(const uint8_t* image, int64_t oh, int64_t ow, TapSpan rows,
              TapSpan columns, uint8_t* to) const {
    // An offset, for the first tap may have no pixel to point to.
    int64_t from = first_ + oh * oh_step_ + ow * ow_step_ +
                   rows.begin * kh_step_ + columns.begin * kw_step_;
    const int64_t columns_inside = columns.end - columns.begin;
    to = PadTaps(rows.begin * kernel_w_, to);
    for (int64_t kh = rows.begin; kh < rows.end; ++kh, from += kh_step_) {
      to = PadTaps(columns.begin, to);
      to = CopyTaps(image, from, columns_inside, to);
      to = PadTaps(kernel_w_ - columns.end, to);
    }
    PadTaps((kernel_h_ - rows.end) * kernel_w_, to);
  }

 private:
  // Both return the end of what they have written.
  uint8_t* CopyTaps(const uint8_t* image, int64_t from, int64_t count,
                    uint8_t* to) const {
    for (int64_t i = 0; i < count; ++i) {
      if constexpr (kTapBytes == kCutTaps) {
        CutTap(image + from, first_bit_, bits_, to);
      } else {
        std::memcpy(to, image + from, size_t(tap_bytes_));
      }
      to += tap_bytes_;
      from += kw_step_;
    }
    return to;
  }

  uint8_t* PadTaps(int64_t count, uint8_t* to) const {
    return count == 0 ? to : FillTaps(count, tap_bytes_, pad_ones_, bits_, to);
  }

  int64_t kernel_h_, kernel_w_, bits_, first_bit_;
  const int64_t tap_bytes_;
  bool pad_ones_;
  // In bytes, between positions of the output and of the kernel.
  int64_t first_, oh_step_, ow_step_, kh_step_, kw_step_;
};

// Memory of one RunBconv: gathered and prepared rows of each activation base.
struct Scratch {
  Scratch(const BconvPlan& plan, int64_t pixels, void* memory)
      : layout(memory) {
    const BgemmPlan& product = plan.groups[0];
    const int64_t bases = product.activation_bases;
    activations = layout.Take<const uint8_t*>(bases);
    prepared =
        layout.Take<uint8_t>(bases * pixels * product.prepared_row_bytes);
    if (!plan.gathers) return;
    offset_class = layout.Take<int32_t>(pixels);
    rows = layout.Take<uint8_t>(bases * pixels * plan.row_bytes);
  }
  MemoryLayout layout;
  const uint8_t** activations;
  uint8_t* prepared;
  int32_t* offset_class = nullptr;
  uint8_t* rows = nullptr;
};

// Gathers one group of a part's pixels, all activation bases.
template <int64_t kTapBytes>
void GatherPart(const BconvPlan& plan, int64_t group, const BconvPart& part,
                const uint64_t* const* inputs, const Scratch& scratch) {
  const Window& w = plan.shape.window;
  const Gatherer<kTapBytes> gatherer(plan, group);
  const int64_t image_words =
      w.in_h * w.in_w * WordsFor(plan.shape.in_channels);
  int64_t ow = part.first_pixel % w.out_w;
  int64_t oh = part.first_pixel / w.out_w % w.out_h;
  int64_t image = part.first_pixel / w.out_w / w.out_h;
  for (int64_t i = 0; i < part.pixels; ++i) {
    for (int64_t n = 0; n < plan.groups[group].activation_bases; ++n) {
      gatherer.Gather(
          reinterpret_cast<const uint8_t*>(inputs[n] + image * image_words), oh,
          ow, plan.row_taps[oh], plan.column_taps[ow],
          scratch.rows + (n * part.pixels + i) * plan.row_bytes);
    }
    if (plan.row_class != nullptr) {
      scratch.offset_class[i] = plan.row_class[oh] + plan.column_class[ow];
    }
    if (++ow < w.out_w) continue;
    ow = 0;
    if (++oh < w.out_h) continue;
    oh = 0;
    ++image;
  }
}

using GatherFunction = void (*)(const BconvPlan&, int64_t, const BconvPart&,
                                const uint64_t* const*, const Scratch&);

GatherFunction SelectGather(const BconvPlan& plan) {
  if (plan.shape.groups > 1) return GatherPart<kCutTaps>;
  switch (plan.tap_bytes) {
    case 4:
      return GatherPart<4>;
    case 8:
      return GatherPart<8>;
    case 16:
      return GatherPart<16>;
    case 32:
      return GatherPart<32>;
    case 64:
      return GatherPart<64>;
    default:
      return GatherPart<kAnyTapBytes>;
  }
}

// Kernels only set bits.
void ClearBits(const BconvPart& part, int64_t pitch, uint64_t* y_bits) {
  const int64_t first_word = part.first_channel / kWordBits;
  for (int64_t i = 0; i < part.pixels; ++i) {
    std::fill_n(y_bits + (part.first_pixel + i) * pitch + first_word,
                WordsFor(part.channels), 0);
  }
}

}  // namespace

int64_t BconvPartPixels(const BgemmKernels& kernels, const BconvPlan& plan) {
  // A third of the smallest L1 of the machines we aim at (32 KiB) goes to rows;
  // weights of a block, constants and outputs need the rest. More pixels than
  // 64 no longer lower the cost of reading the weights from L2.
  constexpr int64_t kRowsBytes = 11 * 1024;
  constexpr int64_t kMaxPixels = 64;
  const BgemmPlan& product = plan.groups[0];
  const int64_t bytes = product.activation_bases *
                        std::max(plan.row_bytes, product.prepared_row_bytes);
  const int64_t pixels = std::min(kRowsBytes / bytes, kMaxPixels);
  return std::max(pixels / kernels.tile_rows, int64_t{1}) * kernels.tile_rows;
}

uint64_t BconvScratchBytes(const BconvPlan& plan, int64_t pixels) {
  return Scratch(plan, pixels, nullptr).layout.used();
}

void RunBconv(const BgemmKernels& kernels, const BconvPlan& plan,
              const BconvPart& part, const uint64_t* const* inputs, float* y,
              uint64_t* y_bits, void* memory) {
  const Scratch scratch(plan, part.pixels, memory);
  const int64_t out = plan.shape.out_channels;
  const int64_t y_pitch = y != nullptr ? out : WordsFor(out);
  if (y_bits != nullptr) ClearBits(part, y_pitch, y_bits);

  const int64_t first = part.first_pixel;
  const int64_t prepared_bytes = plan.groups[0].prepared_row_bytes;
  BgemmRows rows = {
      .rows = part.pixels,
      .activations = scratch.activations,
      .row_bytes = prepared_bytes != 0 ? prepared_bytes : plan.row_bytes,
      .offset_class =
          plan.row_class == nullptr ? nullptr : scratch.offset_class,
      .first_channel = part.first_channel,
      .channels = part.channels,
      .y = y == nullptr ? nullptr : y + first * y_pitch,
      .y_bits = y_bits == nullptr ? nullptr : y_bits + first * y_pitch,
      .y_pitch = y_pitch,
      .y_channel = 0};
  const GatherFunction gather = SelectGather(plan);
  for (int64_t group = 0; group < plan.shape.groups; ++group) {
    const BgemmPlan& product = plan.groups[group];
    if (plan.gathers) gather(plan, group, part, inputs, scratch);
    for (int64_t n = 0; n < product.activation_bases; ++n) {
      const uint8_t* bits =
          plan.gathers ? scratch.rows + n * part.pixels * plan.row_bytes
                       : reinterpret_cast<const uint8_t*>(inputs[n]) +
                             first * plan.row_bytes;
      if (prepared_bytes != 0) {
        uint8_t* to = scratch.prepared + n * part.pixels * prepared_bytes;
        kernels.prepare_rows(product, bits, plan.row_bytes, part.pixels, to);
        bits = to;
      }
      scratch.activations[n] = bits;
    }
    if (plan.shape.groups > 1) {
      rows.y_channel = group * product.channels;
      rows.channels = product.channels;
    }
    kernels.run(product, rows);
  }
}

}  // namespace bqengine::kernels
