// The training loop.
#ifndef BQENGINE_TOOLS_TRAIN_COMMAND_TRAINER_H_
#define BQENGINE_TOOLS_TRAIN_COMMAND_TRAINER_H_

#include <memory>
#include <string>
#include <vector>

#include "bqtrain/network.h"
#include "common/dataset.h"
#include "common/progress.h"
#include "train/command/checkpoint.h"
#include "train/command/optimizer.h"
#include "train/command/options.h"
#include "train/data/batch_loader.h"
#include "train/history.h"

namespace bqengine::train {

class Trainer {
 public:
  // All outlive the trainer.
  Trainer(const Options& options, const GraphInput& input,
          const tools::Dataset& train, const tools::Dataset& test,
          bqtrain::NetworkImpl* network);

  // From the checkpoint of an earlier run, or of another network, if the
  // options say so.
  Status Prepare();

  // Trains, and after each epoch evaluates, writes log, plot and checkpoint,
  // and says on standard error how it went.
  Status Run();

  const TrainingHistory& history() const { return history_; }
  int64_t steps_done() const { return state_.steps_done; }

 private:
  Status RunEpoch(BatchLoader* loader, EpochRecord* record);
  // Where weights are drawn in training and fixed in evaluation, batch norms
  // have running means of the wrong outputs: takes them again.
  Status ReestimateBatchNorms(BatchLoader* loader);
  Status FinishEpoch(EpochRecord* record);
  // Returns the loss; counts what was right before the step.
  double RunStep(const Batch& batch, int64_t* correct);
  torch::Tensor ToTensor(const Batch& batch) const;
  void DescribeLayers(EpochRecord* record) const;
  void RememberSigns();

  const Options& options_;
  const GraphInput& input_;
  const tools::Dataset& train_;
  const tools::Dataset& test_;
  bqtrain::NetworkImpl* network_;
  Optimizer optimizer_;
  int64_t steps_ = 0;   // of the whole run
  int64_t images_ = 0;  // that the epoch has trained with
  RunState state_;
  TrainingHistory history_;
  std::vector<torch::Tensor> signs_;  // of weights, when the epoch began
};

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_COMMAND_TRAINER_H_
