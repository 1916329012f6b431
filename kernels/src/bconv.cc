#include "kernels/bconv.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "memory_layout.h"

namespace bqengine::kernels {
namespace {

constexpr int64_t kWordBytes = sizeof(uint64_t);

// Copies `count` taps of kBytes each. With a size known to the compiler a tap
// is a few moves; a call of memcpy takes as long as a row of weights.
template <int64_t kBytes>
void CopyTapsOf(const uint8_t* from, int64_t from_pitch, int64_t count,
                uint8_t* to) {
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * kBytes, from + i * from_pitch, kBytes);
  }
}

void CopyTaps(const uint8_t* from, int64_t from_pitch, int64_t count,
              int64_t tap_bytes, uint8_t* to) {
  switch (tap_bytes) {
    case 4:
      return CopyTapsOf<4>(from, from_pitch, count, to);
    case 8:
      return CopyTapsOf<8>(from, from_pitch, count, to);
    case 16:
      return CopyTapsOf<16>(from, from_pitch, count, to);
    case 32:
      return CopyTapsOf<32>(from, from_pitch, count, to);
    case 64:
      return CopyTapsOf<64>(from, from_pitch, count, to);
    default:
      for (int64_t i = 0; i < count; ++i) {
        std::memcpy(to + i * tap_bytes, from + i * from_pitch,
                    size_t(tap_bytes));
      }
  }
}

// Taps of a group: `bits` channels from `first_bit` of each pixel on.
void CutTaps(const uint64_t* from, int64_t from_pitch_words, int64_t count,
             int64_t first_bit, int64_t bits, uint8_t* to) {
  for (int64_t i = 0; i < count; ++i, from += from_pitch_words) {
    for (int64_t done = 0; done < bits; done += kStepBits) {
      const int64_t valid = std::min(bits - done, kStepBits);
      const int64_t shift = (first_bit + done) % kWordBits;
      const uint64_t* word = from + (first_bit + done) / kWordBits;
      uint64_t cut = word[0] >> shift;
      if (shift + valid > kWordBits) cut |= word[1] << (kWordBits - shift);
      const uint32_t step = uint32_t(cut & TailMask(valid));
      std::memcpy(to, &step, sizeof(step));
      to += kStepBytes;
    }
  }
}

class Gatherer {
 public:
  Gatherer(const BconvPlan& plan, int64_t group)
      : plan_(plan),
        w_(plan.shape.window),
        bits_(plan.shape.in_channels / plan.shape.groups),
        first_bit_(group * bits_),
        pixel_words_(WordsFor(plan.shape.in_channels)) {}

  // One output pixel. `rows`, `columns`: the taps that are inside.
  void Gather(const uint64_t* image, int64_t oh, int64_t ow, TapSpan rows,
              TapSpan columns, uint8_t* to) const {
    const int64_t run_bytes = w_.kernel_w * plan_.tap_bytes;
    const int64_t ih = oh * w_.stride_h - w_.pad_top;
    const int64_t iw = ow * w_.stride_w - w_.pad_left;
    for (int64_t kh = 0; kh < w_.kernel_h; ++kh, to += run_bytes) {
      if (kh < rows.begin || kh >= rows.end) {
        PadTaps(w_.kernel_w, to);
        continue;
      }
      PadTaps(columns.begin, to);
      const int64_t first = iw + columns.begin * w_.dilation_w;
      const int64_t pixel = (ih + kh * w_.dilation_h) * w_.in_w + first;
      // With no tap inside there may be no such pixel: do not even point to it.
      const int64_t count = columns.end - columns.begin;
      if (count > 0) {
        CopyRun(image + pixel * pixel_words_, count,
                to + columns.begin * plan_.tap_bytes);
      }
      PadTaps(w_.kernel_w - columns.end, to + columns.end * plan_.tap_bytes);
    }
  }

