// Curves of a training run as a picture.
#ifndef BQENGINE_TOOLS_TRAIN_PLOT_TRAINING_PLOT_H_
#define BQENGINE_TOOLS_TRAIN_PLOT_TRAINING_PLOT_H_

#include <string>

#include "train/history.h"

namespace bqengine::train {

// An SVG with, one above the other, the loss, the errors in training and test,
// and of each layer the quantization error and the part of the signs that an
// epoch flipped. What is NaN is a gap in its curve; a curve of nothing else,
// and a panel without curves, are left out. Any bytes will do for names.
std::string TrainingSvg(const TrainingHistory& history);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_PLOT_TRAINING_PLOT_H_
