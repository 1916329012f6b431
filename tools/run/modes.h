// The things bq-run can do. Each reads what it needs, runs, and prints a
// report.
#ifndef BQENGINE_TOOLS_RUN_MODES_H_
#define BQENGINE_TOOLS_RUN_MODES_H_

#include "bqengine/model.h"
#include "bqengine/status.h"
#include "run/options.h"

namespace bqengine::run {

// --input: outputs to files, best classes to the screen.
Status Infer(const Model& model, const Options& options);

// --dataset: accuracy and latency.
Status Evaluate(const Model& model, const Options& options);

// --benchmark: latency and throughput.
Status Benchmark(const Model& model, const Options& options);

// Neither of these: what is in the model.
Status Describe(const Model& model, const Options& options);

// --list-backends.
Status ListBackendsMode(const Options& options);

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_MODES_H_
