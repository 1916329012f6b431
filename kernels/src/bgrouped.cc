#include "kernels/bgrouped.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "bgrouped_rows.h"
#include "target_policy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bgrouped.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "bit_planes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

constexpr int64_t kVectorWords = HWY_LANES(uint64_t);

// Each field of `planes` bits becomes its bit i, repeated: the bit at the low
// end of the field, times 2^planes - 1.
HWY_ATTR void MakeWordPlanes(const BgroupedPlan& plan, int64_t plane_words,
                             const uint64_t* HWY_RESTRICT pixels,
                             uint64_t* HWY_RESTRICT to) {
  const D64 d;
  const int width = int(plan.planes);
  const auto field_ends = hn::Set(d, ~uint64_t{0} / TailMask(width));
  for (int64_t at = 0; at < plane_words; at += kVectorWords) {
    V64 bits = hn::LoadU(d, pixels + at);
    for (int i = 0; i < width; ++i) {
      const V64 low = hn::And(bits, field_ends);
      const V64 next = hn::ShiftLeftSame(low, width - 1);
      hn::StoreU(hn::Sub(hn::Add(next, next), low), d,
                 to + i * plane_words + at);
      bits = hn::ShiftRight<1>(bits);
    }
  }
}

// Activation planes of row `ih` of an image.
HWY_ATTR const uint64_t* PlanesOfRow(const BgroupedPlan& plan,
                                     const BgroupedScratch& scratch,
                                     int64_t image, int64_t ih,
                                     const uint64_t* x) {
  const Window& w = plan.shape.window;
  const int64_t row = image * w.in_h + ih;
  const int64_t slot = ih % plan.ring_rows;
  uint64_t* const planes = scratch.Row(plan, slot);
  if (scratch.ring_row[slot] == row) return planes;
  scratch.ring_row[slot] = row;
  x += row * w.in_w * WordsFor(plan.shape.in_channels);
  if (!HasWordPlanes(plan.shape)) {
    SpreadPixels(plan, x, planes);
  } else if (plan.planes == 1) {
    LayOutPixels(plan, x, planes);
  } else {
    LayOutPixels(plan, x, scratch.pixels);
    MakeWordPlanes(plan, scratch.plane_words, scratch.pixels, planes);
  }
  return planes;
}

// Where each term of an output row has its activations.
HWY_ATTR void FindTerms(const BgroupedPlan& plan,
                        const BgroupedScratch& scratch, int64_t image,
                        int64_t oh, const uint64_t* x) {
  const Window& w = plan.shape.window;
  const uint64_t** term = scratch.terms;
  for (int64_t kh = 0; kh < w.kernel_h; ++kh) {
    const int64_t ih = oh * w.stride_h - w.pad_top + kh * w.dilation_h;
    if (ih < 0 || ih >= w.in_h) {
      term = std::fill_n(term, w.kernel_w * plan.planes, scratch.padding);
      continue;
    }
    const uint64_t* const row = PlanesOfRow(plan, scratch, image, ih, x);
    for (int64_t kw = 0; kw < w.kernel_w; ++kw) {
      const int64_t column = kw * w.dilation_w;
      const uint64_t* first = row + column % w.stride_w * plan.phase_words +
                              column / w.stride_w * plan.pixel_words;
      for (int64_t i = 0; i < plan.planes; ++i) {
        *term++ = first + i * scratch.plane_words;
      }
    }
  }
}

// Calls output(counter, at) for each vector of an output row, `at` its first
// word.
template <bool kAnd, int kPlanes, class Output>
HWY_INLINE HWY_ATTR void CountRow(const BgroupedPlan& plan,
                                  const uint64_t* const* terms,
                                  const Output& output) {
  const D64 d;
  const int64_t row_words = plan.row_words, pitch = plan.weight_pitch;
  const int64_t steps = plan.steps;
  const uint64_t* const weights = plan.weights;
  int64_t weight_at = 0;
  for (int64_t at = 0; at < row_words; at += kVectorWords) {
    const uint64_t* const w = weights + weight_at;
    PlaneCounter<kPlanes> counter;
    counter.AddAll(steps, [&](int64_t i) HWY_ATTR {
      const V64 a = hn::LoadU(d, terms[i] + at);
      const V64 b = hn::Load(d, w + i * pitch);
      return kAnd ? hn::And(a, b) : hn::Xor(a, b);
    });
    output(counter, at);
    weight_at += kVectorWords;
    if (weight_at == pitch) weight_at = 0;
  }
}

template <bool kAnd, int kPlanes>
HWY_ATTR void RunBits(const BgroupedPlan& plan, const BgroupedScratch& scratch,
                      int64_t row_class, uint64_t* y) {
  const D64 d;
  const int64_t row_words = plan.row_words;
  const uint64_t* const last = plan.last + row_class * row_words;
  const int64_t bounds_at = row_class * kPlanes * row_words;
  uint64_t* const bits = scratch.bits;
  CountRow<kAnd, kPlanes>(
      plan, scratch.terms,
      [&](const PlaneCounter<kPlanes>& counter, int64_t at) HWY_ATTR {
        const uint64_t* first = plan.first + bounds_at + at;
        V64 bit =
            hn::Xor(hn::Load(d, last + at), counter.Below(first, row_words));
        if (plan.second != nullptr) {
          const uint64_t* second = plan.second + bounds_at + at;
          bit = hn::Xor(bit, counter.Below(second, row_words));
        }
        hn::Store(bit, d, bits + at);
      });
  const int64_t words = WordsFor(plan.shape.out_channels);
  for (int64_t ow = 0; ow < plan.shape.window.out_w; ++ow) {
    const uint64_t* from = bits + ow * plan.pixel_words;
    for (int64_t i = 0; i < words; ++i) *y++ = from[i];
  }
}

