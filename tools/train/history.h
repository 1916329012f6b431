// What a training run tells about itself, epoch by epoch.
#ifndef BQENGINE_TOOLS_TRAIN_HISTORY_H_
#define BQENGINE_TOOLS_TRAIN_HISTORY_H_

#include <string>
#include <vector>

namespace bqengine::train {

struct LayerRecord {
  std::string name;
  double quantization_error = 0;  // of the weights: sum|W - Q(W)| / sum|W|
  double flipped = 0;  // fraction of weights whose sign the epoch changed
};

// Accuracies are fractions; what was not measured is NaN.
struct EpochRecord {
  int epoch = 0;
  double train_loss = 0;
  double train_accuracy = 0;
  double test_accuracy = 0;
  double learning_rate = 0;
  double seconds = 0;
  std::vector<LayerRecord> layers;
};

// All epochs have the same layers in the same order.
struct TrainingHistory {
  std::string title;
  std::vector<EpochRecord> epochs;
};

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_HISTORY_H_
