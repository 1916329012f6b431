// The command line of bq-convert.
#ifndef BQENGINE_TOOLS_CONVERT_OPTIONS_H_
#define BQENGINE_TOOLS_CONVERT_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <string>

#include "bqengine/status.h"
#include "import_options.h"

namespace bqengine::convert {

struct Options {
  std::string input, output, report;
  bool json = false;
  ImportOptions import_options;
};

void DeclareOptions(CLI::App* app, Options* options);

// What CLI11 cannot do: reads the labels, names the network after the output,
// and makes sure that no file is written over another.
Status Complete(Options* options);

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_OPTIONS_H_
