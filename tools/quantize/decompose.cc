#include "quantize/decompose.h"

namespace bqengine::ptq {

Result<quantize::Weights> Decompose(const Constant& weight,
                                    const Method& method, float shift_scale) {
  const std::span<const float> w = weight.floats();
  if (!method.abcnet) return quantize::Bwn(w, weight.shape());
  std::vector<float> shifts = quantize::AbcNetShifts(method.bases);
  for (float& shift : shifts) shift *= shift_scale;
  auto weights =
      quantize::AbcNet(w, weight.shape(), shifts, quantize::Scope::kChannel);
  if (!weights.ok() || method.refinement == 0) return weights;
  return quantize::Refine(w, weight.shape(), *weights, method.refinement);
}

Result<quantize::Error> WeightError(const Constant& weight,
                                    const quantize::Weights& weights) {
  const auto sums = quantize::Reconstruct(weights);
  if (!sums.ok()) return sums.status();
  return quantize::MeasureError(weight.floats(), *sums);
}

}  // namespace bqengine::ptq
