// Compiling a binary convolution: its groups' products, and the tables of what
// is padding.
#include <algorithm>
#include <bit>
#include <cstdint>

#include "kernels/bconv.h"
#include "memory_layout.h"

namespace bqengine::kernels {
namespace {

// One axis of the window.
struct Axis {
  int64_t in, out, kernel, stride, dilation, pad;
};

Axis RowAxis(const Window& w) {
  return {w.in_h, w.out_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top};
}
Axis ColumnAxis(const Window& w) {
  return {w.in_w, w.out_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left};
}

// Kernel positions that fall inside of the image, for one output position. Both
// ends of the span only fall as `position` rises, so that positions of equal
// spans, a class, are neighbours.
TapSpan InsideTaps(const Axis& axis, int64_t position) {
  const int64_t first = position * axis.stride - axis.pad;
  // Positions of the kernel before `limit`, a coordinate of the image.
  const auto before = [&](int64_t limit) {
    const int64_t distance = limit - first;
    if (distance <= 0) return int64_t{0};
    return std::min((distance + axis.dilation - 1) / axis.dilation,
                    axis.kernel);
  };
  return {int32_t(before(0)), int32_t(before(axis.in))};
}

bool Same(TapSpan a, TapSpan b) { return a.begin == b.begin && a.end == b.end; }

int64_t CountClasses(const Axis& axis) {
  int64_t classes = 1;
  for (int64_t i = 1; i < axis.out; ++i) {
    classes += !Same(InsideTaps(axis, i), InsideTaps(axis, i - 1));
  }
  return classes;
}

bool Gathers(const ConvShape& shape) {
  const Window& w = shape.window;
  return shape.groups != 1 || w.kernel_h != 1 || w.kernel_w != 1 ||
         w.stride_h != 1 || w.stride_w != 1 || w.pad_top != 0 ||
         w.pad_left != 0 || w.out_h != w.in_h || w.out_w != w.in_w;
}

// Padded taps are to contribute nothing, but a bit cannot say so.
bool NeedsClasses(const BconvSpec& spec) {
  return Gathers(spec.shape) && spec.format.pad_value == 0 &&
         spec.format.activations == Encoding::kBipolar;
}

struct Arrays {
  int64_t row_classes = 1, column_classes = 1;
  BgemmPlan* groups;
  TapSpan* row_taps = nullptr;
  TapSpan* column_taps = nullptr;
  int32_t* row_class = nullptr;
  int32_t* column_class = nullptr;
  int32_t* tap_sums = nullptr;  // [kernel_h + 1][kernel_w + 1]
};

Arrays TakeArrays(const BconvSpec& spec, MemoryLayout& memory) {
  const Window& w = spec.shape.window;
  Arrays arrays;
  arrays.groups = memory.Take<BgemmPlan>(spec.shape.groups);
  if (!Gathers(spec.shape)) return arrays;
  arrays.row_taps = memory.Take<TapSpan>(w.out_h);
  arrays.column_taps = memory.Take<TapSpan>(w.out_w);
  if (!NeedsClasses(spec)) return arrays;
  arrays.row_classes = CountClasses(RowAxis(w));
  arrays.column_classes = CountClasses(ColumnAxis(w));
  arrays.row_class = memory.Take<int32_t>(w.out_h);
  arrays.column_class = memory.Take<int32_t>(w.out_w);
  arrays.tap_sums = memory.Take<int32_t>((w.kernel_h + 1) * (w.kernel_w + 1));
  return arrays;
}

BgemmSpec GroupSpec(const BconvSpec& spec, const Arrays& arrays,
                    int64_t group) {
  const ConvShape& shape = spec.shape;
  const int64_t channels = shape.out_channels / shape.groups;
  return {.taps = shape.window.kernel_h * shape.window.kernel_w,
          .tap_bits = shape.in_channels / shape.groups,
          .out_channels = shape.out_channels,
          .first_channel = group * channels,
          .channels = channels,
          .format = spec.format,
          .epilogue = spec.epilogue,
          .bits_out = spec.bits_out,
          .classes = arrays.row_classes * arrays.column_classes,
          .rows = shape.window.batch * shape.window.out_h * shape.window.out_w};
}

void FillAxis(const Axis& axis, int64_t classes_behind, TapSpan* taps,
              int32_t* first_class) {
  int64_t current = 0;
  for (int64_t i = 0; i < axis.out; ++i) {
    taps[i] = InsideTaps(axis, i);
    if (i > 0 && !Same(taps[i], taps[i - 1])) current += classes_behind;
    if (first_class != nullptr) first_class[i] = int32_t(current);
  }
}

// sums[h][w]: the sum of a filter's weights over its taps before (h, w).
void SumTaps(const BconvSpec& spec, const uint64_t* filter, int32_t* sums) {
  const Window& w = spec.shape.window;
  const int64_t bits = spec.shape.in_channels / spec.shape.groups;
  const bool bipolar = spec.format.weights == Encoding::kBipolar;
  const int64_t pitch = w.kernel_w + 1;
  std::fill_n(sums, pitch, 0);
  for (int64_t kh = 0; kh < w.kernel_h; ++kh) {
    int32_t* row = sums + (kh + 1) * pitch;
    int32_t in_row = 0;
    row[0] = 0;
    for (int64_t kw = 0; kw < w.kernel_w; ++kw) {
      int32_t ones = 0;
      for (int64_t i = 0; i < WordsFor(bits); ++i) {
        ones += std::popcount(*filter++);
      }
      in_row += bipolar ? 2 * ones - int32_t(bits) : ones;
      row[kw + 1] = row[kw + 1 - pitch] + in_row;
    }
  }
}

// Puts the sum of the padded taps' weights into the offsets of every class.
// On entry `offsets` holds, for class 0, what a pixel with no padded tap gets.
void FillClassOffsets(const BconvSpec& spec, const Arrays& arrays,
                      const BgemmPlan& plan, int64_t group,
                      const uint64_t* weight, int32_t* offsets) {
  const Window& w = spec.shape.window;
  const int64_t tap_words =
      WordsFor(spec.shape.in_channels / spec.shape.groups);
  const int64_t pitch = w.kernel_w + 1;
  for (int64_t m = 0; m < plan.weight_bases; ++m) {
    for (int64_t o = 0; o < plan.channels; ++o) {
      const int64_t filter =
          m * spec.shape.out_channels + group * plan.channels + o;
      SumTaps(spec, weight + filter * w.kernel_h * w.kernel_w * tap_words,
              arrays.tap_sums);
      const auto sum = [&](int64_t h, int64_t w) {
        return arrays.tap_sums[h * pitch + w];
      };
      int32_t* offset = offsets + m * plan.channel_pitch + o;
      const int32_t all_padded = *offset + sum(w.kernel_h, w.kernel_w);
      for (int64_t i = 0; i < w.out_h; ++i) {
        if (i > 0 && arrays.row_class[i] == arrays.row_class[i - 1]) continue;
        const TapSpan h = arrays.row_taps[i];
        for (int64_t j = 0; j < w.out_w; ++j) {
          if (j > 0 && arrays.column_class[j] == arrays.column_class[j - 1]) {
            continue;
          }
          const TapSpan v = arrays.column_taps[j];
          const int32_t inside = sum(h.end, v.end) - sum(h.begin, v.end) -
                                 sum(h.end, v.begin) + sum(h.begin, v.begin);
          const int64_t of_class = arrays.row_class[i] + arrays.column_class[j];
          offset[of_class * plan.weight_bases * plan.channel_pitch] =
              all_padded - inside;
        }
      }
    }
  }
}

}  // namespace

uint64_t BconvPlanBytes(const BgemmKernels& kernels, const BconvSpec& spec) {
  MemoryLayout memory(nullptr);
  const Arrays arrays = TakeArrays(spec, memory);
  const uint64_t group_bytes =
      BgemmPlanBytes(kernels, GroupSpec(spec, arrays, 0));
  return memory.used() + uint64_t(spec.shape.groups) * group_bytes;
}

BconvPlan MakeBconvPlan(const BgemmKernels& kernels, const BconvSpec& spec,
                        const uint64_t* weight, void* memory) {
  MemoryLayout layout(memory);
  const Arrays arrays = TakeArrays(spec, layout);
  const Window& w = spec.shape.window;
  if (arrays.row_taps != nullptr) {
    FillAxis(RowAxis(w), arrays.column_classes, arrays.row_taps,
             arrays.row_class);
    FillAxis(ColumnAxis(w), 1, arrays.column_taps, arrays.column_class);
  }
  const int64_t group_bytes =
      int64_t(BgemmPlanBytes(kernels, GroupSpec(spec, arrays, 0)));
  for (int64_t group = 0; group < spec.shape.groups; ++group) {
    BgemmPlan& plan = arrays.groups[group];
    plan = MakeBgemmPlan(kernels, GroupSpec(spec, arrays, group), weight,
                         layout.Take<std::byte>(group_bytes));
    if (arrays.row_class != nullptr) {
      FillClassOffsets(spec, arrays, plan, group, weight,
                       const_cast<int32_t*>(plan.offsets));
    }
  }

  const int64_t steps = arrays.groups[0].steps;
  const bool gathers = Gathers(spec.shape);
  return {.shape = spec.shape,
          .gathers = gathers,
          .pad_ones = spec.format.pad_value == 1,
          .tap_bytes = steps / (w.kernel_h * w.kernel_w) * kStepBytes,
          .row_bytes = gathers ? steps * kStepBytes
                               : WordsFor(spec.shape.in_channels) *
                                     int64_t{sizeof(uint64_t)},
          .groups = arrays.groups,
          .row_taps = arrays.row_taps,
          .column_taps = arrays.column_taps,
          .row_class = arrays.row_class,
          .column_class = arrays.column_class};
}

}  // namespace bqengine::kernels
