// Compiling a binary product: packed weights and constants per channel.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/bgemm.h"
#include "kernels/threshold.h"
#include "memory_layout.h"

namespace bqengine::kernels {
namespace {

int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

int64_t StepsPerTap(const BgemmSpec& spec) {
  return (spec.tap_bits + kStepBits - 1) / kStepBits;
}

bool HasBases(const Epilogue& e) {
  return e.weight_bases > 1 || e.activation_bases > 1 || e.alpha != nullptr ||
         e.beta != nullptr;
}

// One accumulator decides about a bit.
bool UsesRanges(const BgemmSpec& spec) {
  const Epilogue& e = spec.epilogue;
  return spec.bits_out && !spec.floats_too && e.weight_bases == 1 &&
         e.activation_bases == 1 && e.post_steps == 0;
}

// How a plan's weights are packed. The head of kernels/bgemm.h draws both
// forms.
struct WeightForm {
  bool looks_up;
  int64_t block_channels;
  int64_t channel_multiple;  // channels are padded to
  int64_t step_words;        // of a channel

  WeightForm(const BgemmKernels& kernels, const BgemmSpec& spec)
      : looks_up(LooksUp(kernels, spec)),
        block_channels(kernels.lanes *
                       (looks_up ? kLookUpVectors : kernels.block_vectors)),
        channel_multiple(looks_up ? block_channels : kernels.lanes),
        step_words(looks_up ? 2 : 1) {}

  int64_t Pitch(const BgemmSpec& spec) const {
    return RoundUp(spec.channels, channel_multiple);
  }

 private:
  static constexpr int64_t kLookUpVectors = 4;

