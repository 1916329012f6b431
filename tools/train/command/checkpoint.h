// The state of a training run in one file.
#ifndef BQENGINE_TOOLS_TRAIN_COMMAND_CHECKPOINT_H_
#define BQENGINE_TOOLS_TRAIN_COMMAND_CHECKPOINT_H_

#include <torch/torch.h>

#include <cstdint>
#include <string>

#include "bqengine/status.h"
#include "bqtrain/network.h"

namespace bqengine::train {

// Where a run stands, beside its tensors.
struct RunState {
  int64_t epochs_done = 0;
  int64_t steps_done = 0;
  std::string settings;  // Settings() of its options
  std::string history;   // HistoryCsv
};

// Writes parameters, running means, the optimizer's state and that of torch's
// random numbers: all that training from here depends on. The file appears
// complete or not at all.
Status WriteCheckpoint(const std::string& path, bqtrain::NetworkImpl& network,
                       torch::optim::Optimizer& optimizer,
                       const RunState& state);

// Puts a run back where it was. kInvalidArgument, naming the file and what
// differs, if it is of a run with other settings.
Result<RunState> ReadCheckpoint(const std::string& path,
                                const std::string& settings,
                                bqtrain::NetworkImpl* network,
                                torch::optim::Optimizer* optimizer);

// Takes those parameters and running means whose name and shape fit `network`,
// and returns how many they are. kInvalidArgument if there is none.
struct Taken {
  int64_t tensors = 0;
  int64_t of = 0;  // that the network has
};
Result<Taken> InitFrom(const std::string& path, bqtrain::NetworkImpl* network);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_COMMAND_CHECKPOINT_H_
