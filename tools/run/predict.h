// From a model's scores to classes.
#ifndef BQENGINE_TOOLS_RUN_PREDICT_H_
#define BQENGINE_TOOLS_RUN_PREDICT_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bqengine/model.h"

namespace bqengine::run {

struct Prediction {
  int64_t index = 0;
  float score = 0;
  // In [0, 1]; none where a probability would be made up, see Classify.
  std::optional<double> confidence;
};

// The `k` best scores, best first; of equal ones the lower index first, NaN
// last. Confidence is the softmax of all scores in double, or the score itself
// if the model ends in a softmax (`are_probabilities`). There is none if there
// is only one score, or one is not finite, or all are whole numbers: those are
// counts of bits, and their softmax would be 0 or 1 whatever the network
// knows.
std::vector<Prediction> Classify(std::span<const float> scores, size_t k,
                                 bool are_probabilities);

// Whether the model's output `i` comes out of a Softmax.
bool EndsInSoftmax(const Model& model, size_t i);

// The name of a class, or its number if the model does not name `classes`.
std::string ClassName(const Model& model, size_t classes, int64_t index);

// "7 (99.8 %)", or "7 (score 31)".
std::string PredictionText(const Model& model, size_t classes,
                           const Prediction& prediction);

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_PREDICT_H_
