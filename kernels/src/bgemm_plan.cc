// Compiling a binary product: packed weights and constants per channel.
#include <algorithm>
#include <bit>
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
  return spec.bits_out && spec.epilogue.weight_bases == 1 &&
         spec.epilogue.activation_bases == 1;
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
    if (kernels.prepare_rows == nullptr) return false;
    // Looking up takes half the time of counting for a channel, but more
    // channels at a time.
    const int64_t pitch =
        RoundUp(spec.channels, kernels.lanes * kLookUpVectors);
    if (pitch >= 2 * RoundUp(spec.channels, kernels.lanes)) return false;
    // Second-level caches of the machines we aim at have 1 MiB and more.
    constexpr int64_t kMaxBytesOfFewRows = 1 << 20;
    const int64_t bytes = spec.epilogue.weight_bases * pitch * spec.taps *
                          StepsPerTap(spec) * 2 * kStepBytes;
    return spec.rows >= kernels.tile_rows || bytes <= kMaxBytesOfFewRows;
  }
};

struct Arrays {
  uint32_t* weights;
  int32_t* offsets;
  float* alpha = nullptr;
  float* beta = nullptr;
  float* mul = nullptr;
  float* add = nullptr;
  float* threshold = nullptr;
  int32_t* range_offset = nullptr;
  int32_t* range_limit = nullptr;
};

Arrays TakeArrays(const BgemmKernels& kernels, const BgemmSpec& spec,
                  MemoryLayout& memory) {
  const Epilogue& e = spec.epilogue;
  const WeightForm form(kernels, spec);
  const int64_t pitch = form.Pitch(spec);
  Arrays arrays;
  arrays.weights = memory.Take<uint32_t>(e.weight_bases * pitch * spec.taps *
                                         StepsPerTap(spec) * form.step_words);
  arrays.offsets = memory.Take<int32_t>(spec.classes * e.weight_bases * pitch);
  if (UsesRanges(spec)) {
    arrays.range_offset = memory.Take<int32_t>(pitch);
    arrays.range_limit = memory.Take<int32_t>(pitch);
    return arrays;
  }
  if (HasBases(e)) {
    arrays.alpha = memory.Take<float>(e.weight_bases * pitch);
    arrays.beta = memory.Take<float>(e.activation_bases);
  }
  arrays.mul = memory.Take<float>(pitch);
  arrays.add = memory.Take<float>(pitch);
  if (spec.bits_out) arrays.threshold = memory.Take<float>(pitch);
  return arrays;
}

// The weights of one tap of one channel.
const uint64_t* TapWords(const BgemmSpec& spec, const uint64_t* weight,
                         int64_t base, int64_t channel, int64_t tap) {
  const int64_t filter =
      base * spec.out_channels + spec.first_channel + channel;
  return weight + (filter * spec.taps + tap) * WordsFor(spec.tap_bits);
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
    for (int64_t tap = 0; tap < spec.taps; ++tap) {
      for (int64_t step = 0; step < tap_steps; ++step) {
        packed = pack(spec, weight, base, first, width, tap, step, packed);
      }
    }
  }
}

int32_t CountOnes(const BgemmSpec& spec, const uint64_t* weight, int64_t base,
                  int64_t channel) {
  const uint64_t* words = TapWords(spec, weight, base, channel, 0);
  int32_t ones = 0;
  for (int64_t i = 0; i < spec.taps * WordsFor(spec.tap_bits); ++i) {
    ones += std::popcount(words[i]);
  }
  return ones;
}

// The table at the head of kernels/bgemm.h.
int32_t Offset(const BgemmSpec& spec, const uint64_t* weight, int64_t base,
               int64_t channel) {
  const bool a_bipolar = spec.format.activations == Encoding::kBipolar;
  const bool w_bipolar = spec.format.weights == Encoding::kBipolar;
  if (a_bipolar && w_bipolar) return int32_t(spec.taps * spec.tap_bits);
  if (!a_bipolar && !w_bipolar) return 0;
  const int32_t ones = CountOnes(spec, weight, base, channel);
  return w_bipolar ? ones : -ones;
}

// Absent steps become ones that change nothing: 1 * x and x + -0 are x for
// every x, so that the kernels need no variants.
void FillConstants(const BgemmSpec& spec, int64_t pitch, const Arrays& arrays) {
  const Epilogue& e = spec.epilogue;
  const auto value = [&](const float* values, int64_t stride, int64_t o,
                         float absent) {
    return values == nullptr ? absent
                             : values[(spec.first_channel + o) * stride];
  };
  for (int64_t o = 0; o < spec.channels; ++o) {
    arrays.mul[o] = value(e.mul, e.mul_stride, o, 1.0f);
    arrays.add[o] = value(e.add, e.add_stride, o, -0.0f);
    if (arrays.threshold != nullptr) {
      arrays.threshold[o] = value(e.threshold, e.threshold_stride, o, 0.0f);
    }
  }
  if (arrays.alpha == nullptr) return;
  for (int64_t m = 0; m < e.weight_bases; ++m) {
    for (int64_t o = 0; o < spec.channels; ++o) {
      const int64_t index = e.alpha_per_channel
                                ? m * spec.out_channels + spec.first_channel + o
                                : m;
      arrays.alpha[m * pitch + o] = e.alpha == nullptr ? 1.0f : e.alpha[index];
    }
  }
  for (int64_t n = 0; n < e.activation_bases; ++n) {
    arrays.beta[n] = e.beta == nullptr ? 1.0f : e.beta[n];
  }
}

void FillRanges(const BgemmSpec& spec, const Arrays& arrays) {
  const int32_t max_abs = int32_t(spec.taps * spec.tap_bits);
  for (int64_t o = 0; o < spec.channels; ++o) {
    const AccumulatorRange range =
        FindAccumulatorRange(spec.epilogue, spec.first_channel + o, max_abs);
    arrays.range_offset[o] = range.offset;
    arrays.range_limit[o] = range.limit;
  }
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
  const int64_t steps = spec.taps * StepsPerTap(spec);
  const int64_t channel_words = steps * form.step_words;
  for (int64_t m = 0; m < e.weight_bases; ++m) {
    PackWeights(form, spec, weight, m,
                arrays.weights + m * pitch * channel_words);
    for (int64_t o = 0; o < spec.channels; ++o) {
      arrays.offsets[m * pitch + o] = Offset(spec, weight, m, o);
    }
  }
  if (UsesRanges(spec)) {
    FillRanges(spec, arrays);
  } else {
    FillConstants(spec, pitch, arrays);
  }

  const bool w_bipolar = spec.format.weights == Encoding::kBipolar;
  const bool a_bipolar = spec.format.activations == Encoding::kBipolar;
  return {.steps = steps,
          .channels = spec.channels,
          .channel_pitch = pitch,
          .weight_bases = e.weight_bases,
          .activation_bases = e.activation_bases,
          .use_and = !w_bipolar,
          .count_shift = a_bipolar ? 1 : 0,
          .offsets = arrays.offsets,
          .weights = arrays.weights,
          .weight_base_pitch = pitch * channel_words,
          .channel_words = channel_words,
          .prepared_row_bytes = form.looks_up ? steps * 2 * kStepBytes : 0,
          .alpha = arrays.alpha,
          .beta = arrays.beta,
          .mul = arrays.mul,
          .add = arrays.add,
          .threshold = arrays.threshold,
          .range_offset = arrays.range_offset,
          .range_limit = arrays.range_limit};
}

}  // namespace bqengine::kernels
