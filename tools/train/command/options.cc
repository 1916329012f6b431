#include "train/command/options.h"

#include <cmath>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "common/file.h"
#include "common/output_paths.h"

namespace bqengine::train {
namespace {

constexpr char kAbout[] =
    "Trains a network with binary weights, and often activations, and writes a "
    "model that bq-run runs.";

constexpr char kExamples[] = R"(Examples:
  bq-train --arch tools/train/architectures/lenet.json --method bnn
    --dataset mnist:../shared/data/mnist --epochs 10 -o lenet-bnn.json
  bq-train --arch lenet.json --method abcnet --weight-bases 3
    --activation-bases 3 --dataset mnist:/usr/share/datasets/fashion-mnist -o fashion.json
    --augment shift:2 --plot curves.svg --json result.json
  bq-train --arch vgg.json --width 0.5 --method bwn --dataset cifar10:data
    --augment crop:4,flip --init-from float.ckpt -o vgg-bwn.json
  bq-train ... --resume          (with the options of the run that was cut off)

Architectures and methods: tools/train/README.md.

Exit status: 0 trained; 1 failure at run time (a full disk, say); 2 bad usage, a file that cannot be used, or a loss that is no number.)";

// A finite number from 0 or above 0. (CLI11's own check lets NaN pass, and
// names the largest double in full.)
CLI::Validator Finite(bool above_0) {
  const auto check = [above_0](const std::string& text) -> std::string {
    double number = 0;
    const bool good = CLI::detail::lexical_cast(text, number) &&
                      std::isfinite(number) &&
                      (above_0 ? number > 0 : number >= 0);
    if (good) return "";
    return text + (above_0 ? " is not a number above 0"
                           : " is not a number from 0 on");
  };
  return CLI::Validator(check, above_0 ? "ABOVE 0" : "FROM 0");
}

void DeclareNetwork(CLI::App* app, Options* o) {
  app->add_option("--arch", o->architecture,
                  "The architecture: a model file without weights")
      ->required();
  app->add_option("--width", o->width,
                  "Multiplies the channels of all layers but the last")
      ->check(Finite(/*above_0=*/true));
  app->add_option("--method", o->method, "How layers are quantized")
      ->required()
      ->check(CLI::IsMember(bqtrain::MethodNames()));
  app->add_option("--weight-bases", o->weight_bases,
                  "M: binary terms of each weight (abcnet)");
  app->add_option("--activation-bases", o->activation_bases,
                  "N: binary terms of each activation (abcnet)");
  app->add_option("--alpha", o->alpha,
                  "Scales of weights (bwn, xnor, abcnet): computed from the "
                  "weights, or trained")
      ->check(CLI::IsMember({"mean", "trained"}));
  app->add_option("--shifts", o->shifts, "Shifts of bases (abcnet)")
      ->check(CLI::IsMember({"fixed", "trained"}));
  app->add_option("--threshold", o->threshold,
                  "Of weights and activations (unipolar)");
}

void DeclareTraining(CLI::App* app, Options* o) {
  app->add_option("--dataset", o->dataset,
                  "mnist:DIR, cifar10:DIR or folder:DIR (DIR/train/CLASS/*.png "
                  "and DIR/test/CLASS/*.png)")
      ->required();
  app->add_option("--limit", o->limit,
                  "Only the first N images of each split (0: all)")
      ->check(Finite(/*above_0=*/false));
  app->add_option("--augment", o->augment,
                  "shift:N, crop:N, flip; several with commas");
  app->add_option("--epochs", o->epochs, "Passes through the training set")
      ->check(CLI::Range(int64_t{1}, int64_t{1000000}));
  app->add_option("--steps", o->steps,
                  "Stop after N batches, if they are fewer (0: do not)")
      ->check(Finite(/*above_0=*/false));
  app->add_option("--batch", o->batch_size, "Images in a step")
      ->check(CLI::Range(int64_t{2}, int64_t{65536}));
  app->add_option("--seed", o->seed, "Of all random numbers")
      ->check(Finite(/*above_0=*/false));
  app->add_option("--optimizer", o->optimizer, "What makes steps of gradients")
      ->check(CLI::IsMember({"adam", "sgd"}));
  app->add_option("--lr", o->learning_rate,
                  "Learning rate at its highest (default: 0.001 for adam, 0.05 "
                  "for sgd)")
      ->check(Finite(/*above_0=*/true));
  app->add_option("--momentum", o->momentum, "Of sgd")
      ->check(Finite(/*above_0=*/false) & CLI::Range(0.0, 1.0));
  app->add_option("--weight-decay", o->weight_decay,
                  "Of real-valued weights; binary ones have none")
      ->check(Finite(/*above_0=*/false));
  app->add_option("--schedule", o->schedule, "Of the learning rate")
      ->check(CLI::IsMember({"constant", "cosine", "step", "one-cycle"}));
  app->add_option("--loss", o->loss, "What training makes small")
      ->check(CLI::IsMember({"cross-entropy", "square-hinge"}));
  app->add_option("--threads", o->threads,
                  "Of LibTorch and bqengine (0: one per core)")
      ->check(CLI::Range(0, 1024));
  app->add_option("--loader-threads", o->loader_threads,
                  "That prepare images meanwhile")
      ->check(CLI::Range(0, 256));
  app->add_option("--init-from", o->init_from,
                  "Start from the weights of this checkpoint, of any method, "
                  "where names and shapes fit");
  app->add_flag("--resume", o->resume,
                "Go on from the checkpoint of the same command (without "
                "--init-from)");
}

void DeclareOutputs(CLI::App* app, Options* o) {
  app->add_option("-o,--output", o->output, "The model to write (.json)")
      ->required();
  app->add_option("--checkpoint", o->checkpoint,
                  "Written after each epoch (default: the output with .ckpt)");
  app->add_option("--log", o->log,
                  "A line per epoch (default: the output with .csv)");
  app->add_option("--plot", o->plot, "Training curves (.svg)");
  app->add_option("--json", o->json, "The result, for machines (- : stdout)");
}

Status BadUsage(const std::string& what) {
  return Status(StatusCode::kInvalidArgument, what);
}

// No file is written over another, or over one that is read.
Status CheckFiles(const Options& o) {
  tools::OutputPaths paths;
  paths.AddInput(o.architecture, "the architecture");
  paths.AddInput(o.init_from, "the checkpoint to start from");
  if (const Status s = paths.AddModel(o.output); !s.ok()) return s;
  const std::pair<const std::string&, const char*> files[] = {
      {o.checkpoint, "the checkpoint"},
      {o.log, "the log"},
      {o.plot, "the plot"},
      {o.json, "the result"}};
  for (const auto& [name, what] : files) {
    if (name.empty() || name == "-") continue;
    if (const Status s = paths.AddOutput(name, what); !s.ok()) return s;
  }
  return Status();
}

// All but standard output.
std::vector<std::string> OutputFiles(const Options& o) {
  std::vector<std::string> files;
  for (const std::string& name : {o.output, tools::WeightsPath(o.output),
                                  o.checkpoint, o.log, o.plot, o.json}) {
    if (!name.empty() && name != "-") files.push_back(name);
  }
  return files;
}

// That they are missing should not be found after hours of training.
Status CheckFolders(const Options& o) {
  for (const std::string& name : OutputFiles(o)) {
    if (std::error_code error; std::filesystem::is_directory(name, error)) {
      return tools::FileError(StatusCode::kInvalidArgument, name,
                              "is a folder, not a file");
    }
    const std::string folder = std::filesystem::path(name).parent_path();
    if (folder.empty()) continue;
    if (const Status s = tools::CheckFolder(folder); !s.ok()) return s;
  }
  return Status();
}

}  // namespace

