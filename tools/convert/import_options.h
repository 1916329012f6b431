// What a command line says about an ONNX file that the file does not: shared by
// the commands that read such files.
#ifndef BQENGINE_TOOLS_CONVERT_IMPORT_OPTIONS_H_
#define BQENGINE_TOOLS_CONVERT_IMPORT_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <string>

#include "bqengine/status.h"
#include "convert.h"

namespace bqengine::convert {

struct ImportOptions {
  std::string labels;
  std::string scale = "1", mean = "0", std = "1";
  std::string layout = "NCHW";
  std::string sign_zero = "exact";
  ConvertOptions convert;  // filled in by CompleteImport, but for the name
};

// --labels, in a group of the caller's, how pixels become the input, and how
// the file is read.
void DeclareImport(CLI::App* app, const std::string& labels_group,
                   ImportOptions* options);

// What CLI11 cannot do: reads the numbers and the file of labels.
Status CompleteImport(ImportOptions* options);

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_IMPORT_OPTIONS_H_
