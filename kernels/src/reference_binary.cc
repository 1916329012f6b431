// Ops on bits, and products with binary weights.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels/reference.h"
#include "reference_window.h"

namespace bqengine::kernels::reference {
namespace {

bool GetBit(const uint64_t* row, int64_t i) {
  return (row[i / kWordBits] >> (i % kWordBits)) & 1;
}

void SetBit(uint64_t* row, int64_t i) {
  row[i / kWordBits] |= uint64_t{1} << (i % kWordBits);
}

// The `count` (1 to 64) bits of a row from position `begin` on, which need not
// be the start of a word, as a word with zeros above them.
uint64_t Extract(const uint64_t* row, int64_t begin, int64_t count) {
  const int64_t word = begin / kWordBits;
  const int64_t shift = begin % kWordBits;
  uint64_t bits = row[word] >> shift;
  if (shift + count > kWordBits) bits |= row[word + 1] << (kWordBits - shift);
  return bits & TailMask(count);
}

// Ones among the `k` bits combine(activation, weight), with activations from
// bit `begin` of `a` on and the weights of the row `w`, a word at a time.
template <typename Combine>
int32_t CountOnes(const uint64_t* a, int64_t begin, const uint64_t* w,
                  int64_t k, const Combine& combine) {
  int32_t ones = 0;
  for (int64_t i = 0; i < k; i += kWordBits) {
    const uint64_t a_word = Extract(a, begin + i, std::min(k - i, kWordBits));
    ones += std::popcount(combine(a_word, w[i / kWordBits]));
  }
  return ones;
}

// Exact dot product of those activations and weights. The four integer forms
// follow from writing a bipolar value as 2 * bit - 1.
int32_t Dot(const BinaryFormat& format, const uint64_t* a, int64_t begin,
            const uint64_t* w, int64_t k) {
  const auto count = [&](const auto& combine) {
    return CountOnes(a, begin, w, k, combine);
  };
  const auto differ = [](uint64_t x, uint64_t y) { return x ^ y; };
  const auto both = [](uint64_t x, uint64_t y) { return x & y; };
  const auto activation = [](uint64_t x, uint64_t /*y*/) { return x; };
  const auto weight = [](uint64_t /*x*/, uint64_t y) { return y; };

  const bool a_bipolar = format.activations == Encoding::kBipolar;
  const bool w_bipolar = format.weights == Encoding::kBipolar;
  if (a_bipolar && w_bipolar) return int32_t(k) - 2 * count(differ);
  if (a_bipolar) return 2 * count(both) - count(weight);
  if (w_bipolar) return 2 * count(both) - count(activation);
  return count(both);
}

// The same with `k` padded activations instead of stored ones.
int32_t PaddedDot(const BinaryFormat& format, const uint64_t* w, int64_t k) {
  int32_t w_ones = 0;
  for (int64_t i = 0; i < WordsFor(k); ++i) w_ones += std::popcount(w[i]);
  const int32_t w_sum =
      format.weights == Encoding::kBipolar ? 2 * w_ones - int32_t(k) : w_ones;
  return format.pad_value * w_sum;
}

// What sums of real activations are taken in: integers stay exact.
template <typename T>
using SumOf = std::conditional_t<std::is_integral_v<T>, int32_t, double>;

// Real activations: sum of x[i], each with the sign or the choice of its
// weight.
template <typename T>
SumOf<T> WeightedSum(Encoding weights, const T* x, const uint64_t* w,
                     int64_t k) {
  SumOf<T> sum = 0;
  for (int64_t i = 0; i < k; ++i) {
    if (GetBit(w, i)) {
      sum += x[i];
    } else if (weights == Encoding::kBipolar) {
      sum -= x[i];
    }
  }
  return sum;
}

template <typename Term>
float SumInOrder(int64_t count, const Term& term) {
  float sum = term(0);
  for (int64_t i = 1; i < count; ++i) sum += term(i);
  return sum;
}

// The value of channel `o` before the steps of `post`; dot(m, n) is a dot
// product, rounded to float.
template <typename DotOfBases>
float Finish(const Epilogue& e, int64_t o, int64_t out_channels,
             const DotOfBases& dot) {
  const auto scaled_dot = [&](int64_t m, int64_t n) {
    if (e.alpha == nullptr) return dot(m, n);
    return e.alpha[e.alpha_per_channel ? m * out_channels + o : m] * dot(m, n);
  };
  const auto sum_of_weight_bases = [&](int64_t n) {
    const float sum =
        SumInOrder(e.weight_bases, [&](int64_t m) { return scaled_dot(m, n); });
    return e.beta == nullptr ? sum : e.beta[n] * sum;
  };
  float y = SumInOrder(e.activation_bases, sum_of_weight_bases);
  if (e.mul != nullptr) y = y * e.mul[o * e.mul_stride];
  if (e.add != nullptr) y = y + e.add[o * e.add_stride];
  return y;
}

float ApplyPost(const PostStep& step, int64_t o, float x, float residual) {
  switch (step.op) {
    case PostOp::kRelu:
      return x < 0 ? 0.0f : x;
    case PostOp::kPRelu:
      return x < 0 ? step.value[o * step.stride] * x : x;
    case PostOp::kClip:
      if (x < step.value[0]) x = step.value[0];
      return x > step.value[1] ? step.value[1] : x;
    case PostOp::kAdd:
      return x + step.value[o * step.stride];
    case PostOp::kMul:
      return x * step.value[o * step.stride];
    case PostOp::kResidual:
      return x + residual;
  }
  return x;
}

bool ReachesThreshold(const Epilogue& e, int64_t o, float y) {
  const float threshold =
      e.threshold == nullptr ? 0.0f : e.threshold[o * e.threshold_stride];
  return y >= threshold;
}

float ApplyAllPost(const Epilogue& e, int64_t o, float y, float residual) {
  for (int i = 0; i < e.post_steps; ++i) {
    y = ApplyPost(e.post[i], o, y, residual);
  }
  return y;
}

// Writes one output row: value(o), with the steps of `post` behind it, for
// every channel, as floats, bits or both.
template <typename Value>
void WriteRow(const Epilogue& epilogue, const BinaryOutput& output, int64_t row,
              int64_t out_channels, const Value& value) {
  const int64_t words = WordsFor(out_channels);
  uint64_t* bits =
      output.y_bits == nullptr ? nullptr : output.y_bits + row * words;
  if (bits != nullptr) std::fill(bits, bits + words, 0);
  for (int64_t o = 0; o < out_channels; ++o) {
    const int64_t at = row * out_channels + o;
    const float residual = output.residual == nullptr ? 0 : output.residual[at];
    const float y = ApplyAllPost(epilogue, o, value(o), residual);
    if (output.y != nullptr) output.y[at] = y;
    if (bits != nullptr && ReachesThreshold(epilogue, o, y)) SetBit(bits, o);
  }
}

}  // namespace

float ApplyEpilogue(const Epilogue& epilogue, const int32_t* acc,
                    int64_t out_channel, int64_t out_channels, float residual) {
  const float y =
      Finish(epilogue, out_channel, out_channels, [&](int64_t m, int64_t n) {
        return float(acc[n * epilogue.weight_bases + m]);
      });
  return ApplyAllPost(epilogue, out_channel, y, residual);
}

void BinaryGemm(int64_t rows, int64_t k, int64_t out,
                const BinaryFormat& format, const uint64_t* const* inputs,
                const uint64_t* weight, const Epilogue& epilogue,
                const BinaryOutput& output) {
  const int64_t words = WordsFor(k);
  for (int64_t row = 0; row < rows; ++row) {
    WriteRow(epilogue, output, row, out, [&](int64_t o) {
      return Finish(epilogue, o, out, [&](int64_t m, int64_t n) {
        return float(Dot(format, inputs[n] + row * words, 0,
                         weight + (m * out + o) * words, k));
      });
    });
  }
}

void BinaryConv(const ConvShape& shape, const BinaryFormat& format,
                const uint64_t* const* inputs, const uint64_t* weight,
                const Epilogue& epilogue, const BinaryOutput& output) {
  const Window& window = shape.window;
  const int64_t out = shape.out_channels;
  const int64_t group_in = shape.in_channels / shape.groups;
  const int64_t group_out = out / shape.groups;
  const int64_t in_words = WordsFor(shape.in_channels);
  const int64_t tap_words = WordsFor(group_in);
  const int64_t filter_words = window.kernel_h * window.kernel_w * tap_words;

  ForEachOutputPixel(
      window, [&](int64_t pixel, int64_t item, int64_t oh, int64_t ow) {
        const auto accumulate = [&](int64_t o, int64_t m, int64_t n) {
          const uint64_t* filter = weight + (m * out + o) * filter_words;
          const int64_t first_channel = o / group_out * group_in;
          int32_t acc = 0;
          ForEachTap(window, oh, ow, [&](const Tap& tap) {
            const uint64_t* w = filter + tap.index * tap_words;
            if (tap.inside) {
              const uint64_t* a =
                  inputs[n] + InputPixel(window, item, tap) * in_words;
              acc += Dot(format, a, first_channel, w, group_in);
            } else {
              acc += PaddedDot(format, w, group_in);
            }
          });
          return acc;
        };
        WriteRow(epilogue, output, pixel, out, [&](int64_t o) {
          return Finish(epilogue, o, out, [&](int64_t m, int64_t n) {
            return float(accumulate(o, m, n));
          });
        });
      });
}

template <typename T>
void BinaryWeightGemm(int64_t rows, int64_t k, int64_t out, Encoding weights,
                      const T* x, const uint64_t* weight,
                      const Epilogue& epilogue, float* y) {
  const int64_t words = WordsFor(k);
  for (int64_t row = 0; row < rows; ++row) {
    WriteRow(epilogue, {.y = y}, row, out, [&](int64_t o) {
      return Finish(epilogue, o, out, [&](int64_t m, int64_t /*n*/) {
        return float(WeightedSum(weights, x + row * k,
                                 weight + (m * out + o) * words, k));
      });
    });
  }
}

template <typename T>
void BinaryWeightConv(const ConvShape& shape, Encoding weights, const T* x,
                      const uint64_t* weight, const Epilogue& epilogue,
                      float* y) {
  const Window& window = shape.window;
  const int64_t out = shape.out_channels;
  const int64_t group_in = shape.in_channels / shape.groups;
  const int64_t group_out = out / shape.groups;
  const int64_t tap_words = WordsFor(group_in);
  const int64_t filter_words = window.kernel_h * window.kernel_w * tap_words;

  ForEachOutputPixel(
      window, [&](int64_t pixel, int64_t item, int64_t oh, int64_t ow) {
        const auto accumulate = [&](int64_t o, int64_t m) {
          const uint64_t* filter = weight + (m * out + o) * filter_words;
          const int64_t first_channel = o / group_out * group_in;
          SumOf<T> acc = 0;
          ForEachTap(window, oh, ow, [&](const Tap& tap) {
            if (!tap.inside) return;
            const T* a = x + InputPixel(window, item, tap) * shape.in_channels +
                         first_channel;
            acc += WeightedSum(weights, a, filter + tap.index * tap_words,
                               group_in);
          });
          return acc;
        };
        WriteRow(epilogue, {.y = y}, pixel, out, [&](int64_t o) {
          return Finish(epilogue, o, out, [&](int64_t m, int64_t /*n*/) {
            return float(accumulate(o, m));
          });
        });
      });
}

template <typename T>
void Binarize(int64_t rows, int64_t channels, const T* x,
              const float* threshold, int64_t threshold_stride, uint64_t* y) {
  const int64_t words = WordsFor(channels);
  std::fill(y, y + rows * words, 0);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < channels; ++c) {
      const float t =
          threshold == nullptr ? 0.0f : threshold[c * threshold_stride];
      if (float(x[row * channels + c]) >= t) SetBit(y + row * words, c);
    }
  }
}

