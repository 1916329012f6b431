#include "options.h"

#include <filesystem>

#include "common/output_paths.h"

namespace bqengine::convert {
namespace {

constexpr char kDescription[] =
    "Converts a network from ONNX to a bqengine model.";

constexpr char kFooter[] = R"(Examples:
  bq-convert lenet.onnx -o lenet.json --scale 1/255 --mean 0.5 --std 0.5
  bq-convert cnv.onnx -o cnv.json --scale 1/255 --labels plane,car,bird,cat,deer,dog,frog,horse,ship,truck
  bq-convert net.onnx -o net.json --report net-report.json

Pixels p from 0 to 255 become (p * scale - mean) / std.
Large weights go to a .safetensors file beside the model.

Exit status: 0 converted; 1 failure at run time (a full disk, say); 2 bad usage, or a file that cannot be converted.)";

Status CheckPaths(const Options& o) {
  tools::OutputPaths paths;
  paths.AddInput(o.input, "the ONNX file");
  paths.AddInput(o.import_options.labels, "the file of labels");
  if (Status s = paths.AddModel(o.output); !s.ok()) return s;
  return o.report.empty() ? Status() : paths.AddOutput(o.report, "the report");
}

}  // namespace

void DeclareOptions(CLI::App* app, Options* options) {
  app->description(kDescription);
  app->footer(kFooter);
  app->add_option("model", options->input, "ONNX file to convert")->required();
  app->add_option("-o,--output", options->output,
                  "Model to write; its name ends in .json")
      ->option_text("FILE")
      ->required()
      ->group("What to write");
  app->add_option("--name", options->import_options.convert.name,
                  "Name of the network (default: that of the output file)")
      ->option_text("TEXT")
      ->group("What to write");
  DeclareImport(app, "What to write", &options->import_options);
  constexpr char kGroup[] = "What to report";
  app->add_option("--report", options->report, "Write the report as JSON")
      ->option_text("FILE")
      ->group(kGroup);
  app->add_flag("--json", options->json,
                "Print the report as JSON and nothing else on standard output")
      ->group(kGroup);
  app->set_help_flag("-h,--help", "Print this and exit")->group(kGroup);
  app->set_version_flag("--version",
                        std::string("bq-convert ") + BQENGINE_VERSION,
                        "Print the version and exit")
      ->group(kGroup);
}

Status Complete(Options* options) {
  if (Status s = CheckPaths(*options); !s.ok()) return s;
  std::string& name = options->import_options.convert.name;
  if (name.empty()) {
    name = std::filesystem::path(options->output).stem().string();
  }
  return CompleteImport(&options->import_options);
}

}  // namespace bqengine::convert
