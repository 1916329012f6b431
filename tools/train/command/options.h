// The command line of bq-train.
#ifndef BQENGINE_TOOLS_TRAIN_COMMAND_OPTIONS_H_
#define BQENGINE_TOOLS_TRAIN_COMMAND_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "bqengine/status.h"
#include "bqtrain/quantization.h"
#include "common/limits.h"
#include "train/data/augment.h"

namespace bqengine::train {

struct Options {
  // What is trained.
  std::string architecture, dataset;
  double width = 1;
  std::string method;
  int64_t weight_bases = 1, activation_bases = 1;
  std::string alpha = "mean", shifts = "trained";
  float threshold = 0;

  // How.
  int64_t epochs = 10;
  int64_t steps = 0;  // 0: as many as the epochs have
  int64_t limit = 0;  // 0: all images
  int64_t batch_size = 100;
  uint64_t seed = 1;
  std::string optimizer = "adam", schedule = "cosine", loss = "cross-entropy";
  double learning_rate = 0;  // 0: the optimizer's default
  double momentum = 0.9, weight_decay = 0;
  std::string augment;
  int threads = 0;  // 0: one per core
  int loader_threads = 1;
  tools::Limits limits;
  std::string init_from;
  bool resume = false;

  // What comes out.
  std::string output, checkpoint, log, plot, json;

  // Filled in by Complete.
  uint64_t architecture_hash = 0;  // of the file's content
  uint64_t dataset_hash = 0;       // of the data, once they have been read
  bqtrain::Quantization quantization;
  Augmentation augmentation;
};

void DeclareOptions(CLI::App* app, Options* options);

// What CLI11 cannot do: names of files that follow from others, the method with
// its parts, and that no two outputs are one file.
Status Complete(Options* options);

// No output is written over a file that data was read from.
Status CheckOutputs(const Options& options,
                    const std::vector<std::string>& data_files);

// All that decides the weights, as one line of JSON: a checkpoint keeps it, and
// training resumes only with the same.
std::string Settings(const Options& options);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_COMMAND_OPTIONS_H_
