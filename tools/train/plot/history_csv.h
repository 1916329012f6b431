// The log of a training run as CSV (RFC 4180, with line feeds).
#ifndef BQENGINE_TOOLS_TRAIN_PLOT_HISTORY_CSV_H_
#define BQENGINE_TOOLS_TRAIN_PLOT_HISTORY_CSV_H_

#include <string>
#include <string_view>

#include "bqengine/status.h"
#include "train/history.h"

namespace bqengine::train {

// A header, and a row per epoch: epoch, train_loss, train_accuracy,
// test_accuracy, learning_rate, seconds, and of each layer
// NAME.quantization_error and NAME.flipped. Numbers are read back as they were.
// The title is left out.
std::string HistoryCsv(const TrainingHistory& history);

// What HistoryCsv wrote. kInvalidArgument naming `path`, and the row, where it
// is anything else.
Result<TrainingHistory> ParseHistoryCsv(std::string_view text,
                                        const std::string& path);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_PLOT_HISTORY_CSV_H_
