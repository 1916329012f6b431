#include "kernels/w8gemm.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "target_policy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "w8gemm.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "binary_weights-inl.h"
#include "byte_band-inl.h"
#include "byte_dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

// The words of a base: a row of constants, which are added to the sums, then
// weights, four of a channel to a word. Dots take uint8; int8 activations are
// made that by a flip of the highest bit, which adds 128. The constant takes
// out what this adds, and whatever else a dot adds for activations of 0.

size_t BaseRowsFor(const ByteRuns& runs) {
  return 1 + size_t(runs.count * runs.steps);
}

uint8_t FlipOf(ByteType type) { return type == ByteType::kInt8 ? 0x80 : 0; }

template <size_t... kV>
HWY_INLINE void CopyRow(std::index_sequence<kV...>, const SumVec* from,
                        SumVec* to) {
  ((to[kV] = from[kV]), ...);
}

template <size_t... kV, class Partial>
HWY_INLINE void ZeroRow(std::index_sequence<kV...>, Partial* sums) {
  ((sums[kV] = hn::Zero(hn::DFromV<Partial>())), ...);
}

template <class Dot, size_t... kV>
HWY_INLINE void AddDotRow(std::index_sequence<kV...>, const uint8_t* x,
                          uint32_t mask, const ByteVec* weights,
                          typename Dot::Partial* sums) {
  uint32_t four;
  std::memcpy(&four, x, sizeof(four));
  if constexpr (Dot::kNeedsMask) four &= mask;
  const ByteVec u =
      hn::BitCast(hn::ScalableTag<uint8_t>(), hn::Set(WordTag(), four));
  (Dot::Add(u, weights[kV], sums[kV]), ...);
}

template <class Dot, size_t... kV>
HWY_INLINE void AddWidenedRow(std::index_sequence<kV...>,
                              const typename Dot::Partial* from, SumVec* to) {
  ((to[kV] = hn::Add(to[kV], Dot::Widen(from[kV]))), ...);
}

template <size_t... kV>
HWY_INLINE void ConvertRow(std::index_sequence<kV...>, const SumVec* from,
                           FloatVec* to) {
  ((to[kV] = hn::ConvertTo(FloatTag(), from[kV])), ...);
}

template <class Dot>
struct ByteSums {
  // As many sums as a float tile; the widened ones may lie in memory.
  static constexpr size_t kTileRows = kManyRegisters ? 8 : 4;
  ByteRuns runs;
  const int64_t* offsets;  // of runs

  HWY_INLINE size_t BaseRows() const { return BaseRowsFor(runs); }

  template <size_t... kR, size_t... kV, class Load>
  HWY_INLINE void Compute(std::index_sequence<kR...> rows,
                          std::index_sequence<kV...> vectors,
                          const TileRange<uint8_t>& range, const Load& load,
                          FloatVec (&acc)[sizeof...(kR)][sizeof...(kV)]) const {
    const size_t steps = size_t(runs.steps);
    const SumVec constants[] = {hn::BitCast(SumTag(), load(kV, 0))...};
    SumVec sums[sizeof...(kR)][sizeof...(kV)];
    typename Dot::Partial partial[sizeof...(kR)][sizeof...(kV)];
    (CopyRow(vectors, constants, sums[kR]), ...);
    (ZeroRow(vectors, partial[kR]), ...);
    size_t row = 1, room = Dot::kMostSteps;
    for (int64_t run = 0; run < runs.count; ++run) {
      const uint8_t* x = range.x + offsets[run];
      for (size_t step = 0, part; step < steps; step += part) {
        part = std::min(steps - step, Dot::kMostSteps);
        if (part > room) {
          (AddWidenedRow<Dot>(vectors, partial[kR], sums[kR]), ...);
          (ZeroRow(vectors, partial[kR]), ...);
          room = Dot::kMostSteps;
        }
        room -= part;
        AddSteps(rows, vectors, x, range.x_stride, step, part, row, load,
                 partial);
        row += part;
      }
    }
    (AddWidenedRow<Dot>(vectors, partial[kR], sums[kR]), ...);
    (ConvertRow(vectors, sums[kR], acc[kR]), ...);
  }

  // Steps [step, step + part) of a run, whose weights begin at `row`.
  template <size_t... kR, size_t... kV, class Load>
  HWY_INLINE void AddSteps(
      std::index_sequence<kR...>, std::index_sequence<kV...> vectors,
      const uint8_t* HWY_RESTRICT x, size_t x_stride, size_t step, size_t part,
      size_t row, const Load& load,
      typename Dot::Partial (&partial)[sizeof...(kR)][sizeof...(kV)]) const {
    const size_t last = size_t(runs.steps) - 1;
    x += step * size_t{kStepBytes};
    for (size_t i = 0; i < part; ++i) {
      const uint32_t mask = step + i == last ? runs.last_mask : ~uint32_t{0};
      const ByteVec weights[] = {
          hn::BitCast(hn::ScalableTag<uint8_t>(), load(kV, row + i))...};
      (AddDotRow<Dot>(vectors, x + kR * x_stride + i * size_t{kStepBytes}, mask,
                      weights, partial[kR]),
       ...);
    }
  }
};

int64_t GroupWords(const ConvShape& shape, int64_t weight_bases) {
  return PanelWords(BaseRowsFor(ByteRuns(shape)),
                    shape.out_channels / shape.groups, weight_bases);
}

