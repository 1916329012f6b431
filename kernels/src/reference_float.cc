// Ops on floats alone.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/reference.h"
#include "reference_window.h"

namespace bqengine::kernels::reference {
namespace {

double FloatDot(const float* a, const float* b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += double(a[i]) * b[i];
  return sum;
}

}  // namespace

void Conv(const ConvShape& shape, const float* x, const float* weight,
          const float* bias, float* y) {
  const Window& window = shape.window;
  const int64_t group_in = shape.in_channels / shape.groups;
  const int64_t group_out = shape.out_channels / shape.groups;
  const int64_t filter_size = window.kernel_h * window.kernel_w * group_in;
  ForEachOutputPixel(window, [&](int64_t pixel, int64_t item, int64_t oh,
                                 int64_t ow) {
    for (int64_t o = 0; o < shape.out_channels; ++o) {
      double sum = bias == nullptr ? 0.0 : bias[o];
      ForEachTap(window, oh, ow, [&](const Tap& tap) {
        if (!tap.inside) return;
        const float* a = x + InputPixel(window, item, tap) * shape.in_channels +
                         o / group_out * group_in;
        const float* w = weight + o * filter_size + tap.index * group_in;
        sum += FloatDot(a, w, group_in);
      });
      y[pixel * shape.out_channels + o] = float(sum);
    }
  });
}

void Gemm(int64_t rows, int64_t k, int64_t out, const float* x,
          const float* weight, const float* bias, float* y) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t o = 0; o < out; ++o) {
      const double b = bias == nullptr ? 0.0 : bias[o];
      y[row * out + o] = float(b + FloatDot(x + row * k, weight + o * k, k));
    }
  }
}

void MaxPool(const Window& window, int64_t channels, const float* x, float* y) {
  ForEachOutputPixel(
      window, [&](int64_t pixel, int64_t item, int64_t oh, int64_t ow) {
        for (int64_t c = 0; c < channels; ++c) {
          float max = -std::numeric_limits<float>::infinity();
          ForEachTap(window, oh, ow, [&](const Tap& tap) {
            if (!tap.inside) return;
            const float value = x[InputPixel(window, item, tap) * channels + c];
            // A NaN wins, and nothing is greater than one that has won.
            if (value > max || std::isnan(value)) max = value;
          });
          y[pixel * channels + c] = max;
        }
      });
}

void AveragePool(const Window& window, int64_t channels, bool count_include_pad,
                 const float* x, float* y) {
  ForEachOutputPixel(
      window, [&](int64_t pixel, int64_t item, int64_t oh, int64_t ow) {
        int64_t count = 0;
        ForEachTap(window, oh, ow, [&](const Tap& tap) {
          // Nothing lies above or left of the padding, so only its other ends
          // can be crossed.
          const bool padded_inside = tap.ih < window.in_h + window.pad_bottom &&
                                     tap.iw < window.in_w + window.pad_right;
          if (count_include_pad ? padded_inside : tap.inside) ++count;
        });
        for (int64_t c = 0; c < channels; ++c) {
          float sum = 0;
          ForEachTap(window, oh, ow, [&](const Tap& tap) {
            if (tap.inside) {
              sum += x[InputPixel(window, item, tap) * channels + c];
            }
          });
          y[pixel * channels + c] = count == 0 ? 0.0f : sum / float(count);
        }
      });
}

void GlobalAveragePool(int64_t batch, int64_t pixels, int64_t channels,
                       const float* x, float* y) {
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t c = 0; c < channels; ++c) {
      float sum = 0;
      for (int64_t p = 0; p < pixels; ++p) {
        sum += x[(n * pixels + p) * channels + c];
      }
      y[n * channels + c] = sum / float(pixels);
    }
  }
}

void Affine(int64_t rows, int64_t channels, const float* x, const float* mul,
            int64_t mul_stride, const float* add, int64_t add_stride,
            float* y) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < channels; ++c) {
      float value = x[row * channels + c];
      if (mul != nullptr) value = value * mul[c * mul_stride];
      if (add != nullptr) value = value + add[c * add_stride];
      y[row * channels + c] = value;
    }
  }
}

void AddTensors(int64_t count, const float* a, const float* b, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

void MulTensors(int64_t count, const float* a, const float* b, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = a[i] * b[i];
}

// The comparisons below are written so that a NaN, for which they are false, is
// kept.

void Relu(int64_t count, const float* x, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] < 0 ? 0.0f : x[i];
}

void PRelu(int64_t rows, int64_t channels, const float* x, const float* slope,
           int64_t slope_stride, float* y) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < channels; ++c) {
      const float value = x[row * channels + c];
      y[row * channels + c] =
          value < 0 ? slope[c * slope_stride] * value : value;
    }
  }
}

void Clip(int64_t count, float min, float max, const float* x, float* y) {
  for (int64_t i = 0; i < count; ++i) {
    float value = x[i];
    if (value < min) value = min;
    if (value > max) value = max;
    y[i] = value;
  }
}

void Floor(int64_t count, const float* x, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = std::floor(x[i]);
}

void Softmax(int64_t outer, int64_t length, int64_t inner, const float* x,
             float* y) {
  for (int64_t i = 0; i < outer; ++i) {
    for (int64_t j = 0; j < inner; ++j) {
      const float* in = x + i * length * inner + j;
      float* out = y + i * length * inner + j;
      // The largest exponent becomes 0, so that nothing overflows.
      float max = in[0];
      for (int64_t k = 1; k < length; ++k) max = std::max(max, in[k * inner]);
      double sum = 0;
      for (int64_t k = 0; k < length; ++k) {
        sum += std::exp(double(in[k * inner]) - max);
      }
      for (int64_t k = 0; k < length; ++k) {
        out[k * inner] = float(std::exp(double(in[k * inner]) - max) / sum);
      }
    }
  }
}

}  // namespace bqengine::kernels::reference
