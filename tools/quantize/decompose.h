// Float weights as sums of scaled bits, by the method that the user names.
#ifndef BQENGINE_TOOLS_QUANTIZE_DECOMPOSE_H_
#define BQENGINE_TOOLS_QUANTIZE_DECOMPOSE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/quantize.h"
#include "bqengine/status.h"

namespace bqengine::ptq {

struct Method {
  bool abcnet = false;     // else BWN
  int64_t bases = 1;       // 1 for BWN
  int64_t refinement = 0;  // of ABC-Net: rounds of quantize::Refine
};

// One way to write weights as bits. Each output channel has scales of its own:
// that has the least error.
struct Decomposition {
  std::string start;          // where the search for bits started
  quantize::Weights weights;  // [M, O, ...] and [M, O]
};

// ABC-Net's shifts, multiplied by each of `shift_scales`, and, if bits are
// refined, also the signs of what the bases before leave of the weights
// (arXiv:1706.02021): which is best depends on how weights are distributed. A
// single base has but one way.
Result<std::vector<Decomposition>> Decompositions(
    const Constant& weight, const Method& method,
    const std::vector<float>& shift_scales);

// Of each output channel, the bits and scales of decompositions[choice[o]].
quantize::Weights Combine(const std::vector<Decomposition>& decompositions,
                          const std::vector<size_t>& choice);

// Without more to go by: the least sum of squares in each output channel, of a
// few decompositions (of the paper's shifts only, if nothing is refined).
Result<quantize::Weights> Decompose(const Constant& weight,
                                    const Method& method);

// How far the sums are from the float weights.
Result<quantize::Error> WeightError(const Constant& weight,
                                    const quantize::Weights& weights);

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_DECOMPOSE_H_
