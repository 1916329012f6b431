// What bq-train is given: an architecture with a method, and data that fit it.
#ifndef BQENGINE_TOOLS_TRAIN_COMMAND_INPUTS_H_
#define BQENGINE_TOOLS_TRAIN_COMMAND_INPUTS_H_

#include <cstdint>

#include "bqengine/graph.h"
#include "bqengine/status.h"
#include "common/dataset.h"
#include "train/architecture/method.h"
#include "train/command/options.h"

namespace bqengine::train {

// Errors name the file; also an option for methods that no layer has is one.
Result<Plan> ReadPlan(const Options& options);

struct Data {
  tools::Dataset train, test;  // of the same classes
};

// For a network, whose outputs number the classes: an error if they do not fit
// (common/class_numbers.h), or if an output of bq-train would overwrite a file
// of the data set.
Result<Data> ReadData(const Options& options, const Graph& graph);

// Of pixels and labels.
uint64_t Hash(const Data& data);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_COMMAND_INPUTS_H_