// From the counts of a pixel to its floats. acc = offset + factor * count is
// exact however it is computed; the rest rounds each operation by itself.
class PixelOutput {
 public:
  PixelOutput(const BgroupedPlan& plan, const float* offsets)
      : offsets_(offsets),
        mul_(plan.mul),
        add_(plan.add),
        factor_(plan.factor) {}

  // 16 channels from `channel` on.
  HWY_INLINE HWY_ATTR void Finish(const uint8_t* counts, int64_t channel,
                                  float* HWY_RESTRICT y) const {
    const DF d;
    const hn::Rebind<int32_t, DF> di;
    const hn::Rebind<uint8_t, DF> d8;
    HWY_UNROLL(4)
    for (int at = 0; at < 16; at += int(HWY_LANES(float))) {
      const auto count =
          hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, counts + at)));
      const auto acc = hn::MulAdd(count, hn::Set(d, factor_),
                                  hn::LoadU(d, offsets_ + channel + at));
      const auto scaled = hn::Mul(acc, hn::LoadU(d, mul_ + channel + at));
      hn::StoreU(hn::Add(scaled, hn::LoadU(d, add_ + channel + at)), d, y + at);
    }
  }

 private:
  using DF = hn::ScalableTag<float>;
  const float *offsets_, *mul_, *add_;
  float factor_;
};

HWY_ATTR void FinishFloats(const BgroupedPlan& plan,
                           const BgroupedScratch& scratch, int64_t row_class,
                           float* y) {
  const int64_t channels = plan.shape.out_channels;
  for (int64_t ow = 0; ow < plan.shape.window.out_w; ++ow, y += channels) {
    const int64_t of_class =
        row_class * plan.column_classes + plan.column_class[ow];
    const PixelOutput output(plan,
                             plan.offsets + of_class * plan.channel_pitch);
    int64_t channel = 0;
    for (int64_t word = ow * plan.pixel_words; channel < channels; ++word) {
      const uint8_t* counts = scratch.counts +
                              word / kVectorWords * kVectorWords * kWordBits +
                              ByteChunk(word % kVectorWords);
      const int64_t end = std::min(channel + kWordBits, channels);
      for (; channel + 16 <= end; channel += 16, counts += kChunkPitch) {
        output.Finish(counts, channel, y + channel);
      }
      if (channel == end) continue;
      float lanes[16];
      output.Finish(counts, channel, lanes);
      std::memcpy(y + channel, lanes, size_t(end - channel) * sizeof(float));
      channel = end;
    }
  }
}

template <bool kAnd, int kPlanes>
HWY_ATTR void RunFloats(const BgroupedPlan& plan,
                        const BgroupedScratch& scratch, int64_t row_class,
                        float* y) {
  uint8_t* const counts = scratch.counts;
  CountRow<kAnd, kPlanes>(
      plan, scratch.terms,
      [&](const PlaneCounter<kPlanes>& counter, int64_t at)
          HWY_ATTR { StoreBytes(counter, counts + at * kWordBits); });
  FinishFloats(plan, scratch, row_class, y);
}

template <bool kAnd, int kPlanes>
HWY_ATTR void RunRows(const BgroupedPlan& plan, int64_t first_row, int64_t rows,
                      const uint64_t* x, float* y, uint64_t* y_bits,
                      void* memory) {
  const BgroupedScratch scratch(plan, memory);
  std::fill_n(scratch.ring_row, plan.ring_rows, -1);
  std::fill_n(scratch.padding, plan.row_words,
              plan.pad_ones ? ~uint64_t{0} : 0);
  const Window& w = plan.shape.window;
  const int64_t channels = plan.shape.out_channels;
  for (int64_t row = first_row; row < first_row + rows; ++row) {
    const int64_t oh = row % w.out_h;
    FindTerms(plan, scratch, row / w.out_h, oh, x);
    const int64_t row_class = plan.row_class[oh];
    if (plan.bits_out) {
      RunBits<kAnd, kPlanes>(plan, scratch, row_class,
                             y_bits + row * w.out_w * WordsFor(channels));
    } else {
      RunFloats<kAnd, kPlanes>(plan, scratch, row_class,
                               y + row * w.out_w * channels);
    }
  }
}

HWY_ATTR void Run(const BgroupedPlan& plan, int64_t first_row, int64_t rows,
                  const uint64_t* x, float* y, uint64_t* y_bits,
                  void* scratch) {
  const auto run =
      plan.use_and
          ? (plan.count_planes == 4 ? RunRows<true, 4> : RunRows<true, 8>)
          : (plan.count_planes == 4 ? RunRows<false, 4> : RunRows<false, 8>);
  run(plan, first_row, rows, x, y, y_bits, scratch);
}

}  // namespace

constexpr BgroupedKernels kBgrouped = {.vector_words = kVectorWords,
                                       .run = Run};
constexpr const BgroupedKernels* kBgroupedKernels = &kBgrouped;

#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bqengine::kernels {

const BgroupedKernels* GetBgroupedKernels(Target target) {
  return BQE_SELECT_TARGET(target, kBgroupedKernels);
}

}  // namespace bqengine::kernels
#endif  // HWY_ONCE
