// A binary network by hand: two BinaryConv2d with batch norms and pooling, and
// a dense layer; trained, and written as a model that bq-run runs.
//
//   train_binary_net DATASET OUT.json [EPOCHS]
//   train_binary_net mnist:data/mnist net.json 3 && bq-run net.json --dataset
//   mnist:data/mnist
#include <bqengine/model.h>
#include <bqtrain/binary_modules.h>
#include <bqtrain/export.h>

#include <cstdio>
#include <cstdlib>

#include "train/data/batch_loader.h"

namespace nn = torch::nn;
using bqtrain::BinaryConv2d;
using bqtrain::BinaryConv2dOptions;

nn::Sequential MakeBinaryNet() {
  const auto first = bqtrain::Method("bwn"), second = bqtrain::Method("bnn");
  return nn::Sequential(
      BinaryConv2d(BinaryConv2dOptions(1, 32, 5).quantization(first)),
      nn::MaxPool2d(2), nn::BatchNorm2d(32),
      BinaryConv2d(BinaryConv2dOptions(32, 64, 5).quantization(second)),
      nn::MaxPool2d(2), nn::BatchNorm2d(64), nn::ReLU(), nn::Flatten(),
      nn::Linear(64 * 4 * 4, 10));
}

// One pass through the data; returns the mean loss.
double TrainEpoch(nn::Sequential& net, torch::optim::Adam& adam, int epoch,
                  bqengine::train::BatchLoader& loader) {
  bqengine::train::Batch batch;
  double loss_sum = 0;
  loader.StartEpoch(static_cast<uint64_t>(epoch));
  while (loader.Next(&batch)) {
    const auto images =
        torch::from_blob(batch.images.data(), {batch.size(), 28, 28, 1})
            .permute({0, 3, 1, 2});
    const auto labels =
        torch::from_blob(batch.labels.data(), {batch.size()}, torch::kInt64);
    const auto loss =
        nn::functional::cross_entropy(net->forward(images), labels);
    adam.zero_grad();
    loss.backward();
    adam.step();
    for (const auto& module : net->children()) {
      if (auto* layer = module->as<bqtrain::BinaryLayer>())
        layer->ClipWeights();
    }
    loss_sum += loss.item<double>();
  }
  return loss_sum / static_cast<double>(loader.batches_per_epoch());
}

int Run(const char* dataset, const char* out, int epochs) {
  const bqtrain::ExportOptions options = {
      .name = "binary-net",
      .input_shape = {1, 28, 28},
      .preprocess = {.scale = 1 / 255.0f, .mean = {0.5f}, .std = {0.5f}}};
  auto data =
      bqengine::tools::ReadDataset(dataset, bqengine::tools::Split::kTrain);
  if (!data.ok()) return std::puts(data.status().message().c_str()), 2;
  bqengine::GraphInput input;
  input.info.shape = {bqengine::kBatch, 28, 28, 1};
  input.preprocess = options.preprocess;
  auto loader = bqengine::train::BatchLoader::Create(
      *data, input, {.batch_size = 50, .shuffle = true, .drop_last = true});
  if (!loader.ok()) return std::puts(loader.status().message().c_str()), 2;

  torch::manual_seed(1);
  nn::Sequential net = MakeBinaryNet();
  torch::optim::Adam adam(net->parameters(), 2e-3);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    std::printf("epoch %d: loss %.4f\n", epoch + 1,
                TrainEpoch(net, adam, epoch, **loader));
  }
  net->eval();
  const auto graph = bqtrain::ExportSequential(net, options);
  if (!graph.ok()) return std::puts(graph.status().message().c_str()), 1;
  const auto written = bqengine::WriteGraph(*graph, out);
  if (!written.ok()) return std::puts(written.message().c_str()), 1;
  return std::printf("wrote %s\n", out), 0;
}

int main(int argc, char** argv) try {
  if (argc < 3) return std::puts("usage: train_binary_net DATASET OUT.json"), 2;
  return Run(argv[1], argv[2], argc > 3 ? std::atoi(argv[3]) : 1);
} catch (const std::exception& e) {
  return std::puts(e.what()), 1;
}