void BinaryMaxPool(const Window& window, int64_t channels, const uint64_t* x,
                   uint64_t* y) {
  const int64_t words = WordsFor(channels);
  ForEachOutputPixel(
      window, [&](int64_t pixel, int64_t item, int64_t oh, int64_t ow) {
        uint64_t* out = y + pixel * words;
        std::fill(out, out + words, 0);
        ForEachTap(window, oh, ow, [&](const Tap& tap) {
          if (!tap.inside) return;
          const uint64_t* in = x + InputPixel(window, item, tap) * words;
          for (int64_t i = 0; i < words; ++i) out[i] |= in[i];
        });
      });
}

#define BQE_INSTANTIATE(T)                                                   \
  template void BinaryWeightGemm(int64_t, int64_t, int64_t, Encoding,        \
                                 const T*, const uint64_t*, const Epilogue&, \
                                 float*);                                    \
  template void BinaryWeightConv(const ConvShape&, Encoding, const T*,       \
                                 const uint64_t*, const Epilogue&, float*);  \
  template void Binarize(int64_t, int64_t, const T*, const float*, int64_t,  \
                         uint64_t*);
BQE_INSTANTIATE(float)
BQE_INSTANTIATE(int8_t)
BQE_INSTANTIATE(uint8_t)
#undef BQE_INSTANTIATE

}  // namespace bqengine::kernels::reference
