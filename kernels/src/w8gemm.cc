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
#include "byte_dot-inl.h"
#include "patches-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

// The words of a base: a row of constants, which are added to the sums, then
// weights, four of a channel to a word. Dots take uint8; int8 activations are
// made that by a flip of the highest bit, which adds 128. The constant takes
// out what this adds, and whatever else a dot adds for activations of 0.

constexpr size_t kStepBytes = 4;

size_t BaseRowsFor(size_t k) { return 1 + (k + kStepBytes - 1) / kStepBytes; }

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
                          const ByteVec* weights, typename Dot::Partial* sums) {
  uint32_t four;
  std::memcpy(&four, x, sizeof(four));
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
  size_t k;

  HWY_INLINE size_t BaseRows() const { return BaseRowsFor(k); }

  template <size_t... kR, size_t... kV, class Load>
  HWY_INLINE void Compute(std::index_sequence<kR...>,
                          std::index_sequence<kV...> vectors,
                          const TileRange<uint8_t>& range, const Load& load,
                          FloatVec (&acc)[sizeof...(kR)][sizeof...(kV)]) const {
    const size_t steps = BaseRows() - 1;
    const uint8_t* HWY_RESTRICT x = range.x;
    const SumVec constants[] = {hn::BitCast(SumTag(), load(kV, 0))...};
    SumVec sums[sizeof...(kR)][sizeof...(kV)];
    (CopyRow(vectors, constants, sums[kR]), ...);
    for (size_t step = 0; step < steps;) {
      const size_t end = step + std::min(steps - step, Dot::kMostSteps);
      typename Dot::Partial partial[sizeof...(kR)][sizeof...(kV)];
      (ZeroRow(vectors, partial[kR]), ...);
      for (; step < end; ++step) {
        const ByteVec weights[] = {
            hn::BitCast(hn::ScalableTag<uint8_t>(), load(kV, 1 + step))...};
        (AddDotRow<Dot>(vectors, x + kR * range.x_stride + step * kStepBytes,
                        weights, partial[kR]),
         ...);
      }
      (AddWidenedRow<Dot>(vectors, partial[kR], sums[kR]), ...);
    }
    (ConvertRow(vectors, sums[kR], acc[kR]), ...);
  }
};

int64_t PackedWords(int64_t k, int64_t out, int64_t weight_bases) {
  return PanelWords(BaseRowsFor(size_t(k)), out, weight_bases);
}

// The bytes of the weights of a filter from `k` on, the first the lowest.
uint32_t WeightWord(int64_t k, int64_t taps, int64_t tap_bits,
                    Encoding encoding, const uint64_t* filter) {
  uint32_t word = 0;
  const int64_t end = std::min<int64_t>(k + kStepBytes, taps * tap_bits);
  for (int64_t i = k; i < end; ++i) {
    const uint64_t* tap = filter + i / tap_bits * WordsFor(tap_bits);
    const int64_t bit = i % tap_bits;
    const bool weight = (tap[bit / kWordBits] >> (bit % kWordBits)) & 1;
    word |= uint32_t{ByteWeight(encoding, weight)} << (8 * (i - k));
  }
  return word;
}

void PackWeights(int64_t taps, int64_t tap_bits, int64_t total_out,
                 int64_t first, int64_t out, Encoding encoding, ByteType type,
                 const uint64_t* weight, const Epilogue& epilogue,
                 uint32_t* packed) {
  const int64_t filter_words = taps * WordsFor(tap_bits);
  const size_t base_rows = BaseRowsFor(size_t(taps * tap_bits));
  const auto weights = [&](int64_t m, int64_t o, size_t row) {
    return WeightWord(int64_t((row - 1) * kStepBytes), taps, tap_bits, encoding,
                      weight + (m * total_out + o) * filter_words);
  };
  const auto constant = [&](int64_t m, int64_t o) {
    int32_t sum = 0;
    for (size_t row = 1; row < base_rows; ++row) {
      for (uint32_t word = weights(m, o, row), i = 0; i < kStepBytes; ++i) {
        sum -= ByteTerm(encoding, uint8_t(word >> (8 * i)), FlipOf(type));
      }
    }
    return sum;
  };
  PackPanels(
      total_out, first, out, epilogue, base_rows,
      [&](int64_t m, int64_t o, size_t row) {
        return row == 0 ? uint32_t(constant(m, o)) : weights(m, o, row);
      },
      packed);
}

void FlipAll(uint8_t flip, int64_t count, uint8_t* bytes) {
  for (int64_t i = 0; i < count; ++i) bytes[i] ^= flip;
}

void Conv(const ConvShape& shape, int64_t weight_bases, Encoding encoding,
          ByteType type, int64_t begin, int64_t end, int64_t out_begin,
          int64_t out_end, const uint8_t* x, const uint32_t* packed, float* y,
          uint8_t* scratch) {
  const int64_t k = PatchElements(shape);
  const int64_t out = shape.out_channels / shape.groups;
  const int64_t group_words = PackedWords(k, out, weight_bases);
  const auto product = [&](auto sums) HWY_ATTR {
    ConvRows(shape, begin, end, x, y, scratch,
             [&](int64_t group, int64_t rows, const uint8_t* /*scratch*/,
                 int64_t stride, float* group_y) HWY_ATTR {
               if (type == ByteType::kInt8) {
                 FlipAll(FlipOf(type), rows * stride, scratch);
               }
               Product(
                   BinaryWeights<decltype(sums)>{sums, size_t(weight_bases),
                                                 packed + group * group_words},
                   size_t(rows), scratch, size_t(stride), size_t(out_begin),
                   size_t(std::min(out_end, out)), group_y,
                   size_t(shape.out_channels));
             });
  };
  if (encoding == Encoding::kBipolar) {
    product(ByteSums<ByteDot<Encoding::kBipolar>>{size_t(k)});
  } else {
    product(ByteSums<ByteDot<kUnipolarDot>>{size_t(k)});
  }
}

const ByteProductKernels kTable = {
    .panel_channels = int64_t(kPanelVectors * hn::MaxLanes(FloatTag())),
    .packed_words = PackedWords,
    .pack_weights = PackWeights,
    .scratch_bytes = PatchScratch<uint8_t>,
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
