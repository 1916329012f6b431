// The scalar twin of every kernel: written to be obviously right, and the
// oracle of every test. The reference backend runs these and nothing else.
//
// Layouts are those of bqengine/graph.h: activations [rows.., channels], bits
// packed along channels, 64 to a word, rows starting at words. The meaning of
// each op is in engine/README.md, "Ops".
#ifndef KERNELS_REFERENCE_H_
#define KERNELS_REFERENCE_H_

#include <cstdint>

#include "kernels/epilogue.h"
#include "kernels/shapes.h"

namespace bqengine::kernels::reference {

// ------------------------------------------------------------- binary products

// The float value of one of `out_channels` channels from its M*N accumulators,
// acc[n * M + m]; `residual` is for a step of that name.
float ApplyEpilogue(const Epilogue& epilogue, const int32_t* acc,
                    int64_t out_channel, int64_t out_channels,
                    float residual = 0);

// inputs[n]: [rows, WordsFor(k)]; weight: [M, out, WordsFor(k)].
void BinaryGemm(int64_t rows, int64_t k, int64_t out,
                const BinaryFormat& format, const uint64_t* const* inputs,
                const uint64_t* weight, const Epilogue& epilogue,
                const BinaryOutput& output);

// inputs[n]: [batch, in_h, in_w, WordsFor(C)];
// weight: [M, O, kernel_h, kernel_w, WordsFor(C / groups)].
void BinaryConv(const ConvShape& shape, const BinaryFormat& format,
                const uint64_t* const* inputs, const uint64_t* weight,
                const Epilogue& epilogue, const BinaryOutput& output);

// T: float, int8_t or uint8_t. Of the epilogue, N = 1 and there is no
// threshold. A padded activation and a weight of 0 contribute nothing, whatever
// they meet. Floats are summed in double, integers in int32 (at most
// kMostByteTaps), so that the result is the exact one rounded once.
template <typename T>
void BinaryWeightGemm(int64_t rows, int64_t k, int64_t out, Encoding weights,
                      const T* x, const uint64_t* weight,
                      const Epilogue& epilogue, float* y);
template <typename T>
void BinaryWeightConv(const ConvShape& shape, Encoding weights, const T* x,
                      const uint64_t* weight, const Epilogue& epilogue,
                      float* y);

// ---------------------------------------------------------------- other bits

// bit = float(x) >= threshold. x: [rows, channels], float, int8_t or uint8_t;
// y: [rows, WordsFor(channels)]. threshold null: 0; stride 0: one for all
// channels, 1: one each.
template <typename T>
void Binarize(int64_t rows, int64_t channels, const T* x,
              const float* threshold, int64_t threshold_stride, uint64_t* y);

void BinaryMaxPool(const Window& window, int64_t channels, const uint64_t* x,
                   uint64_t* y);

// ---------------------------------------------------------------------- float

// Sums of products are taken in double and rounded once.
//
// weight: [O, kernel_h, kernel_w, C / groups]; bias: [O] or null.
void Conv(const ConvShape& shape, const float* x, const float* weight,
          const float* bias, float* y);
// weight: [out, k]; bias: [out] or null.
void Gemm(int64_t rows, int64_t k, int64_t out, const float* x,
          const float* weight, const float* bias, float* y);

void MaxPool(const Window& window, int64_t channels, const float* x, float* y);
// With count_include_pad the divisor counts the window's cells inside the
// padded image (ceil_mode can make a window reach beyond that), else those
// inside the image. A window with none gives 0.
void AveragePool(const Window& window, int64_t channels, bool count_include_pad,
                 const float* x, float* y);
void GlobalAveragePool(int64_t batch, int64_t pixels, int64_t channels,
                       const float* x, float* y);

// y = x * mul + add, rounded twice; null or stride as in Epilogue.
void Affine(int64_t rows, int64_t channels, const float* x, const float* mul,
            int64_t mul_stride, const float* add, int64_t add_stride, float* y);
void AddTensors(int64_t count, const float* a, const float* b, float* y);
void MulTensors(int64_t count, const float* a, const float* b, float* y);
void Relu(int64_t count, const float* x, float* y);
void PRelu(int64_t rows, int64_t channels, const float* x, const float* slope,
           int64_t slope_stride, float* y);
void Clip(int64_t count, float min, float max, const float* x, float* y);
void Floor(int64_t count, const float* x, float* y);
// Over `length` elements that are `inner` apart.
void Softmax(int64_t outer, int64_t length, int64_t inner, const float* x,
             float* y);

}  // namespace bqengine::kernels::reference

#endif  // KERNELS_REFERENCE_H_
