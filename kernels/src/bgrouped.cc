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

// One plane of a vector of pixels, for groups of any size. `pixels`:
// [words][vector], the lane of each pixel's words. Calls put(word, bits) for
// the words of the plane.
template <class Put>
HWY_INLINE HWY_ATTR void SpreadPlane(const ConvShape& shape, int64_t plane,
                                     const uint64_t* pixels, const Put& put) {
  const D64 d;
  const int64_t in = shape.in_channels / shape.groups;
  const int64_t out = shape.out_channels / shape.groups;
  const uint64_t run = TailMask(out);
  V64 bits = hn::Zero(d);
  int64_t word = 0, shift = 0;  // of the group's first output channel
  for (int64_t from = plane; from < shape.in_channels; from += in) {
    const V64 v = hn::Load(d, pixels + from / kWordBits * kVectorWords);
    const auto set =
        hn::TestBit(v, hn::Set(d, uint64_t{1} << (from % kWordBits)));
    bits = hn::Or(bits, hn::IfThenElseZero(set, hn::Set(d, run << shift)));
    shift += out;
    if (shift < kWordBits) continue;
    put(word++, bits);
    shift -= kWordBits;
    // The rest of a group that crosses the border of two words.
    bits = shift == 0
               ? hn::Zero(d)
               : hn::IfThenElseZero(set, hn::Set(d, run >> (out - shift)));
  }
  if (shift > 0) put(word, bits);
}

// All planes of a row, whatever the sizes of its groups, a vector of pixels at
// a time.
HWY_ATTR void SpreadPixels(const BgroupedPlan& plan,
                           const BgroupedScratch& scratch, const uint64_t* row,
                           uint64_t* to) {
  const D64 d;
  const Window& w = plan.shape.window;
  const int64_t words = WordsFor(plan.shape.in_channels);
  const int64_t pitch = plan.pixel_words, planes = plan.planes;
  const int64_t plane_words = scratch.plane_words;
  const uint64_t padding = PaddingWord(plan);
  for (int64_t i = 0; i < plan.phases; ++i, to += plan.phase_words) {
    const RowPhase phase(w, i);
    for (int64_t p = 0; p < planes; ++p) {
      uint64_t* const plane = to + p * plane_words;
      std::fill_n(plane, phase.before * pitch, padding);
      std::fill_n(plane + (phase.before + phase.inside) * pitch,
                  phase.behind * pitch, padding);
    }
    for (int64_t n = 0; n < phase.inside; n += kVectorWords) {
      const int64_t count = std::min(kVectorWords, phase.inside - n);
      const uint64_t* from = row + (phase.in + n * w.stride_w) * words;
      for (int64_t k = 0; k < count; ++k, from += w.stride_w * words) {
        for (int64_t j = 0; j < words; ++j) {
          scratch.pixels[j * kVectorWords + k] = from[j];
        }
      }
      uint64_t* const at = to + (phase.before + n) * pitch;
      for (int64_t p = 0; p < planes; ++p) {
        SpreadPlane(plan.shape, p, scratch.pixels,
                    [&](int64_t word, V64 bits) HWY_ATTR {
                      alignas(64) uint64_t lanes[kVectorWords];
                      hn::Store(bits, d, lanes);
                      uint64_t* plane = at + p * plane_words + word;
                      for (int64_t k = 0; k < count; ++k, plane += pitch) {
                        *plane = lanes[k];
                      }
                    });
      }
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
    SpreadPixels(plan, scratch, x, planes);
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
      const uint64_t* first = row + plan.column_at[kw];
      for (int64_t i = 0; i < plan.planes; ++i) {
        *term++ = first + i * scratch.plane_words;
      }
    }
  }
}

