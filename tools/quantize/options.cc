#include "quantize/options.h"

#include <filesystem>

#include "common/output_paths.h"
#include "common/terminal.h"

namespace bqengine::ptq {
namespace {

constexpr char kDescription[] =
    "Makes the weights of a trained float network binary, and with "
    "--activation-bases what they are multiplied by, without training.";

constexpr char kFooter[] = R"(Examples:
  bq-quantize lenet.onnx --method abcnet --weight-bases 3 -o lenet3.json --scale 1/255 --mean 0.5 --std 0.5
  bq-quantize float.json --method bwn --calibrate photos/ -o bwn.json
  bq-quantize float.json --method abcnet --weight-bases 5 --activation-bases 5 --calibrate mnist:data/mnist -o fast.json --report report.json

The first and the last layer stay float, and layers that bits would not make smaller; the report says which.

Exit status: 0 quantized; 1 failure at run time (a full disk, say); 2 bad usage, or a file that cannot be quantized.)";

void DeclareMethod(CLI::App* app, Options* o) {
  constexpr char kGroup[] = "How to quantize";
  app->add_option("--method", o->method_name,
                  "bwn: signs, and a scale for each output channel. abcnet: a "
                  "sum of several of these")
      ->option_text("bwn|abcnet")
      ->check(CLI::IsMember({"bwn", "abcnet"}))
      ->required()
      ->group(kGroup);
  app->add_option("--weight-bases", o->method.bases,
                  "Bits for each weight, of abcnet")
      ->option_text("M (default 1)")
      ->check(CLI::Range(int64_t{1}, quantize::kMaxRefinedBases))
      ->group(kGroup);
  app->add_option("--refine", o->method.refinement,
                  "Rounds in which abcnet's bits and scales are fitted to each "
                  "other; 0: the bits that the paper's shifts give")
      ->option_text("N (default 20)")
      ->check(CLI::Range(int64_t{0}, int64_t{1000}))
      ->group(kGroup);
}

void DeclareSelection(CLI::App* app, Options* o) {
  constexpr char kGroup[] = "Which layers";
  CLI::Option* layers =
      app->add_option("--layers", o->selection.layers,
                      "Quantize these and no others (names of Conv and Gemm, "
                      "as the report has them)")
          ->option_text("NAME,...")
          ->delimiter(',')
          ->allow_extra_args(false)
          ->group(kGroup);
  app->add_option("--skip", o->selection.skip, "Leave these float")
      ->option_text("NAME,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->excludes(layers)
      ->group(kGroup);
  app->add_flag("--first-and-last", o->selection.first_and_last,
                "Quantize the first and the last layer, too")
      ->excludes(layers)
      ->group(kGroup);
}

void DeclareCalibration(CLI::App* app, Options* o) {
  constexpr char kGroup[] = "With images";
  CLI::Option* calibrate =
      app->add_option("--calibrate", o->calibrate,
                      "Choose scales, shifts and batch norms by what images do "
                      "in the network: a folder of PNG and JPEG, a file that "
                      "bq-run takes as --input, or a data set as for bq-run")
          ->option_text("DIR|FILE|KIND:PATH")
          ->group(kGroup);
  app->add_option("--calibrate-images", o->calibrate_images,
                  "Take so many of the images, evenly")
      ->option_text("N (default 300)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->needs(calibrate)
      ->group(kGroup);
  app->add_option("--activation-bases", o->activation_bases,
                  "Make the inputs of quantized layers binary, too: bits for "
                  "each; 0: they stay float")
      ->option_text("N (default 0)")
      ->check(CLI::Range(int64_t{0}, quantize::kMaxRefinedBases))
      ->needs(calibrate)
      ->group(kGroup);
  app->add_option("-t,--threads", o->threads,
                  "Threads that run the images; 0: one per core")
      ->option_text("N (default 1)")
      ->check(CLI::Range(0, 1024))
      ->group(kGroup);
}

#ifdef BQENGINE_HAVE_ONNX
bool HasOnnxOptions(const convert::ImportOptions& o) {
  const convert::ImportOptions plain;
  return o.labels != plain.labels || o.scale != plain.scale ||
         o.mean != plain.mean || o.std != plain.std || o.layout != plain.layout;
}
#endif

}  // namespace

void DeclareOptions(CLI::App* app, Options* options) {
  options->method.refinement = 20;
  app->description(kDescription);
  app->footer(kFooter);
  constexpr char kGroup[] = "What to write";
  app->add_option("model", options->input,
                  "Float network: an ONNX file, or a model (.json)")
      ->required();
  app->add_option("-o,--output", options->output,
                  "Model to write; its name ends in .json")
      ->option_text("FILE")
      ->required()
      ->group(kGroup);
  app->add_option("--report", options->report, "Write the report as JSON")
      ->option_text("FILE")
      ->group(kGroup);
  app->add_flag("--json", options->json,
                "Print the report as JSON and nothing else on standard output")
      ->group(kGroup);
  DeclareMethod(app, options);
  DeclareSelection(app, options);
  DeclareCalibration(app, options);
#ifdef BQENGINE_HAVE_ONNX
  convert::DeclareImport(app, kGroup, &options->import_options);
#endif
  tools::DeclareLimits(app, &options->limits);
  app->set_help_flag("-h,--help", "Print this and exit")->group(kGroup);
  app->set_version_flag("--version",
                        std::string("bq-quantize ") + BQENGINE_VERSION,
                        "Print the version and exit")
      ->group(kGroup);
}

Status Complete(Options* options) {
  options->method.abcnet = options->method_name == "abcnet";
  if (!options->method.abcnet && options->method.bases != 1) {
    return Status(StatusCode::kInvalidArgument,
                  "--method bwn has one base; --weight-bases is for abcnet "
                  "(try --help)");
  }
  tools::OutputPaths paths;
  paths.AddInput(options->input, "the float network");
  if (options->input.ends_with(".json")) {
    paths.AddInput(tools::WeightsPath(options->input),
                   "the float network's weights");
  }
  paths.AddInput(options->calibrate, "the calibration images");
  const std::string& calibrate = options->calibrate;
  paths.AddInput(calibrate.substr(calibrate.find(':') + 1),
                 "the calibration images");
#ifdef BQENGINE_HAVE_ONNX
  convert::ImportOptions& import_options = options->import_options;
  paths.AddInput(import_options.labels, "the file of labels");
  import_options.convert.name =
      std::filesystem::path(options->output).stem().string();
#endif
  if (Status s = paths.AddModel(options->output); !s.ok()) return s;
  if (!options->report.empty()) {
    Status s = paths.AddOutput(options->report, "the report");
    if (!s.ok()) return s;
  }
#ifdef BQENGINE_HAVE_ONNX
  if (options->input.ends_with(".json") && HasOnnxOptions(import_options)) {
    return Status(StatusCode::kInvalidArgument,
                  "--labels, --scale, --mean, --std and --layout are for ONNX "
                  "files; a model has its own");
  }
  return convert::CompleteImport(&import_options);
#else
  return Status();
#endif
}

}  // namespace bqengine::ptq