void DeclareOptions(CLI::App* app, Options* options) {
  app->description(kAbout);
  app->footer(kExamples);
  app->option_defaults()->always_capture_default();
  app->set_version_flag("--version",
                        std::string("bq-train ") + BQENGINE_VERSION,
                        "Print the version and exit");
  DeclareNetwork(app, options);
  DeclareTraining(app, options);
  tools::DeclareLimits(app, &options->limits);
  DeclareOutputs(app, options);
}

Status Complete(Options* o) {
  const auto sibling = [o](const char* extension) {
    return std::filesystem::path(o->output)
        .replace_extension(extension)
        .string();
  };
  if (o->checkpoint.empty()) o->checkpoint = sibling(".ckpt");
  if (o->log.empty()) o->log = sibling(".csv");
  if (const Status s = CheckFiles(*o); !s.ok()) return s;
  if (const Status s = CheckFolders(*o); !s.ok()) return s;
  if (const auto text = tools::ReadFile(o->architecture); text.ok()) {
    o->architecture_hash = std::hash<std::string_view>()(
        {reinterpret_cast<const char*>(text->data()), text->size()});
  }
  if (o->resume && !o->init_from.empty()) {
    return BadUsage("--resume and --init-from exclude each other");
  }
  if (o->optimizer == "adam" && o->momentum != Options().momentum) {
    return BadUsage("--momentum is for sgd only");
  }
  if (o->learning_rate == 0) {
    o->learning_rate = o->optimizer == "adam" ? 0.001 : 0.05;
  }
  if (o->threads == 0) {
    o->threads = std::max(1u, std::thread::hardware_concurrency());
  }
  const auto augmentation = ParseAugmentation(o->augment);
  if (!augmentation.ok()) return augmentation.status();
  o->augmentation = *augmentation;

  const auto quantization = bqtrain::QuantizationOf(o->method);
  if (!quantization.ok()) return quantization.status();
  bqtrain::Quantization& q = o->quantization = *quantization;
  q.weight_bases = o->weight_bases;
  q.activation_bases = o->activation_bases;
  q.trained_alpha = o->alpha == "trained";
  q.trained_shifts = o->shifts == "trained";
  q.threshold = o->threshold;
  return Check(q);
}