 private:
  void CopyRun(const uint64_t* from, int64_t count, uint8_t* to) const {
    const int64_t pitch_words = w_.dilation_w * pixel_words_;
    if (plan_.shape.groups == 1) {
      CopyTaps(reinterpret_cast<const uint8_t*>(from), pitch_words * kWordBytes,
               count, plan_.tap_bytes, to);
    } else {
      CutTaps(from, pitch_words, count, first_bit_, bits_, to);
    }
  }

  void PadTaps(int64_t count, uint8_t* to) const {
    if (count == 0) return;
    std::memset(to, plan_.pad_ones ? 0xFF : 0, size_t(count * plan_.tap_bytes));
    if (!plan_.pad_ones || bits_ % kStepBits == 0) return;
    // The last step of each tap has fewer channels.
    const uint32_t tail = uint32_t(TailMask(bits_ % kStepBits));
    for (int64_t i = 1; i <= count; ++i) {
      std::memcpy(to + i * plan_.tap_bytes - kStepBytes, &tail, sizeof(tail));
    }
  }

  const BconvPlan& plan_;
  const Window& w_;
  int64_t bits_, first_bit_, pixel_words_;
};

// Memory of one RunBconv: gathered rows of each activation base.
struct Scratch {
  Scratch(const BconvPlan& plan, int64_t pixels, void* memory)
      : layout(memory) {
    const int64_t bases = plan.groups[0].activation_bases;
    activations = layout.Take<const uint8_t*>(bases);
    if (!plan.gathers) return;
    offset_class = layout.Take<int32_t>(pixels);
    rows = layout.Take<uint8_t>(bases * pixels * plan.row_bytes);
  }
  MemoryLayout layout;
  const uint8_t** activations;
  int32_t* offset_class = nullptr;
  uint8_t* rows = nullptr;
};

// Gathers one group of a part's pixels, all activation bases.
void GatherPart(const BconvPlan& plan, int64_t group, const BconvPart& part,
                const uint64_t* const* inputs, const Scratch& scratch) {
  const Window& w = plan.shape.window;
  const Gatherer gatherer(plan, group);
  const int64_t image_words =
      w.in_h * w.in_w * WordsFor(plan.shape.in_channels);
  int64_t ow = part.first_pixel % w.out_w;
  int64_t oh = part.first_pixel / w.out_w % w.out_h;
  int64_t image = part.first_pixel / w.out_w / w.out_h;
  for (int64_t i = 0; i < part.pixels; ++i) {
    for (int64_t n = 0; n < plan.groups[group].activation_bases; ++n) {
      gatherer.Gather(inputs[n] + image * image_words, oh, ow,
                      plan.row_taps[oh], plan.column_taps[ow],
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
  const int64_t bytes = plan.row_bytes * plan.groups[0].activation_bases;
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
  BgemmRows rows = {
      .rows = part.pixels,
      .activations = scratch.activations,
      .row_bytes = plan.row_bytes,
      .offset_class =
          plan.row_class == nullptr ? nullptr : scratch.offset_class,
      .first_channel = part.first_channel,
      .channels = part.channels,
      .y = y == nullptr ? nullptr : y + first * y_pitch,
      .y_bits = y_bits == nullptr ? nullptr : y_bits + first * y_pitch,
      .y_pitch = y_pitch,
      .y_channel = 0};
  for (int64_t group = 0; group < plan.shape.groups; ++group) {
    const BgemmPlan& product = plan.groups[group];
    if (plan.gathers) GatherPart(plan, group, part, inputs, scratch);
    for (int64_t n = 0; n < product.activation_bases; ++n) {
      scratch.activations[n] =
          plan.gathers ? scratch.rows + n * part.pixels * plan.row_bytes
                       : reinterpret_cast<const uint8_t*>(inputs[n]) +
                             first * plan.row_bytes;
    }
    if (plan.shape.groups > 1) {
      rows.y_channel = group * product.channels;
      rows.channels = product.channels;
    }
    kernels.run(product, rows);
  }
}

}  // namespace bqengine::kernels
