// Compiling a binary convolution: its groups' products, and which pixels have
// which taps inside of the image.
#include <algorithm>
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

// Returns their number; writes them unless `classes` is null.
int64_t FindClasses(const Axis& axis, PositionClass* classes, TapSpan* taps) {
  int64_t count = 0;
  for (int64_t begin = 0; begin < axis.out; ++count) {
    const TapSpan span = InsideTaps(axis, begin);
    int64_t end = begin + 1;
    for (int64_t beyond = axis.out; end < beyond;) {
      const int64_t middle = end + (beyond - end) / 2;
      if (Same(InsideTaps(axis, middle), span)) {
        end = middle + 1;
      } else {
        beyond = middle;
      }
    }
    if (classes != nullptr) {
      classes[count] = {begin, end, span};
      taps[count] = span;
    }
    begin = end;
  }
  return count;
}

struct Arrays {
  int64_t row_classes, column_classes;
  BgemmPlan* groups;
  PositionClass* rows;
  PositionClass* columns;
  TapSpan* row_taps;
  TapSpan* column_taps;
};

Arrays TakeArrays(const BconvSpec& spec, MemoryLayout& memory) {
  const Window& w = spec.shape.window;
  Arrays arrays;
  arrays.groups = memory.Take<BgemmPlan>(spec.shape.groups);
  arrays.row_classes = FindClasses(RowAxis(w), nullptr, nullptr);
  arrays.column_classes = FindClasses(ColumnAxis(w), nullptr, nullptr);
  arrays.rows = memory.Take<PositionClass>(arrays.row_classes);
  arrays.columns = memory.Take<PositionClass>(arrays.column_classes);
  arrays.row_taps = memory.Take<TapSpan>(arrays.row_classes);
  arrays.column_taps = memory.Take<TapSpan>(arrays.column_classes);
  return arrays;
}

BgemmSpec GroupSpec(const BconvSpec& spec, const Arrays& arrays,
                    int64_t group) {
  const ConvShape& shape = spec.shape;
  const Window& w = shape.window;
  const int64_t channels = shape.out_channels / shape.groups;
  return {.kernel_h = w.kernel_h,
          .kernel_w = w.kernel_w,
          .tap_bits = shape.in_channels / shape.groups,
          .out_channels = shape.out_channels,
          .first_channel = group * channels,
          .channels = channels,
          .format = spec.format,
          .epilogue = spec.epilogue,
          .bits_out = spec.bits_out,
          .floats_too = spec.floats_too,
          .row_classes = arrays.row_classes,
          .column_classes = arrays.column_classes,
          .class_rows = arrays.row_taps,
          .class_columns = arrays.column_taps,
          .rows = w.batch * w.out_h * w.out_w};
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
  const ConvShape& shape = spec.shape;
  const Window& w = shape.window;
  FindClasses(RowAxis(w), arrays.rows, arrays.row_taps);
  FindClasses(ColumnAxis(w), arrays.columns, arrays.column_taps);
  const int64_t group_bytes =
      int64_t(BgemmPlanBytes(kernels, GroupSpec(spec, arrays, 0)));
  for (int64_t group = 0; group < shape.groups; ++group) {
    arrays.groups[group] =
        MakeBgemmPlan(kernels, GroupSpec(spec, arrays, group), weight,
                      layout.Take<std::byte>(group_bytes));
  }

  const int64_t group_bits = shape.in_channels / shape.groups;
  const bool cuts = shape.groups > 1 && group_bits % kStepBits != 0;
  const int64_t tap_bytes =
      arrays.groups[0].steps / (w.kernel_h * w.kernel_w) * kStepBytes;
  // Taps of a line are one run where nothing lies between them.
  const int64_t pixel_bytes =
      WordsFor(shape.in_channels) * int64_t{sizeof(uint64_t)};
  const bool joins = cuts || (w.dilation_w == 1 && tap_bytes == pixel_bytes);
  return {.shape = shape,
          .cuts = cuts,
          .tap_bytes = tap_bytes,
          .joins_taps = joins,
          .groups = arrays.groups,
          .row_classes = arrays.row_classes,
          .column_classes = arrays.column_classes,
          .rows = arrays.rows,
          .columns = arrays.columns};
}

}  // namespace bqengine::kernels
