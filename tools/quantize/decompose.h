// Float weights as sums of scaled bits, by the method that the user names.
#ifndef BQENGINE_TOOLS_QUANTIZE_DECOMPOSE_H_
#define BQENGINE_TOOLS_QUANTIZE_DECOMPOSE_H_

#include <cstdint>
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

// `shift_scale` multiplies ABC-Net's shifts. Each output channel has scales of
// its own: that has the least error.
Result<quantize::Weights> Decompose(const Constant& weight,
                                    const Method& method,
                                    float shift_scale = 1);

// How far the sums are from the float weights.
Result<quantize::Error> WeightError(const Constant& weight,
                                    const quantize::Weights& weights);

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_DECOMPOSE_H_