// Counts a vector of outputs. `weights`: those of the vector, for all terms.
template <bool kAnd, int kPlanes>
HWY_INLINE HWY_ATTR PlaneCounter<kPlanes> Count(const uint64_t* const* terms,
                                                int64_t count, int64_t at,
                                                const uint64_t* weights) {
  const D64 d;
  PlaneCounter<kPlanes> counter;
  counter.AddAll(count, [&]() HWY_ATTR {
    const V64 a = hn::LoadU(d, *terms++ + at);
    const V64 w = hn::Load(d, weights);
    weights += kVectorWords;
    return kAnd ? hn::And(a, w) : hn::Xor(a, w);
  });
  return counter;
}

template <bool kAnd, int kPlanes>
HWY_ATTR void RunBits(const BgroupedPlan& plan, const BgroupedScratch& scratch,
                      int64_t row_class, uint64_t* y) {
  const D64 d;
  const int64_t row_words = plan.row_words, steps = plan.steps;
  const int64_t period = plan.weight_period;
  const uint64_t* const* const terms = scratch.terms;
  const uint64_t* const weights = plan.weights;
  const uint64_t* const last = plan.last + row_class * row_words;
  const int64_t bounds_at = row_class * kPlanes * row_words;
  const uint64_t* const first = plan.first + bounds_at;
  const uint64_t* const second =
      plan.second == nullptr ? nullptr : plan.second + bounds_at;
  uint64_t* const bits = scratch.bits;
  int64_t weight_at = 0;
  for (int64_t at = 0; at < row_words; at += kVectorWords) {
    const auto counter =
        Count<kAnd, kPlanes>(terms, steps, at, weights + weight_at * steps);
    weight_at += kVectorWords;
    if (weight_at == period) weight_at = 0;
    V64 bit =
        hn::Xor(hn::Load(d, last + at), counter.Below(first + at, row_words));
    if (second != nullptr) {
      bit = hn::Xor(bit, counter.Below(second + at, row_words));
    }
    hn::Store(bit, d, bits + at);
  }
  CopyPixels(bits, plan.pixel_words, WordsFor(plan.shape.out_channels),
             plan.shape.window.out_w, y);
}

// Channels that are finished at once: StoreBytes keeps as many together.
constexpr int64_t kChunk = 16;

// Where the chunks of each pixel are in scratch.counts, one after the other.
HWY_ATTR void FindChunks(const BgroupedPlan& plan,
                         const BgroupedScratch& scratch) {
  int32_t* to = scratch.chunk_at;
  for (int64_t pixel = 0; pixel < plan.weight_period;
       pixel += plan.pixel_words) {
    for (int64_t o = 0; o < plan.shape.out_channels; o += kChunk) {
      const int64_t word = pixel + o / kWordBits;
      *to++ = int32_t(word / kVectorWords * kVectorWords * kWordBits +
                      ByteChunk(word % kVectorWords) +
                      o % kWordBits / kChunk * kChunkPitch);
    }
  }
}

// From counts to floats. acc = offset + factor * count is exact however it is
// computed; the rest rounds each operation by itself.
class PixelOutput {
 public:
  explicit PixelOutput(const BgroupedPlan& plan)
      : mul_(plan.mul),
        add_(plan.add),
        factor_(plan.factor),
        channels_(plan.shape.out_channels) {}

  // Neighbouring pixels of one class, which share the loads of constants.
  template <int kPixels>
  HWY_INLINE HWY_ATTR void Finish(const uint8_t* counts,
                                  const int32_t* chunk_at, const float* offsets,
                                  float* HWY_RESTRICT y) const {
    const int64_t chunks = (channels_ + kChunk - 1) / kChunk;
    int64_t o = 0;
    for (; o + kChunk <= channels_; o += kChunk) {
      FinishChunk<kPixels>(counts, chunk_at++, chunks, offsets, o, y + o,
                           channels_);
    }
    if (o == channels_) return;
    float lanes[kPixels * kChunk];
    FinishChunk<kPixels>(counts, chunk_at, chunks, offsets, o, lanes, kChunk);
    for (int i = 0; i < kPixels; ++i) {
      std::memcpy(y + i * channels_ + o, lanes + i * kChunk,
                  size_t(channels_ - o) * sizeof(float));
    }
  }

