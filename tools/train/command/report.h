// What a training run came to, for people and for machines.
#ifndef BQENGINE_TOOLS_TRAIN_COMMAND_REPORT_H_
#define BQENGINE_TOOLS_TRAIN_COMMAND_REPORT_H_

#include <cstdint>
#include <string>

#include "train/command/evaluate.h"
#include "train/command/options.h"
#include "train/history.h"

namespace bqengine::train {

struct Report {
  TrainingHistory history = {};
  int64_t steps = 0;
  int64_t test_images = 0;
  double test_accuracy = 0;      // as trained
  double exported_accuracy = 0;  // the written model, run by bqengine
  Comparison comparison = {};
  int64_t model_bytes = 0;  // of both files
};

std::string ReportText(const Report& report, const Options& options);
std::string ReportJson(const Report& report, const Options& options);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_COMMAND_REPORT_H_
