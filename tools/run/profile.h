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
  double us = 0;               // median of the runs
  double share = 0;            // of the sum of all layers' medians, 0 to 1
  double macs_per_second = 0;  // at that; 0 for layers that multiply nothing
};

// The layers that run, in order of execution, without times.
std::vector<LayerTime> Layers(const Session& session);

// The same with times, over the runs in Runner::layer_us.
std::vector<LayerTime> LayerTimes(const Runner& runner);

// A table if it fits into `width` columns, or else a few short lines for each
// layer; then the sum of all. Without the columns of times if there are none.
std::string LayerTable(const std::vector<LayerTime>& layers, int width);

// A run in the Trace Event Format ("JSON Object Format") that
// chrome://tracing and ui.perfetto.dev read, with what ran it and when.
std::string ChromeTrace(const std::vector<NodeProfile>& nodes,
                        const std::string& model_name);

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_PROFILE_H_
