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

// --check: whether the layers give on one backend what they give on another.
// kInternal, after the report, if one does not.
Status Check(const Model& model, const Options& options);

// None of these: what is in the model.
Status Describe(const Model& model, const Options& options);

// --list-backends.
Status ListBackendsMode(const Options& options);

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_MODES_H_