  static bool LooksUp(const BgemmKernels& kernels, const BgemmSpec& spec) {
    if (!kernels.can_look_up) return false;
    // Looking up takes half the time of counting for a channel, but more
    // channels at a time.
    const int64_t pitch =
        RoundUp(spec.channels, kernels.lanes * kLookUpVectors);
    if (pitch >= 2 * RoundUp(spec.channels, kernels.lanes)) return false;
    // Second-level caches of the machines we aim at have 1 MiB and more.
    constexpr int64_t kMaxBytesOfFewRows = 1 << 20;
    const int64_t bytes = spec.epilogue.weight_bases * pitch * spec.taps() *
                          StepsPerTap(spec) * 2 * kStepBytes;
    return spec.rows >= kernels.tile_rows || bytes <= kMaxBytesOfFewRows;
  }
};

struct Arrays {
  uint32_t* weights;
  int32_t* starts;
  int32_t* odds;
  int32_t* tap_ones;  // [kernel_h + 1][kernel_w + 1], see SumTaps
  float* alpha = nullptr;
  float* beta = nullptr;
  float* mul = nullptr;
  float* add = nullptr;
  float* post[kMaxPostSteps] = {};
  float* threshold = nullptr;
  int32_t* range_limit = nullptr;
};

Arrays TakeArrays(const BgemmKernels& kernels, const BgemmSpec& spec,
                  MemoryLayout& memory) {
  const Epilogue& e = spec.epilogue;
  const WeightForm form(kernels, spec);
  const int64_t pitch = form.Pitch(spec);
  Arrays arrays;
  arrays.weights = memory.Take<uint32_t>(e.weight_bases * pitch * spec.taps() *
                                         StepsPerTap(spec) * form.step_words);
  const int64_t starts = spec.classes() * e.weight_bases * pitch;
  arrays.starts = memory.Take<int32_t>(starts);
  arrays.odds = memory.Take<int32_t>(starts);
  arrays.tap_ones =
      memory.Take<int32_t>((spec.kernel_h + 1) * (spec.kernel_w + 1));
  if (UsesRanges(spec)) {
    arrays.range_limit = memory.Take<int32_t>(pitch);
    return arrays;
  }
  if (HasBases(e)) {
    arrays.alpha = memory.Take<float>(e.weight_bases * pitch);
    arrays.beta = memory.Take<float>(e.activation_bases);
  }
  arrays.mul = memory.Take<float>(pitch);
  arrays.add = memory.Take<float>(pitch);
  for (int i = 0; i < e.post_steps; ++i) {
    const PostStep& step = e.post[i];
    if (step.value == nullptr) continue;
    arrays.post[i] = memory.Take<float>(step.op == PostOp::kClip ? 2 : pitch);
  }
  if (spec.bits_out) arrays.threshold = memory.Take<float>(pitch);
  return arrays;
}

// The weights of one tap of one channel.
const uint64_t* TapWords(const BgemmSpec& spec, const uint64_t* weight,
                         int64_t base, int64_t channel, int64_t tap) {
  const int64_t filter =
      base * spec.out_channels + spec.first_channel + channel;
  return weight + (filter * spec.taps() + tap) * WordsFor(spec.tap_bits);
}

// One step of a channel's tap, 0 for channels that only fill a vector.
uint32_t StepBits(const BgemmSpec& spec, const uint64_t* weight, int64_t base,
                  int64_t channel, int64_t tap, int64_t step) {
  if (channel >= spec.channels) return 0;
  const uint64_t* words = TapWords(spec, weight, base, channel, tap);
  return uint32_t(words[step / 2] >> (step % 2 * kStepBits));
}

// One step of a block of channels, as words of 32 bits of each.
uint32_t* PackStep(const BgemmSpec& spec, const uint64_t* weight, int64_t base,
                   int64_t first, int64_t width, int64_t tap, int64_t step,
                   uint32_t* packed) {
  for (int64_t o = first; o < first + width; ++o) {
    *packed++ = StepBits(spec, weight, base, o, tap, step);
  }
  return packed;
}

// The same as bytes of 4 bits; byte i of lane l is channel i * lanes + l.
uint32_t* PackLookUpStep(const BgemmSpec& spec, const uint64_t* weight,
                         int64_t base, int64_t first, int64_t width,
                         int64_t tap, int64_t step, uint32_t* packed) {
  uint8_t* const bytes = reinterpret_cast<uint8_t*>(packed);
  const int64_t lanes = width / 4;
  for (int64_t o = 0; o < width; ++o) {
    const uint32_t bits = StepBits(spec, weight, base, first + o, tap, step);
    uint8_t* to = bytes + o % lanes * 4 + o / lanes;
    for (int i = 0; i < 4; ++i) {
      to[i * width] = uint8_t(bits >> (8 * i) & 15);
      to[(4 + i) * width] = uint8_t(bits >> (8 * i + 4) & 15);
    }
  }
  return packed + 2 * width;
}

void PackWeights(const WeightForm& form, const BgemmSpec& spec,
                 const uint64_t* weight, int64_t base, uint32_t* packed) {
  const int64_t tap_steps = StepsPerTap(spec);
  const int64_t pitch = form.Pitch(spec);
  const auto pack = form.looks_up ? PackLookUpStep : PackStep;
  for (int64_t first = 0; first < pitch; first += form.block_channels) {
    const int64_t width = std::min(form.block_channels, pitch - first);
    for (int64_t tap = 0; tap < spec.taps(); ++tap) {
      for (int64_t step = 0; step < tap_steps; ++step) {
        packed = pack(spec, weight, base, first, width, tap, step, packed);
      }
    }
  }
}

// sums[h][w]: ones of a filter's weights over its taps above and left of (h,
// w).
void SumTaps(const BgemmSpec& spec, const uint64_t* filter, int32_t* sums) {
  const int64_t pitch = spec.kernel_w + 1;
  std::fill_n(sums, pitch, 0);
  for (int64_t h = 0; h < spec.kernel_h; ++h) {
    int32_t* row = sums + (h + 1) * pitch;
    int32_t in_row = 0;
    row[0] = 0;
    for (int64_t w = 0; w < spec.kernel_w; ++w) {
      for (int64_t i = 0; i < WordsFor(spec.tap_bits); ++i) {
        in_row += std::popcount(*filter++);
      }
      row[w + 1] = row[w + 1 - pitch] + in_row;
    }
  }
}

// The dot product before anything is counted, of a class of rows: the table at
// the head of kernels/bgemm.h for the taps inside, and what padding adds.
int32_t Offset(const BgemmSpec& spec, const int32_t* tap_ones, TapSpan rows,
               TapSpan columns) {
  const int64_t pitch = spec.kernel_w + 1;
  const auto before = [&](int64_t h, int64_t w) {
    return tap_ones[h * pitch + w];
  };
  const int32_t ones =
      before(rows.end, columns.end) - before(rows.begin, columns.end) -
      before(rows.end, columns.begin) + before(rows.begin, columns.begin);
  const int32_t bits = int32_t((rows.end - rows.begin) *
                               (columns.end - columns.begin) * spec.tap_bits);
  const int32_t padded_ones = before(spec.kernel_h, spec.kernel_w) - ones;
  const int32_t padded_bits = int32_t(spec.taps() * spec.tap_bits) - bits;

  const bool a_bipolar = spec.format.activations == Encoding::kBipolar;
  const bool w_bipolar = spec.format.weights == Encoding::kBipolar;
  const int32_t padded_sum =
      w_bipolar ? 2 * padded_ones - padded_bits : padded_ones;
  const int32_t padding = spec.format.pad_value * padded_sum;
  if (a_bipolar && w_bipolar) return bits + padding;
  if (!a_bipolar && !w_bipolar) return padding;
  return (w_bipolar ? ones : -ones) + padding;
}

// Offsets of all classes, [classes][M][pitch].
void FillOffsets(const BgemmSpec& spec, int64_t pitch, const uint64_t* weight,
                 const Arrays& arrays) {
  const TapSpan all_rows = {0, int32_t(spec.kernel_h)};
  const TapSpan all_columns = {0, int32_t(spec.kernel_w)};
  const int64_t bases = spec.epilogue.weight_bases;
  for (int64_t m = 0; m < bases; ++m) {
    for (int64_t o = 0; o < spec.channels; ++o) {
      SumTaps(spec, TapWords(spec, weight, m, o, 0), arrays.tap_ones);
      for (int64_t i = 0; i < spec.classes(); ++i) {
        const TapSpan rows = spec.class_rows == nullptr
                                 ? all_rows
                                 : spec.class_rows[i / spec.column_classes];
        const TapSpan columns =
            spec.class_columns == nullptr
                ? all_columns
                : spec.class_columns[i % spec.column_classes];
        arrays.starts[(i * bases + m) * pitch + o] =
            Offset(spec, arrays.tap_ones, rows, columns);
      }
    }
  }
}

// Of a channel, as kernels see them. Absent steps become ones that change
// nothing: 1 * x and x + -0 are x for every x, so that the kernels need no
// variants. `scale` goes into what meets the accumulator first.
struct ChannelConstants {
  float mul, add, threshold;
};

ChannelConstants ConstantsOf(const BgemmSpec& spec, int64_t channel,
                             float scale) {
  const Epilogue& e = spec.epilogue;
  const int64_t o = spec.first_channel + channel;
  const auto value = [&](const float* values, int64_t stride, float absent) {
    return values == nullptr ? absent : values[o * stride];
  };
  return {
      .mul = value(e.mul, e.mul_stride, 1.0f) * (HasBases(e) ? 1.0f : scale),
      .add = value(e.add, e.add_stride, -0.0f),
      .threshold = value(e.threshold, e.threshold_stride, 0.0f)};
}

float AlphaOf(const BgemmSpec& spec, int64_t base, int64_t channel,
              float scale) {
  const Epilogue& e = spec.epilogue;
  if (e.alpha == nullptr) return scale;
  return scale * e.alpha[e.alpha_per_channel ? base * spec.out_channels +
                                                   spec.first_channel + channel
                                             : base];
}

// Whether doubling what meets the accumulator first is exact: nothing overflows
// that did not before.
bool CanDouble(const BgemmSpec& spec) {
  const auto doubles = [](float one, float two) {
    return std::isfinite(two) || !std::isfinite(one);
  };
  for (int64_t o = 0; o < spec.channels; ++o) {
    if (!HasBases(spec.epilogue)) {
      if (!doubles(ConstantsOf(spec, o, 1).mul, ConstantsOf(spec, o, 2).mul)) {
        return false;
      }
      continue;
    }
    for (int64_t m = 0; m < spec.epilogue.weight_bases; ++m) {
      if (!doubles(AlphaOf(spec, m, o, 1), AlphaOf(spec, m, o, 2))) {
        return false;
      }
    }
  }
  return true;
}

void FillConstants(const BgemmSpec& spec, int64_t pitch, float scale,
                   const Arrays& arrays) {
  const Epilogue& e = spec.epilogue;
  for (int64_t o = 0; o < spec.channels; ++o) {
    const ChannelConstants constants = ConstantsOf(spec, o, scale);
    arrays.mul[o] = constants.mul;
    arrays.add[o] = constants.add;
    if (arrays.threshold != nullptr) arrays.threshold[o] = constants.threshold;
  }
  if (arrays.alpha == nullptr) return;
  for (int64_t m = 0; m < e.weight_bases; ++m) {
    for (int64_t o = 0; o < spec.channels; ++o) {
      arrays.alpha[m * pitch + o] = AlphaOf(spec, m, o, scale);
    }
  }
  for (int64_t n = 0; n < e.activation_bases; ++n) {
    arrays.beta[n] = e.beta == nullptr ? 1.0f : e.beta[n];
  }
}

void FillPost(const BgemmSpec& spec, const Arrays& arrays, BgemmPlan& plan) {
  const Epilogue& e = spec.epilogue;
  plan.post_steps = e.post_steps;
  for (int i = 0; i < e.post_steps; ++i) {
    const PostStep& step = e.post[i];
    plan.post[i] = {.op = step.op, .value = arrays.post[i]};
    if (step.op == PostOp::kClip) {
      std::copy_n(step.value, 2, arrays.post[i]);
    } else if (step.value != nullptr) {
      for (int64_t o = 0; o < spec.channels; ++o) {
        arrays.post[i][o] = step.value[(spec.first_channel + o) * step.stride];
      }
    }
  }
}

// The range of each channel; its offset goes to `to`, of every class.
void FillRanges(const BgemmSpec& spec, int64_t pitch, float scale, int32_t* to,
                int32_t* limits) {
  const int32_t max_abs = int32_t(spec.taps() * spec.tap_bits);
  for (int64_t o = 0; o < spec.channels; ++o) {
    const ChannelConstants constants = ConstantsOf(spec, o, scale);
    const float alpha = AlphaOf(spec, 0, o, scale);
    Epilogue of_channel = {.beta = spec.epilogue.beta,
                           .mul = &constants.mul,
                           .add = &constants.add,
                           .threshold = &constants.threshold};
    if (HasBases(spec.epilogue)) of_channel.alpha = &alpha;
    const AccumulatorRange range = FindAccumulatorRange(of_channel, 0, max_abs);
    limits[o] = range.limit;
    for (int64_t i = 0; i < spec.classes(); ++i) {
      // Modulo 2^32, as the comparison.
      int32_t& start = to[i * pitch + o];
      start = int32_t(uint32_t(start) + uint32_t(range.offset));
    }
  }
}

// Halves the offsets where counts are doubled. Returns whether that leaves odd
// ones, which then are in `odds`.
bool HalveOffsets(int64_t count, const Arrays& arrays) {
  bool any_odd = false;
  for (int64_t i = 0; i < count; ++i) {
    arrays.odds[i] = arrays.starts[i] & 1;
    arrays.starts[i] >>= 1;
    any_odd |= arrays.odds[i] != 0;
  }
  return any_odd;
}

}  // namespace

uint64_t BgemmPlanBytes(const BgemmKernels& kernels, const BgemmSpec& spec) {
  MemoryLayout memory(nullptr);
  TakeArrays(kernels, spec, memory);
  return memory.used();
}

BgemmPlan MakeBgemmPlan(const BgemmKernels& kernels, const BgemmSpec& spec,
                        const uint64_t* weight, void* memory) {
  const Epilogue& e = spec.epilogue;
  MemoryLayout layout(memory);
  const Arrays arrays = TakeArrays(kernels, spec, layout);
  // Channels that only fill a vector compute something, too: let it be 0.
  std::fill_n(static_cast<std::byte*>(memory), layout.used(), std::byte{0});

  const WeightForm form(kernels, spec);
  const int64_t pitch = form.Pitch(spec);
  const int64_t steps = spec.taps() * StepsPerTap(spec);
  const int64_t channel_words = steps * form.step_words;
  for (int64_t m = 0; m < e.weight_bases; ++m) {
    PackWeights(form, spec, weight, m,
                arrays.weights + m * pitch * channel_words);
  }

  FillOffsets(spec, pitch, weight, arrays);
  const bool doubled = spec.format.activations == Encoding::kBipolar;
  bool odd = false;
  if (doubled) {
    odd = HalveOffsets(spec.classes() * e.weight_bases * pitch, arrays) ||
          !CanDouble(spec);
  }
  const float scale = doubled && !odd ? 2.0f : 1.0f;
  if (UsesRanges(spec)) {
    FillRanges(spec, pitch, scale, odd ? arrays.odds : arrays.starts,
               arrays.range_limit);
  } else {
    FillConstants(spec, pitch, scale, arrays);
  }

  BgemmPlan plan = {.steps = steps,
                    .channels = spec.channels,
                    .channel_pitch = pitch,
                    .weight_bases = e.weight_bases,
                    .activation_bases = e.activation_bases,
                    .use_and = spec.format.weights == Encoding::kUnipolar,
                    .starts = arrays.starts,
                    .odds = odd ? arrays.odds : nullptr,
                    .weights = arrays.weights,
                    .weight_base_pitch = pitch * channel_words,
                    .channel_words = channel_words,
                    .looks_up = form.looks_up,
                    .alpha = arrays.alpha,
                    .beta = arrays.beta,
                    .mul = arrays.mul,
                    .add = arrays.add,
                    .post_steps = 0,
                    .post = {},
                    .threshold = arrays.threshold,
                    .range_limit = arrays.range_limit};
  FillPost(spec, arrays, plan);
  return plan;
}

uint64_t BgemmScratchBytes(const BgemmPlan& plan, int64_t rows) {
  if (!plan.looks_up) return 0;
  // Two bytes for 4 bits of two rows; in the worst case each row is alone.
  return uint64_t(plan.activation_bases * rows * plan.steps) * 4 * kStepBytes;
}

}  // namespace bqengine::kernels
