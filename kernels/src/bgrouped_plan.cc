// Compiling a convolution of narrow groups: planes of weights, and what stands
// between counts and outputs.
#include <algorithm>
#include <bit>
#include <cstdint>

#include "bgrouped_rows.h"
#include "kernels/bgrouped.h"
#include "kernels/threshold.h"
#include "memory_layout.h"
#include "window_taps.h"

namespace bqengine::kernels {
namespace {

constexpr int64_t kMaxSteps = 255;  // a count is a byte

int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// One axis of the window.
struct Axis {
  int64_t in, out, kernel, stride, dilation, pad;

  TapRange Inside(int64_t position) const {
    return InsideTaps(position * stride - pad, dilation, kernel, in);
  }
  // Positions of equal taps are neighbours: both ends of a range only fall.
  bool BeginsClass(int64_t position) const {
    if (position == 0) return true;
    const TapRange a = Inside(position), b = Inside(position - 1);
    return a.begin != b.begin || a.end != b.end;
  }
};

Axis RowAxis(const Window& w) {
  return {w.in_h, w.out_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top};
}
Axis ColumnAxis(const Window& w) {
  return {w.in_w, w.out_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left};
}

// Padded taps are to contribute nothing, but a bit cannot say so.
bool NeedsClasses(const BinaryFormat& format) {
  return format.pad_value == 0 && format.activations == Encoding::kBipolar;
}

int64_t CountClasses(const BconvSpec& spec, const Axis& axis) {
  if (!NeedsClasses(spec.format)) return 1;
  int64_t classes = 0;
  for (int64_t i = 0; i < axis.out; ++i) classes += axis.BeginsClass(i);
  return classes;
}

// The weights of one channel, a word for each tap.
class Filter {
 public:
  Filter(const ConvShape& shape, const uint64_t* weight, int64_t channel)
      : taps_(weight +
              channel * shape.window.kernel_h * shape.window.kernel_w) {}
  uint64_t Bits(int64_t tap) const { return taps_[tap]; }
  int64_t Ones(int64_t tap) const { return std::popcount(taps_[tap]); }

