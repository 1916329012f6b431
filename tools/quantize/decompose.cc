#include "quantize/decompose.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

namespace bqengine::ptq {
namespace {

Result<quantize::Weights> FromShifts(const Constant& weight,
                                     const Method& method, float scale) {
  auto shifts = quantize::AbcNetShifts(method.bases);
  if (!shifts.ok()) return shifts.status();
  for (float& shift : *shifts) shift *= scale;
  return quantize::AbcNet(weight.floats(), weight.shape(), *shifts,
                          quantize::Scope::kChannel);
}

// Each base is BWN of what those before it leave.
Result<quantize::Weights> FromRest(const Constant& weight,
                                   const Method& method) {
  std::vector<float> rest(weight.floats().begin(), weight.floats().end());
  std::vector<uint64_t> words;
  std::vector<float> alpha;
  for (int64_t m = 0; m < method.bases; ++m) {
    const auto base = quantize::Bwn(rest, weight.shape());
    if (!base.ok()) return base.status();
    const auto sums = quantize::Reconstruct(*base);
    if (!sums.ok()) return sums.status();
    for (size_t i = 0; i < rest.size(); ++i) rest[i] -= (*sums)[i];
    const auto base_words = base->weight.words();
    words.insert(words.end(), base_words.begin(), base_words.end());
    const auto base_alpha = base->alpha.floats();
    alpha.insert(alpha.end(), base_alpha.begin(), base_alpha.end());
  }
  Shape shape = {method.bases};
  shape.insert(shape.end(), weight.shape().begin(), weight.shape().end());
  return quantize::Weights{
      Constant::Bits(DataType::kBipolar, std::move(shape), std::move(words)),
      Constant::Floats({method.bases, weight.shape()[0]}, std::move(alpha))};
}

Status AddRefined(const Constant& weight, const Method& method,
                  std::string start, Result<quantize::Weights> weights,
                  std::vector<Decomposition>* decompositions) {
  if (weights.ok() && method.refinement > 0) {
    weights = quantize::Refine(weight.floats(), weight.shape(), *weights,
                               method.refinement);
  }
  if (!weights.ok()) return weights.status();
  decompositions->push_back({std::move(start), *std::move(weights)});
  return Status();
}

// Sums of squares of what is left, by output channel.
Result<std::vector<double>> ChannelErrors(const Constant& weight,
                                          const quantize::Weights& weights) {
  const auto sums = quantize::Reconstruct(weights);
  if (!sums.ok()) return sums.status();
  std::vector<double> errors(static_cast<size_t>(weight.shape()[0]));
  const size_t per_channel = sums->size() / errors.size();
  for (size_t i = 0; i < sums->size(); ++i) {
    const double rest = static_cast<double>(weight.floats()[i]) - (*sums)[i];
    errors[i / per_channel] += rest * rest;
  }
  return errors;
}

}  // namespace

Result<std::vector<Decomposition>> Decompositions(
    const Constant& weight, const Method& method,
    const std::vector<float>& shift_scales) {
  std::vector<Decomposition> all;
  if (!method.abcnet) {
    auto weights = quantize::Bwn(weight.floats(), weight.shape());
    if (!weights.ok()) return weights.status();
    all.push_back({"signs", *std::move(weights)});
    return all;
  }
  for (const float scale : shift_scales) {
    Status status =
        AddRefined(weight, method, fmt::format("shifts x {:g}", scale),
                   FromShifts(weight, method, scale), &all);
    if (!status.ok()) return status;
    if (method.bases == 1) return all;  // its shift is 0
  }
  if (method.refinement > 0) {
    Status status =
        AddRefined(weight, method, "rest", FromRest(weight, method), &all);
    if (!status.ok()) return status;
  }
  return all;
}

quantize::Weights Combine(const std::vector<Decomposition>& decompositions,
                          const std::vector<size_t>& choice) {
  const Shape& shape = decompositions[0].weights.weight.shape();
  const size_t channels = choice.size();
  const size_t rows = static_cast<size_t>(shape[0]) * channels;
  std::vector<uint64_t> words;
  std::vector<float> alpha;
  for (size_t row = 0; row < rows; ++row) {  // base by base, in it channels
    const quantize::Weights& from =
        decompositions[choice[row % channels]].weights;
    const auto all = from.weight.words();
    const auto part = all.subspan(row * (all.size() / rows), all.size() / rows);
    words.insert(words.end(), part.begin(), part.end());
    alpha.push_back(from.alpha.floats()[row]);
  }
  return {Constant::Bits(DataType::kBipolar, shape, std::move(words)),
          Constant::Floats({shape[0], shape[1]}, std::move(alpha))};
}

Result<quantize::Weights> Decompose(const Constant& weight,
                                    const Method& method) {
  const std::vector<float> scales =
      method.refinement > 0 ? std::vector{1.0f, 2.0f} : std::vector{1.0f};
  const auto decompositions = Decompositions(weight, method, scales);
  if (!decompositions.ok()) return decompositions.status();
  const size_t channels = static_cast<size_t>(weight.shape()[0]);
  std::vector<size_t> choice(channels);
  std::vector<double> least(channels, std::numeric_limits<double>::infinity());
  for (size_t d = 0; d < decompositions->size(); ++d) {
    const auto errors = ChannelErrors(weight, (*decompositions)[d].weights);
    if (!errors.ok()) return errors.status();
    for (size_t o = 0; o < channels; ++o) {
      if (!((*errors)[o] < least[o])) continue;
      least[o] = (*errors)[o];
      choice[o] = d;
    }
  }
  return Combine(*decompositions, choice);
}

Result<quantize::Error> WeightError(const Constant& weight,
                                    const quantize::Weights& weights) {
  const auto sums = quantize::Reconstruct(weights);
  if (!sums.ok()) return sums.status();
  return quantize::MeasureError(weight.floats(), *sums);
}

}  // namespace bqengine::ptq
