// The formulas of quantization to one bit, for programs that make networks.
//
//   auto quantized = bqengine::quantize::AbcNet(
//       weights, {64, 3, 3, 32}, *bqengine::quantize::AbcNetShifts(3),
//       bqengine::quantize::Scope::kChannel);
//   if (!quantized.ok()) ...
//   graph.constants["conv1.weight"] = quantized->weight;  // role "weight"
//   graph.constants["conv1.alpha"] = quantized->alpha;    // role "alpha"
//
// Everywhere here:
// - sign(x) = +1 if x >= 0, else -1; I[..] is 1 if the condition holds, else 0.
// - Values are float32, row-major, in the shapes of bqengine/graph.h; nothing
//   keeps a reference to them. Sums are taken in double.
// - Functions have no state and may be called from any thread, in any
//   floating-point mode: they compute in the default one, and restore it.
// - What fails is kInvalidArgument: nothing to quantize, sizes that do not
//   agree, a dimension < 1, a constant whose data is not what its shape needs
//   or has bits beyond a row's end, a type that is not bits where bits are
//   meant, and, unless it is said otherwise, values that are NaN or infinite.
#ifndef BQENGINE_QUANTIZE_H_
#define BQENGINE_QUANTIZE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "bqengine/export.h"
#include "bqengine/graph.h"
#include "bqengine/status.h"

namespace bqengine::quantize {

// ---------------------------------------------------------------- one
// threshold

// The larger value of `encoding` where x >= threshold, the smaller one
// elsewhere: {-1,+1} for kBipolar (with threshold 0 this is sign(x), as in
// BinaryNet, arXiv:1602.02830), {0,1} for kUnipolar. As many values as x has.
// x may hold NaN, which becomes the smaller value, and infinities; the
// threshold may be infinite but not NaN.
BQENGINE_API Result<std::vector<float>> Binarize(std::span<const float> x,
                                                 float threshold,
                                                 DataType encoding);

// The same, packed: a constant of type `encoding` and the given shape, which
// must have x.size() elements.
BQENGINE_API Result<Constant> BinarizeToBits(std::span<const float> x,
                                             const Shape& shape,
                                             float threshold,
                                             DataType encoding);

// The values of packed bits: {-1,+1} or {0,1}, by the type of `bits`.
BQENGINE_API Result<std::vector<float>> Unpack(const Constant& bits);

// Unipolar layers have one scale and one shift: O = alpha * O_b + beta, element
// by element, where O_b is what the {0,1} weights leave of the activations.
// Each operation is rounded by itself, as when a network runs.
BQENGINE_API Result<std::vector<float>> ScaleAndShift(
    std::span<const float> o_b, float alpha, float beta);

// -------------------------------------------------------- binary weights,
// scaled

// Weights as a sum of scaled bits, in the shapes that the binary ops take
// (engine/README.md, "Ops"): with M bases, and O output channels,
//   W[o, ...] ~ sum_m alpha[m, o] * weight[m, o, ...]
struct Weights {
  Constant weight;  // bits, [M, O, ...]
  Constant alpha;   // float32, [M, O], or [M] for all channels together
};

// BWN, arXiv:1603.05279: sign(W) with one scale per output channel, alpha[o] =
// mean of abs(W[o, ...]), which minimizes the sum of squares of
// W[o, ...] - alpha[o] * sign(W[o, ...]). W is [O, ...] with two dimensions at
// least; M is 1.
BQENGINE_API Result<Weights> Bwn(std::span<const float> w, const Shape& shape);

// What shares one set of scales, and one mean and standard deviation.
enum class Scope {
  kTensor,   // all weights; alpha is [M]
  kChannel,  // those of one output channel; alpha is [M, O]
};

// ABC-Net, arXiv:1711.11294: bases
//   B_m = sign(W - mean(W) + u_m * std(W))
// (std over n elements, not n - 1), and those alpha that minimize the sum of
// squares of W - sum_m alpha_m * B_m. `shifts` are the u_m, 1 to kMaxBases of
// them. Bases that others already span, as when all weights are equal or two
// shifts are close, get alpha 0. W is [O, ...] with two dimensions at least.
inline constexpr int64_t kMaxBases = 64;
BQENGINE_API Result<Weights> AbcNet(std::span<const float> w,
                                    const Shape& shape,
                                    std::span<const float> shifts, Scope scope);

// The paper's fixed shifts, u_m = -1 + 2 * (m - 1) / (M - 1) for m = 1 .. M,
// evenly spaced from -1 to 1; 0 for M = 1. `bases` is in [1, kMaxBases].
BQENGINE_API Result<std::vector<float>> AbcNetShifts(int64_t bases);

// Lowers the sum of squares of W - sum_m alpha_m * B_m of bipolar weights that
// stand for W, by turns: each weight takes that of the 2^M sums of +-alpha_m
// which is nearest to it, and then alpha becomes what is best for these bits.
// Ends after `iterations` of both, or sooner where nothing changes; the sum
// never grows. `start` has at most kMaxRefinedBases bases; alpha keeps its
// shape.
inline constexpr int64_t kMaxRefinedBases = 10;
BQENGINE_API Result<Weights> Refine(std::span<const float> w,
                                    const Shape& shape, const Weights& start,
                                    int64_t iterations);

// sum_m alpha[m, o] * weight[m, o, ...]: the float weights, [O, ...], that the
// bits stand for. Also for unipolar weights.
BQENGINE_API Result<std::vector<float>> Reconstruct(const Weights& weights);

// Those a that minimize the sum of squares of y - sum_j a[j] * x_j, from the
// normal equations: gram[i, j] = x_i . x_j (row-major) and moments[i] = x_i .
// y. An x_j that others span, so that the equations do not tell it, gets 0. For
// scales of activations, and whatever else is a sum of few parts.
BQENGINE_API Result<std::vector<double>> LeastSquares(
    std::span<const double> gram, std::span<const double> moments);

// ------------------------------------------------------------------------
// error

// How far Q(x) is from x.
struct Error {
  double sum;       // sum of abs(x - Q(x))
  double mean;      // sum / number of elements
  double relative;  // sum / sum of abs(x); if that is 0: 0 or, if sum > 0, +inf
};

// `x` and `quantized` must be of one size.
BQENGINE_API Result<Error> MeasureError(std::span<const float> x,
                                        std::span<const float> quantized);

}  // namespace bqengine::quantize

#endif  // BQENGINE_QUANTIZE_H_
