// A network on a test set: as it is trained, and as bqengine runs it.
#ifndef BQENGINE_TOOLS_TRAIN_COMMAND_EVALUATE_H_
#define BQENGINE_TOOLS_TRAIN_COMMAND_EVALUATE_H_

#include <cstdint>
#include <vector>

#include "bqengine/model.h"
#include "bqengine/session.h"
#include "bqengine/status.h"
#include "bqtrain/network.h"
#include "common/dataset.h"

namespace bqengine::train {

// What a network gives for each image.
struct Scores {
  int64_t classes = 0;
  std::vector<float> values;  // [images, classes]
  std::span<const float> of(int64_t image) const {
    return std::span(values).subspan(static_cast<size_t>(image * classes),
                                     static_cast<size_t>(classes));
  }
};

// The first of the largest scores.
int64_t Predict(std::span<const float> scores);

Result<Scores> EvaluateNetwork(bqtrain::NetworkImpl* network,
                               const tools::Dataset& data,
                               const GraphInput& input);
// In a session with these options, but for the batch.
Result<Scores> EvaluateModel(const Model& model, const tools::Dataset& data,
                             SessionOptions options);

double Accuracy(const Scores& scores, const tools::Dataset& data);

// Where two evaluations of the same images predict another class.
struct Comparison {
  int64_t differing = 0;
  // Those among them where the best score of `a` is more than 1e-3 above its
  // second: rounding does not explain them.
  int64_t clearly_differing = 0;
};
Comparison Compare(const Scores& a, const Scores& b);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_COMMAND_EVALUATE_H_
