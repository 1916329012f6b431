// Shapes that kernels and their callers share. Plain data; the callers
// guarantee that everything fits and is consistent.
#ifndef KERNELS_SHAPES_H_
#define KERNELS_SHAPES_H_

#include <cstddef>
#include <cstdint>

namespace bqengine::kernels {

inline constexpr int64_t kWordBits = 64;

// Words of a packed row of `bits` elements.
constexpr int64_t WordsFor(int64_t bits) {
  return (bits + kWordBits - 1) / kWordBits;
}

// Mask of the valid bits in the last word of such a row.
constexpr uint64_t TailMask(int64_t bits) {
  return bits % kWordBits == 0 ? ~uint64_t{0}
                               : (uint64_t{1} << (bits % kWordBits)) - 1;
}

// Which values the bits 0 and 1 stand for: {-1,+1} or {0,1}.
enum class Encoding { kBipolar, kUnipolar };

// What 8-bit activations are. Kernels take both as bytes.
enum class ByteType { kInt8, kUint8 };

// The most weights that may meet one output of a product with 8-bit
// activations, so that the sum fits into int32.
inline constexpr int64_t kMostByteTaps = int64_t{1} << 23;
static_assert(255 * kMostByteTaps <= INT32_MAX);

// A two-dimensional window that slides over [batch, in_h, in_w, channels]:
// convolutions and pools. What lies below and to the right of the image follows
// from the output size; `pad_bottom` and `pad_right` matter only where a
// divisor counts padding (AveragePool).
struct Window {
  int64_t batch, in_h, in_w;
  int64_t out_h, out_w;
  int64_t kernel_h, kernel_w;
  int64_t stride_h, stride_w;
  int64_t dilation_h, dilation_w;
  int64_t pad_top, pad_left;
  int64_t pad_bottom = 0, pad_right = 0;
};

// Whether a window stays close to the image, as that of any network does. What
// lays out whole lines of it, padding and gaps included, takes no other.
constexpr bool IsCompact(const Window& w) {
  constexpr int64_t kMaxStep = 64, kMaxReach = 4096;
  const int64_t reach_h = (w.kernel_h - 1) * w.dilation_h;
  const int64_t reach_w = (w.kernel_w - 1) * w.dilation_w;
  if (w.stride_h > kMaxStep || w.stride_w > kMaxStep || reach_h > kMaxReach ||
      reach_w > kMaxReach || w.pad_top > kMaxReach || w.pad_left > kMaxReach) {
    return false;
  }
  return (w.out_h - 1) * w.stride_h <= w.in_h + kMaxReach &&
         (w.out_w - 1) * w.stride_w <= w.in_w + kMaxReach;
}

struct ConvShape {
  Window window;
  int64_t in_channels;   // C, of all groups together
  int64_t out_channels;  // O, of all groups together
  int64_t groups;
};

// A matrix product [rows, k] x [out, k] as a convolution: each row is an image
// of one pixel.
constexpr ConvShape GemmAsConv(int64_t rows, int64_t k, int64_t out) {
  return {.window = {.batch = rows,
                     .in_h = 1,
                     .in_w = 1,
                     .out_h = 1,
                     .out_w = 1,
                     .kernel_h = 1,
                     .kernel_w = 1,
                     .stride_h = 1,
                     .stride_w = 1,
                     .dilation_h = 1,
                     .dilation_w = 1,
                     .pad_top = 0,
                     .pad_left = 0},
          .in_channels = k,
          .out_channels = out,
          .groups = 1};
}

}  // namespace bqengine::kernels

#endif  // KERNELS_SHAPES_H_
