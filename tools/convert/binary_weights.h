// Finds out whether the weights of a layer are bits in disguise: in each output
// channel two values only, -c and +c (bipolar) or 0 and c (unipolar); or -c, 0
// and +c, half the sum of two bases that differ at the zeros.
#ifndef BQENGINE_TOOLS_CONVERT_BINARY_WEIGHTS_H_
#define BQENGINE_TOOLS_CONVERT_BINARY_WEIGHTS_H_

#include <span>
#include <string>
#include <vector>

#include "bqengine/graph.h"

namespace bqengine::convert {

struct BinaryWeights {
  // One encoding for the whole layer; `reason` says why there is none.
  bool found = false;
  std::string reason;

  DataType type = DataType::kBipolar;
  int64_t bases = 1;         // 2: ternary weights
  std::vector<bool> bits;    // in the order of the weights, base after base
  std::vector<float> scale;  // c of each output channel
  // Largest relative distance of a magnitude from its channel's c; 0 when the
  // bits stand for the weights exactly.
  float spread = 0;
};

// `weights` holds out_channels rows of equal length. Magnitudes within a
// channel count as one when they agree to about 1e-6: exporters that compute
// sign(w) * mean - clip + clip leave differences of 2e-7. Ternary weights,
// which cost twice the work, are recognised if `ternary` says so.
BinaryWeights RecogniseBits(std::span<const float> weights,
                            int64_t out_channels, bool ternary = false);

// Rows of `row_bits` bits packed to whole words each (bqengine/graph.h).
std::vector<uint64_t> PackRows(const std::vector<bool>& bits, int64_t row_bits);

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_BINARY_WEIGHTS_H_