 private:
  const uint64_t* taps_;
};

// acc = offset + factor * count.
int Factor(const BinaryFormat& format) {
  const int scale = format.activations == Encoding::kBipolar ? 2 : 1;
  return format.weights == Encoding::kBipolar ? -scale : scale;
}

// The table at the head of kernels/bgemm.h, and the sum of the padded taps'
// weights where these do not count.
int64_t Offset(const BconvSpec& spec, const Filter& filter, TapRange rows,
               TapRange columns) {
  const Window& w = spec.shape.window;
  const int64_t tap_bits = spec.shape.in_channels / spec.shape.groups;
  const bool a_bipolar = spec.format.activations == Encoding::kBipolar;
  const bool w_bipolar = spec.format.weights == Encoding::kBipolar;
  int64_t ones = 0, padded = 0;
  for (int64_t kh = 0; kh < w.kernel_h; ++kh) {
    for (int64_t kw = 0; kw < w.kernel_w; ++kw) {
      const int64_t tap_ones = filter.Ones(kh * w.kernel_w + kw);
      ones += tap_ones;
      if (kh >= rows.begin && kh < rows.end && kw >= columns.begin &&
          kw < columns.end) {
        continue;
      }
      padded += w_bipolar ? 2 * tap_ones - tap_bits : tap_ones;
    }
  }
  const int64_t unpadded =
      a_bipolar == w_bipolar
          ? (a_bipolar ? w.kernel_h * w.kernel_w * tap_bits : 0)
          : (w_bipolar ? ones : -ones);
  return NeedsClasses(spec.format) ? unpadded + padded : unpadded;
}

// For which counts a bit is 1: bit(count) = last ^ (count < first) ^ (count <
// second).
struct Bounds {
  bool last;
  uint64_t first = 0, second = 0;
};

Bounds FindBounds(const AccumulatorRange& range, int64_t offset, int factor,
                  int64_t steps) {
  const auto bit = [&](int64_t count) {
    return range.Contains(int32_t(offset + factor * count));
  };
  Bounds bounds = {.last = bit(steps)};
  for (int64_t count = steps; count > 0; --count) {
    if (bit(count) == bit(count - 1)) continue;
    (bounds.first == 0 ? bounds.first : bounds.second) = uint64_t(count);
    if (bounds.second != 0) break;
  }
  return bounds;
}

struct Arrays {
  uint64_t* weights;
  int64_t* column_at;
  int32_t* row_class;
  int32_t* column_class;
  float* offsets = nullptr;
  float* mul = nullptr;
  float* add = nullptr;
  uint64_t* last = nullptr;
  uint64_t* first = nullptr;
  uint64_t* second = nullptr;
};

Arrays TakeArrays(const BconvSpec& spec, const BgroupedPlan& plan,
                  MemoryLayout& memory) {
  const Window& w = spec.shape.window;
  const int64_t row_classes = CountClasses(spec, RowAxis(w));
  Arrays arrays;
  arrays.weights = memory.Take<uint64_t>(plan.steps * plan.weight_period);
  arrays.column_at = memory.Take<int64_t>(w.kernel_w);
  arrays.row_class = memory.Take<int32_t>(w.out_h);
  arrays.column_class = memory.Take<int32_t>(w.out_w);
  if (spec.bits_out) {
    const int64_t row_bounds = plan.count_planes * plan.row_words;
    arrays.last = memory.Take<uint64_t>(row_classes * plan.row_words);
    arrays.first = memory.Take<uint64_t>(row_classes * row_bounds);
    arrays.second = memory.Take<uint64_t>(row_classes * row_bounds);
  } else {
    arrays.offsets = memory.Take<float>(row_classes * plan.column_classes *
                                        plan.channel_pitch);
    arrays.mul = memory.Take<float>(plan.channel_pitch);
    arrays.add = memory.Take<float>(plan.channel_pitch);
  }
  return arrays;
}

// All but the pointers.
BgroupedPlan PlanNumbers(const BgroupedKernels& kernels,
                         const BconvSpec& spec) {
  const Window& w = spec.shape.window;
  const int64_t vector = kernels.vector_words;
  const int64_t words = WordsFor(spec.shape.out_channels);
  const int64_t last_column = (w.kernel_w - 1) * w.dilation_w;
  BgroupedPlan plan = {};
  plan.shape = spec.shape;
  plan.use_and = spec.format.weights == Encoding::kUnipolar;
  plan.pad_ones = spec.format.pad_value == 1;
  plan.bits_out = spec.bits_out;
  plan.planes = spec.shape.in_channels / spec.shape.groups;
  plan.steps = w.kernel_h * w.kernel_w * plan.planes;
  plan.count_planes = plan.steps < 16 ? 4 : 8;
  // Vectors begin at a pixel, or pixels at vectors.
  plan.pixel_words = words < vector ? int64_t(std::bit_ceil(uint64_t(words)))
                                    : RoundUp(words, vector);
  plan.weight_period = std::max(plan.pixel_words, vector);
  plan.row_words = RoundUp(w.out_w * plan.pixel_words, vector);
  plan.phases = std::min(w.stride_w, last_column + 1);
  plan.phase_words = RoundUp(
      plan.row_words + last_column / w.stride_w * plan.pixel_words, vector);
  plan.ring_rows = std::min((w.kernel_h - 1) * w.dilation_h + 1, w.in_h);
  plan.column_classes = CountClasses(spec, ColumnAxis(w));
  plan.factor = float(Factor(spec.format));
  plan.channel_pitch = words * kWordBits;
  return plan;
}

void FillClasses(const BconvSpec& spec, const Axis& axis, int32_t* classes) {
  int32_t current = -1;
  for (int64_t i = 0; i < axis.out; ++i) {
    current += axis.BeginsClass(i);
    classes[i] = NeedsClasses(spec.format) ? current : 0;
  }
}

void FillColumns(const BgroupedPlan& plan, int64_t* column_at) {
  const Window& w = plan.shape.window;
  for (int64_t kw = 0; kw < w.kernel_w; ++kw) {
    const int64_t column = kw * w.dilation_w;
    column_at[kw] = column % w.stride_w * plan.phase_words +
                    column / w.stride_w * plan.pixel_words;
  }
}

void PackWeights(const BgroupedPlan& plan, int64_t vector,
                 const uint64_t* weight, uint64_t* packed) {
  for (int64_t o = 0; o < plan.shape.out_channels; ++o) {
    const Filter filter(plan.shape, weight, o);
    for (int64_t step = 0; step < plan.steps; ++step) {
      const uint64_t bit =
          filter.Bits(step / plan.planes) >> step % plan.planes & 1;
      for (int64_t word = o / kWordBits; word < plan.weight_period;
           word += plan.pixel_words) {
        const int64_t at = word / vector * plan.steps + step;
        packed[at * vector + word % vector] |= bit << o % kWordBits;
      }
    }
  }
}

// Calls body(oh, ow, offset) for the first pixel of each pair of classes.
template <class Body>
void ForEachClass(const BconvSpec& spec, const Filter& filter,
                  const Body& body) {
  const Axis rows = RowAxis(spec.shape.window);
  const Axis columns = ColumnAxis(spec.shape.window);
  const bool one = !NeedsClasses(spec.format);
  for (int64_t oh = 0; oh < (one ? 1 : rows.out); ++oh) {
    if (!rows.BeginsClass(oh)) continue;
    for (int64_t ow = 0; ow < (one ? 1 : columns.out); ++ow) {
      if (!columns.BeginsClass(ow)) continue;
      body(oh, ow, Offset(spec, filter, rows.Inside(oh), columns.Inside(ow)));
    }
  }
}

// Absent steps become ones that change nothing: 1 * x and x + -0 are x for
// every x.
void FillFloats(const BconvSpec& spec, const BgroupedPlan& plan,
                const uint64_t* weight, const Arrays& arrays) {
  const Epilogue& e = spec.epilogue;
  for (int64_t o = 0; o < spec.shape.out_channels; ++o) {
    arrays.mul[o] = e.mul == nullptr ? 1.0f : e.mul[o * e.mul_stride];
    arrays.add[o] = e.add == nullptr ? -0.0f : e.add[o * e.add_stride];
    ForEachClass(
        spec, Filter(plan.shape, weight, o),
        [&](int64_t oh, int64_t ow, int64_t offset) {
          const int64_t of_class = arrays.row_class[oh] * plan.column_classes +
                                   arrays.column_class[ow];
          arrays.offsets[of_class * plan.channel_pitch + o] = float(offset);
        });
  }
}

// Bounds of channel `o`, in one class of rows, for the pixel in column `ow`.
void SetBounds(const BgroupedPlan& plan, int64_t row_class, int64_t ow,
               int64_t o, const Bounds& bounds, const Arrays& arrays) {
  const int64_t at = ow * plan.pixel_words + o / kWordBits;
  const int64_t shift = o % kWordBits;
  arrays.last[row_class * plan.row_words + at] |= uint64_t{bounds.last}
                                                  << shift;
  for (int64_t p = 0; p < plan.count_planes; ++p) {
    const int64_t row = row_class * plan.count_planes + p;
    arrays.first[row * plan.row_words + at] |= (bounds.first >> p & 1) << shift;
    arrays.second[row * plan.row_words + at] |= (bounds.second >> p & 1)
                                                << shift;
  }
}

// Whether any channel has two bounds.
bool FillBounds(const BconvSpec& spec, const BgroupedPlan& plan,
                const uint64_t* weight, const Arrays& arrays) {
  // Offset and count each move an accumulator by up to 2 K, also where no pixel
  // has such a count.
  const int32_t max_abs = int32_t(4 * plan.steps);
  bool two = false;
  for (int64_t o = 0; o < spec.shape.out_channels; ++o) {
    const AccumulatorRange range =
        FindAccumulatorRange(spec.epilogue, o, max_abs);
    ForEachClass(
        spec, Filter(plan.shape, weight, o),
        [&](int64_t oh, int64_t first_ow, int64_t offset) {
          const Bounds bounds =
              FindBounds(range, offset, Factor(spec.format), plan.steps);
          two |= bounds.second != 0;
          for (int64_t ow = first_ow;
               ow < spec.shape.window.out_w &&
               arrays.column_class[ow] == arrays.column_class[first_ow];
               ++ow) {
            SetBounds(plan, arrays.row_class[oh], ow, o, bounds, arrays);
          }
        });
  }
  return two;
}

}  // namespace

bool UsesBgrouped(const BconvSpec& spec) {
  const ConvShape& shape = spec.shape;
  const Epilogue& e = spec.epilogue;
  const int64_t in = shape.in_channels / shape.groups;
  const int64_t out = shape.out_channels / shape.groups;
  return shape.groups > 1 && in <= kWordBits && out <= kWordBits &&
         IsCompact(shape.window) &&
         shape.window.kernel_h * shape.window.kernel_w * in <= kMaxSteps &&
         e.weight_bases == 1 && e.activation_bases == 1 && e.post_steps == 0 &&
         !spec.floats_too &&
         (spec.bits_out || (e.alpha == nullptr && e.beta == nullptr));
}

uint64_t BgroupedPlanBytes(const BgroupedKernels& kernels,
                           const BconvSpec& spec) {
  MemoryLayout memory(nullptr);
  TakeArrays(spec, PlanNumbers(kernels, spec), memory);
  return memory.used();
}

BgroupedPlan MakeBgroupedPlan(const BgroupedKernels& kernels,
                              const BconvSpec& spec, const uint64_t* weight,
                              void* memory) {
  BgroupedPlan plan = PlanNumbers(kernels, spec);
  MemoryLayout layout(memory);
  const Arrays arrays = TakeArrays(spec, plan, layout);
  std::fill_n(static_cast<std::byte*>(memory), layout.used(), std::byte{0});
  FillClasses(spec, RowAxis(spec.shape.window), arrays.row_class);
  FillClasses(spec, ColumnAxis(spec.shape.window), arrays.column_class);
  FillColumns(plan, arrays.column_at);
  PackWeights(plan, kernels.vector_words, weight, arrays.weights);
  bool two_bounds = false;
  if (spec.bits_out) {
    two_bounds = FillBounds(spec, plan, weight, arrays);
  } else {
    FillFloats(spec, plan, weight, arrays);
  }
  plan.weights = arrays.weights;
  plan.column_at = arrays.column_at;
  plan.row_class = arrays.row_class;
  plan.column_class = arrays.column_class;
  plan.offsets = arrays.offsets;
  plan.mul = arrays.mul;
  plan.add = arrays.add;
  plan.last = arrays.last;
  plan.first = arrays.first;
  plan.second = two_bounds ? arrays.second : nullptr;
  return plan;
}

uint64_t BgroupedScratchBytes(const BgroupedPlan& plan) {
  return BgroupedScratch(plan, nullptr).layout.used();
}

}  // namespace bqengine::kernels
