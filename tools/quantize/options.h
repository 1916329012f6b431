// The command line of bq-quantize.
#ifndef BQENGINE_TOOLS_QUANTIZE_OPTIONS_H_
#define BQENGINE_TOOLS_QUANTIZE_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "bqengine/status.h"
#include "common/limits.h"
#include "quantize/decompose.h"
#include "quantize/layers.h"
#ifdef BQENGINE_HAVE_ONNX
#include "import_options.h"
#endif

namespace bqengine::ptq {

struct Options {
  std::string input, output, report;
  bool json = false;
  std::string method_name;
  Method method;  // filled in by Complete, but for the numbers
  Selection selection;
  std::string calibrate;
  int64_t calibrate_images = 300;
  int64_t activation_bases = 0;
  int threads = 1;
  tools::Limits limits;
#ifdef BQENGINE_HAVE_ONNX
  convert::ImportOptions import_options;
#endif
};

void DeclareOptions(CLI::App* app, Options* options);

// What CLI11 cannot do: which options go together, and that no file is written
// over another.
Status Complete(Options* options);

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_OPTIONS_H_