int64_t PackedWords(const ConvShape& shape, int64_t weight_bases) {
  return shape.groups * GroupWords(shape, weight_bases);
}

// The weights of a filter that meet the bytes of a step, the first the lowest.
uint32_t WeightWord(const ByteRuns& runs, int64_t step, int64_t tap_bits,
                    Encoding encoding, const uint64_t* filter) {
  uint32_t word = 0;
  const int64_t first =
      step / runs.steps * runs.bytes + step % runs.steps * kStepBytes;
  for (int64_t i = 0; i < runs.BytesOf(step); ++i) {
    const int64_t k = first + i;
    const uint64_t* tap = filter + k / tap_bits * WordsFor(tap_bits);
    const int64_t bit = k % tap_bits;
    const bool weight = (tap[bit / kWordBits] >> (bit % kWordBits)) & 1;
    word |= uint32_t{ByteWeight(encoding, weight)} << (8 * i);
  }
  return word;
}

void PackWeights(const ConvShape& shape, Encoding encoding, ByteType type,
                 const uint64_t* weight, const Epilogue& epilogue,
                 uint32_t* packed) {
  const ByteRuns runs(shape);
  const int64_t tap_bits = shape.in_channels / shape.groups;
  const int64_t filter_words =
      shape.window.kernel_h * shape.window.kernel_w * WordsFor(tap_bits);
  const size_t base_rows = BaseRowsFor(runs);
  const auto weights = [&](int64_t m, int64_t o, size_t row) {
    return WeightWord(runs, int64_t(row) - 1, tap_bits, encoding,
                      weight + (m * shape.out_channels + o) * filter_words);
  };
  const auto constant = [&](int64_t m, int64_t o) {
    int32_t sum = 0;
    for (size_t row = 1; row < base_rows; ++row) {
      const uint32_t word = weights(m, o, row);
      for (int64_t i = 0; i < runs.BytesOf(int64_t(row) - 1); ++i) {
        sum -= ByteTerm(encoding, uint8_t(word >> (8 * i)), FlipOf(type));
      }
    }
    return sum;
  };
  const int64_t out = shape.out_channels / shape.groups;
  for (int64_t group = 0; group < shape.groups; ++group) {
    PackPanels(
        shape.out_channels, group * out, out, epilogue, base_rows,
        [&](int64_t m, int64_t o, size_t row) {
          return row == 0 ? uint32_t(constant(m, o)) : weights(m, o, row);
        },
        packed + group * GroupWords(shape, epilogue.weight_bases));
  }
}

int64_t OffsetBytes(const ConvShape& shape) {
  return ByteRuns(shape).count * int64_t{sizeof(int64_t)};
}

int64_t ScratchBytes(const ConvShape& shape) {
  const ConvShape flat = OneRowIfPointwise(shape);
  const ByteBand band(flat);
  return OffsetBytes(flat) + band.bytes();
}

void Conv(const ConvShape& given, int64_t weight_bases, Encoding encoding,
          ByteType type, int64_t begin, int64_t end, int64_t out_begin,
          int64_t out_end, const uint8_t* x, const uint32_t* packed, float* y,
          uint8_t* scratch) {
  const ConvShape shape = OneRowIfPointwise(given);
  const Window& w = shape.window;
  const int64_t in = shape.in_channels, out = shape.out_channels;
  const int64_t group_in = in / shape.groups, group_out = out / shape.groups;
  const ByteBand band(shape);
  int64_t* offsets = reinterpret_cast<int64_t*>(scratch);
  band.FillOffsets(offsets);
  uint8_t* memory = scratch + OffsetBytes(shape);

  const auto group_product = [&](auto sums, int64_t group, int64_t pixels,
                                 float* row) HWY_ATTR {
    const uint32_t* weights = packed + group * GroupWords(shape, weight_bases);
    Product(BinaryWeights<decltype(sums)>{sums, size_t(weight_bases), weights},
            size_t(pixels), memory + group * group_in, size_t(w.stride_w * in),
            size_t(out_begin), size_t(std::min(out_end, group_out)),
            row + group * group_out, size_t(out));
  };
  for (int64_t pixel = begin, pixels; pixel < end; pixel += pixels) {
    pixels = std::min({kBandPixels, end - pixel, w.out_w - pixel % w.out_w});
    band.Fill(OutputPixel(w, pixel), pixels, x, FlipOf(type), memory);
    for (int64_t group = 0; group < shape.groups; ++group) {
      const ByteRuns runs(shape);
      float* row = y + pixel * out;
      if (encoding == Encoding::kBipolar) {
        group_product(ByteSums<ByteDot<Encoding::kBipolar>>{runs, offsets},
                      group, pixels, row);
      } else {
        group_product(ByteSums<ByteDot<kUnipolarDot>>{runs, offsets}, group,
                      pixels, row);
      }
    }
  }
}

const ByteProductKernels kTable = {
    .panel_channels = int64_t(kPanelVectors * hn::MaxLanes(FloatTag())),
    .packed_words = PackedWords,
    .pack_weights = PackWeights,
    .scratch_bytes = ScratchBytes,
    .conv = Conv,
};
const ByteProductKernels* const kByteProduct = &kTable;

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bqengine::kernels {

const ByteProductKernels* GetByteProductKernels(Target target) {
  return BQE_SELECT_TARGET(target, kByteProduct);
}

}  // namespace bqengine::kernels
#endif  // HWY_ONCE