Status CheckOutputs(const Options& o,
                    const std::vector<std::string>& data_files) {
  tools::OutputPaths paths;
  for (const std::string& file : data_files) {
    paths.AddInput(file, "a file of the data set");
  }
  for (const std::string& name : OutputFiles(o)) {
    // What does not exist is no data file; that saves looking at each of them.
    if (std::error_code error; !std::filesystem::exists(name, error)) continue;
    if (const Status s = paths.AddOutput(name, "an output"); !s.ok()) return s;
  }
  return Status();
}

std::string Settings(const Options& o) {
  const nlohmann::ordered_json settings = {
      {"--arch", o.architecture},
      {"--arch (its content)", o.architecture_hash},
      {"--width", o.width},
      {"--method", o.method},
      {"--weight-bases", o.weight_bases},
      {"--activation-bases", o.activation_bases},
      {"--alpha", o.alpha},
      {"--shifts", o.shifts},
      {"--threshold", o.threshold},
      {"--dataset", o.dataset},
      {"--limit", o.limit},
      {"--augment", o.augment},
      {"--epochs", o.epochs},
      {"--steps", o.steps},
      {"--batch", o.batch_size},
      {"--seed", o.seed},
      {"--optimizer", o.optimizer},
      {"--lr", o.learning_rate},
      {"--momentum", o.momentum},
      {"--weight-decay", o.weight_decay},
      {"--schedule", o.schedule},
      {"--loss", o.loss},
      // Behind --limit, of which it would be the consequence.
      {"--dataset (its content)", o.dataset_hash}};
  // Names of files need not be UTF-8.
  return settings.dump(-1, ' ', false,
                       nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace bqengine::train
