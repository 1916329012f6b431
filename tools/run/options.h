// What the user asked bq-run to do.
#ifndef BQENGINE_TOOLS_RUN_OPTIONS_H_
#define BQENGINE_TOOLS_RUN_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "bqengine/status.h"
#include "common/limits.h"

namespace bqengine::run {

enum class Mode {
  kListBackends,
  kInfer,
  kDataset,
  kBenchmark,
  kCheck,
  kDescribe
};

struct Options {
  std::string model;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::string dataset;
  bool benchmark = false;
  std::string check;  // the backend to compare with
  bool list_backends = false;

  int64_t topk = 0;   // 0: 5 where nothing else is asked for, else none
  int64_t limit = 0;  // 0: all images
  int64_t show = 0;
  int64_t batch = 0;  // 0: as the mode sees fit
  int64_t runs = 0;   // 0: as many as fit into the time
  int threads = 1;
  std::string backend;
  std::vector<std::string> plugins;
  tools::Limits limits;
  std::string profile;
  bool json = false;
};

// Adds bq-run's options to `app`, to be stored in `options`.
void DeclareOptions(CLI::App* app, Options* options);

// The mode that parsed options select; kInvalidArgument if they select none.
Result<Mode> SelectMode(const Options& options);

// kInvalidArgument if a file to be written is one to be read, or is to be
// written twice. What is not a regular file (/dev/null) may be.
Status CheckOutputs(const Options& options);

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_OPTIONS_H_
