// Activations as sums of scaled bits.
#ifndef BQENGINE_TOOLS_QUANTIZE_ACTIVATIONS_H_
#define BQENGINE_TOOLS_QUANTIZE_ACTIVATIONS_H_

#include <cstdint>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/status.h"

namespace bqengine::ptq {

// x ~ constant + sum_n beta[n] * A_n, where A_n is the larger value of the
// encoding where x >= thresholds[n], and the smaller one elsewhere.
struct ActivationBases {
  DataType encoding = DataType::kBipolar;
  std::vector<float> thresholds;
  std::vector<float> beta;
  double relative_error = 0;  // sum of abs(x - sum) / sum of abs(x)
};

// Chooses thresholds and beta that bring the sum of squares of the rest to a
// minimum, by turns: least squares for beta, and thresholds halfway between the
// values that the sum takes.
//
// With `padded`, zeros stand around x: the sum must then be without a constant,
// which would be missing there. If no x is negative, unipolar bits give 0 for
// 0; else bipolar bits, of which a padded one counts as 0. Without padding the
// constant is free: it adds the same to all outputs of a channel, where it is
// left to who fits these.
//
// kInvalidArgument if x is empty or not finite.
Result<ActivationBases> FitActivations(std::vector<float> x, int64_t bases,
                                       bool padded);

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_ACTIVATIONS_H_
