// Times of layers: as a table, and as a trace.
#ifndef BQENGINE_TOOLS_RUN_PROFILE_H_
#define BQENGINE_TOOLS_RUN_PROFILE_H_

#include <string>
#include <vector>

#include "bqengine/session.h"
#include "run/runner.h"

namespace bqengine::run {

struct LayerTime {
  std::string name, op, output, backend;
  double us = 0;               // mean of the runs
  double share = 0;            // of the time of all layers, 0 to 1
  double macs_per_second = 0;  // 0 for layers that multiply nothing
};

// In order of execution, over all runs of the runner, those to warm up
// included.
std::vector<LayerTime> LayerTimes(const Runner& runner);

// A table if it fits into `width` columns, or else a few short lines for each
// layer.
std::string LayerTable(const std::vector<LayerTime>& layers, int width);

// The last run in the Trace Event Format ("JSON Object Format") that
// chrome://tracing and ui.perfetto.dev read.
std::string ChromeTrace(const std::vector<NodeProfile>& nodes,
                        const std::string& model_name);

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_PROFILE_H_
