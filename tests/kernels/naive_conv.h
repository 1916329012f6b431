// What the tests of the oracle have in common: packing and unpacking, random
// shapes, and a convolution that shares no code or idea with the kernels.
#ifndef TESTS_KERNELS_NAIVE_CONV_H_
#define TESTS_KERNELS_NAIVE_CONV_H_

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/shapes.h"

namespace bqengine::kernels {

inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInf = std::numeric_limits<float>::infinity();

// Rows of `columns` bits, one bool each, to packed words.
inline std::vector<uint64_t> Pack(const std::vector<int>& bits,
                                  int64_t columns) {
  const int64_t rows = int64_t(bits.size()) / columns;
  std::vector<uint64_t> words(size_t(rows * WordsFor(columns)), 0);
  for (int64_t i = 0; i < rows * columns; ++i) {
    const int64_t row = i / columns, column = i % columns;
    if (bits[size_t(i)]) {
      words[size_t(row * WordsFor(columns) + column / 64)] |= uint64_t{1}
                                                              << (column % 64);
    }
  }
  return words;
}

inline std::vector<float> Decode(const std::vector<int>& bits,
                                 Encoding encoding) {
  std::vector<float> values;
  for (int bit : bits) {
    values.push_back(bit ? 1.0f
                         : (encoding == Encoding::kBipolar ? -1.0f : 0.0f));
  }
  return values;
}

inline std::vector<int> RandomBits(std::mt19937& random, int64_t count) {
  std::vector<int> bits(static_cast<size_t>(count));
  for (int& bit : bits) bit = int(random() & 1);
  return bits;
}

inline std::vector<float> RandomFloats(std::mt19937& random, int64_t count) {
  std::uniform_real_distribution<float> distribution(-2.0f, 2.0f);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = distribution(random);
  return values;
}

inline std::string Describe(const ConvShape& s) {
  const Window& w = s.window;
  const auto pair = [](int64_t a, int64_t b) {
    return std::to_string(a) + "," + std::to_string(b) + " ";
  };
  return "in " + pair(w.in_h, w.in_w) + "channels " +
         pair(s.in_channels, s.out_channels) + "groups " +
         std::to_string(s.groups) + " kernel " + pair(w.kernel_h, w.kernel_w) +
         "strides " + pair(w.stride_h, w.stride_w) + "dilations " +
         pair(w.dilation_h, w.dilation_w) + "pads " +
         pair(w.pad_top, w.pad_left) + pair(w.pad_bottom, w.pad_right);
}

// A convolution of floats after padding by copying.
inline std::vector<float> NaiveConv(const ConvShape& s, float pad,
                                    const std::vector<float>& x,
                                    const std::vector<float>& weight) {
  const Window& w = s.window;
  const int64_t height = w.in_h + w.pad_top + w.pad_bottom;
  const int64_t width = w.in_w + w.pad_left + w.pad_right;
  std::vector<float> padded(size_t(w.batch * height * width * s.in_channels),
                            pad);
  for (int64_t n = 0; n < w.batch; ++n) {
    for (int64_t h = 0; h < w.in_h; ++h) {
      for (int64_t i = 0; i < w.in_w * s.in_channels; ++i) {
        padded[size_t(((n * height + h + w.pad_top) * width + w.pad_left) *
                          s.in_channels +
                      i)] =
            x[size_t((n * w.in_h + h) * w.in_w * s.in_channels + i)];
      }
    }
  }
  const int64_t group_in = s.in_channels / s.groups;
  const int64_t group_out = s.out_channels / s.groups;
  std::vector<float> y;
  for (int64_t n = 0; n < w.batch; ++n) {
    for (int64_t h = 0; h < w.out_h; ++h) {
      for (int64_t v = 0; v < w.out_w; ++v) {
        for (int64_t o = 0; o < s.out_channels; ++o) {
          float sum = 0;
          size_t next = size_t(o * w.kernel_h * w.kernel_w * group_in);
          for (int64_t i = 0; i < w.kernel_h; ++i) {
            for (int64_t j = 0; j < w.kernel_w; ++j) {
              const int64_t pixel =
                  (n * height + h * w.stride_h + i * w.dilation_h) * width +
                  v * w.stride_w + j * w.dilation_w;
              for (int64_t c = 0; c < group_in; ++c) {
                sum += weight[next++] *
                       padded[size_t(pixel * s.in_channels +
                                     o / group_out * group_in + c)];
              }
            }
          }
          y.push_back(sum);
        }
      }
    }
  }
  return y;
}

// Completes the output size.
inline ConvShape MakeShape(Window window, int64_t in, int64_t out,
                           int64_t groups) {
  window.out_h = (window.in_h + window.pad_top + window.pad_bottom -
                  (window.kernel_h - 1) * window.dilation_h - 1) /
                     window.stride_h +
                 1;
  window.out_w = (window.in_w + window.pad_left + window.pad_right -
                  (window.kernel_w - 1) * window.dilation_w - 1) /
                     window.stride_w +
                 1;
  return {window, in, out, groups};
}

// A square image and kernel, moving by 1.
inline Window SquareWindow(int64_t size, int64_t kernel, int64_t pad) {
  Window w{};
  w.batch = 1;
  w.in_h = w.in_w = size;
  w.kernel_h = w.kernel_w = kernel;
  w.stride_h = w.stride_w = w.dilation_h = w.dilation_w = 1;
  w.pad_top = w.pad_left = w.pad_bottom = w.pad_right = pad;
  return w;
}

inline Window RandomWindow(std::mt19937& random) {
  const auto pick = [&](int64_t from, int64_t to) {
    return std::uniform_int_distribution<int64_t>(from, to)(random);
  };
  Window w{};
  w.batch = pick(1, 2);
  w.in_h = pick(3, 6);
  w.in_w = pick(3, 6);
  w.kernel_h = pick(1, 3);
  w.kernel_w = pick(1, 3);
  w.stride_h = pick(1, 2);
  w.stride_w = pick(1, 3);
  w.dilation_h = pick(1, 2);
  w.dilation_w = pick(1, 2);
  w.pad_top = pick(0, 2);
  w.pad_left = pick(0, 2);
  w.pad_bottom = pick(1, 2);  // so that the largest kernel, span 5, fits
  w.pad_right = pick(1, 2);
  if (w.in_h + w.pad_top + w.pad_bottom < 5) w.dilation_h = 1;
  if (w.in_w + w.pad_left + w.pad_right < 5) w.dilation_w = 1;
  return w;
}

struct Channels {
  int64_t in, out, groups;
};
// Slices of groups that start at words (192 / 3) and inside of them.
inline constexpr Channels kChannels[] = {
    {1, 1, 1},   {3, 5, 1},    {63, 2, 1},  {64, 65, 1}, {65, 3, 1},
    {6, 4, 2},   {70, 6, 2},   {130, 2, 2}, {192, 6, 3}, {193, 2, 1},
    {66, 33, 3}, {96, 96, 96}, {128, 4, 2}, {195, 3, 3},
};

}  // namespace bqengine::kernels

#endif  // TESTS_KERNELS_NAIVE_CONV_H_