 private:
  using DF = hn::ScalableTag<float>;

  // The channels from `channel` on.
  template <int kPixels>
  HWY_INLINE HWY_ATTR void FinishChunk(const uint8_t* counts,
                                       const int32_t* chunk_at, int64_t chunks,
                                       const float* offsets, int64_t channel,
                                       float* HWY_RESTRICT y,
                                       int64_t y_pitch) const {
    const DF d;
    const hn::Rebind<int32_t, DF> di;
    const hn::Rebind<uint8_t, DF> d8;
    const uint8_t* from[kPixels];
    for (int i = 0; i < kPixels; ++i) from[i] = counts + chunk_at[i * chunks];
    HWY_UNROLL(4)
    for (int at = 0; at < kChunk; at += int(HWY_LANES(float))) {
      const int64_t o = channel + at;
      const auto offset = hn::LoadU(d, offsets + o);
      const auto mul = hn::LoadU(d, mul_ + o), add = hn::LoadU(d, add_ + o);
      HWY_UNROLL(2)
      for (int i = 0; i < kPixels; ++i) {
        const auto count =
            hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, from[i] + at)));
        const auto acc = hn::MulAdd(count, hn::Set(d, factor_), offset);
        hn::StoreU(hn::Add(hn::Mul(acc, mul), add), d, y + i * y_pitch + at);
      }
    }
  }

  const float *mul_, *add_;
  float factor_;
  int64_t channels_;
};

// Counts as many vectors as hold whole pixels, and finishes these: stores of
// one count are on their way to cache while the next is computed.
template <bool kAnd, int kPlanes>
HWY_ATTR void RunFloats(const BgroupedPlan& plan,
                        const BgroupedScratch& scratch, int64_t row_class,
                        float* y) {
  const PixelOutput output(plan);
  const int64_t steps = plan.steps, channels = plan.shape.out_channels;
  const int64_t period = plan.weight_period, out_w = plan.shape.window.out_w;
  const int64_t period_pixels = period / plan.pixel_words;
  const int64_t pitch = plan.channel_pitch;
  const uint64_t* const* const terms = scratch.terms;
  const uint64_t* const weights = plan.weights;
  const int32_t* const column_class = plan.column_class;
  const float* const offsets =
      plan.offsets + row_class * plan.column_classes * pitch;
  uint8_t* const counts = scratch.counts;
  int64_t ow = 0;
  for (int64_t at = 0; ow < out_w; at += period) {
    for (int64_t word = 0; word < period; word += kVectorWords) {
      StoreBytes(
          Count<kAnd, kPlanes>(terms, steps, at + word, weights + word * steps),
          counts + word * kWordBits);
    }
    const int32_t* chunk_at = scratch.chunk_at;
    const int64_t end = std::min(ow + period_pixels, out_w);
    while (ow < end) {
      const int32_t of_class = column_class[ow];
      const bool pair = ow + 1 < end && column_class[ow + 1] == of_class;
      const int64_t pixels = pair ? 2 : 1;
      const float* const of_pixel = offsets + of_class * pitch;
      if (pair) {
        output.Finish<2>(counts, chunk_at, of_pixel, y);
      } else {
        output.Finish<1>(counts, chunk_at, of_pixel, y);
      }
      ow += pixels;
      y += pixels * channels;
      chunk_at += pixels * ((channels + kChunk - 1) / kChunk);
    }
  }
}

template <bool kAnd, int kPlanes>
HWY_ATTR void RunRows(const BgroupedPlan& plan, int64_t first_row, int64_t rows,
                      const uint64_t* x, float* y, uint64_t* y_bits,
                      void* memory) {
  const BgroupedScratch scratch(plan, memory);
  std::fill_n(scratch.ring_row, plan.ring_rows, -1);
  std::fill_n(scratch.padding, plan.row_words, PaddingWord(plan));
  if (!plan.bits_out) FindChunks(plan, scratch);
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
