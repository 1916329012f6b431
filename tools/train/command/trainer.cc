#include "train/command/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "common/command_line.h"
#include "common/file.h"
#include "common/terminal.h"
#include "train/command/evaluate.h"
#include "train/command/loss.h"
#include "train/plot/history_csv.h"
#include "train/plot/training_plot.h"

namespace bqengine::train {
namespace {

using torch::Tensor;
using Clock = std::chrono::steady_clock;

double Seconds(Clock::time_point since) {
  return std::chrono::duration<double>(Clock::now() - since).count();
}

std::string TimeLeft(double seconds) {
  const auto s = static_cast<int64_t>(seconds);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02} min", s / 60, s % 60);
  return fmt::format("{}:{:02} h", s / 3600, s / 60 % 60);
}

}  // namespace

Trainer::Trainer(const Options& options, const GraphInput& input,
                 const tools::Dataset& train, const tools::Dataset& test,
                 bqtrain::NetworkImpl* network)
    : options_(options),
      input_(input),
      train_(train),
      test_(test),
      network_(network),
      optimizer_(network, options) {
  state_.settings = Settings(options);
  history_.title = fmt::format(
      "{}, {}, {}",
      std::filesystem::path(options.architecture).filename().string(),
      options.method, options.dataset);
}

Status Trainer::Prepare() {
  if (!options_.init_from.empty()) {
    const auto taken = InitFrom(options_.init_from, network_);
    if (!taken.ok()) return taken.status();
    tools::PrintError(fmt::format("{} of {} tensors from {}\n", taken->tensors,
                                  taken->of,
                                  tools::Printable(options_.init_from)));
  }
  if (!options_.resume) return Status();
  auto state = ReadCheckpoint(options_.checkpoint, state_.settings, network_,
                              &optimizer_.torch());
  if (!state.ok()) return state.status();
  state_ = *std::move(state);
  auto history = ParseHistoryCsv(state_.history, options_.checkpoint);
  if (!history.ok()) return history.status();
  history_.epochs = std::move(history->epochs);
  tools::PrintError(
      fmt::format("resumed after epoch {}\n", state_.epochs_done));
  return Status();
}

Status Trainer::Run() {
  if (train_.images.count < 2) {
    return Status(
        StatusCode::kInvalidArgument,
        options_.dataset + ": batch norms cannot train on a single image");
  }
  const auto loader = BatchLoader::Create(
      train_, input_,
      {.batch_size = std::min(options_.batch_size, train_.images.count),
       .threads = options_.loader_threads,
       .seed = options_.seed,
       .shuffle = true,
       // Batch norms cannot train on a last batch of one image.
       .drop_last = true,
       .augmentation = options_.augmentation});
  if (!loader.ok()) {
    return Status(loader.status().code(),
                  options_.dataset + ": " + loader.status().message());
  }
  steps_ = options_.epochs * (*loader)->batches_per_epoch();
  if (options_.steps > 0) steps_ = std::min(steps_, options_.steps);

  while (state_.steps_done < steps_) {
    EpochRecord record;
    record.epoch = static_cast<int>(state_.epochs_done) + 1;
    if (const Status s = RunEpoch(loader->get(), &record); !s.ok()) return s;
    if (const Status s = ReestimateBatchNorms(loader->get()); !s.ok()) return s;
    if (const Status s = FinishEpoch(&record); !s.ok()) return s;
  }
  return Status();
}

Status Trainer::RunEpoch(BatchLoader* loader, EpochRecord* record) {
  const auto start = Clock::now();
  network_->train();
  RememberSigns();
  loader->StartEpoch(static_cast<uint64_t>(state_.epochs_done));
  const int64_t batches =
      std::min(loader->batches_per_epoch(), steps_ - state_.steps_done);
  tools::Progress progress(
      fmt::format("epoch {}/{}", record->epoch, options_.epochs), batches);
  double loss = 0;
  int64_t correct = 0;
  epoch_images_ = 0;
  Batch batch;
  for (int64_t i = 0; i < batches && loader->Next(&batch); ++i) {
    loss += RunStep(batch, &correct);
    if (!std::isfinite(loss)) {
      return Status(StatusCode::kInvalidArgument,
                    fmt::format("training diverged: the loss is {} after step "
                                "{}; try a smaller --lr",
                                loss, state_.steps_done));
    }
    epoch_images_ += batch.size();
    record->train_loss = loss / static_cast<double>(i + 1);
    record->train_accuracy =
        static_cast<double>(correct) / static_cast<double>(epoch_images_);
    const double seconds = Seconds(start);
    const double left = seconds / static_cast<double>(i + 1) *
                        static_cast<double>(steps_ - state_.steps_done);
    progress.Update(
        i + 1, fmt::format("loss {:.4f}, {:.2f} %, {:.0f} images/s, {} left",
                           record->train_loss, record->train_accuracy * 100,
                           static_cast<double>(epoch_images_) / seconds,
                           TimeLeft(left)));
  }
  record->seconds = Seconds(start);
  return loader->status();
}

// The images as the network takes them; they stay the batch's.
Tensor Trainer::ToTensor(const Batch& batch) const {
  Shape shape = input_.info.shape;
  shape[0] = batch.size();
  return torch::from_blob(const_cast<float*>(batch.images.data()), shape);
}

Status Trainer::ReestimateBatchNorms(BatchLoader* loader) {
  const auto& layers = network_->layers();
  if (std::none_of(layers.begin(), layers.end(), [](const auto& layer) {
        return layer.module->quantization().weights ==
               bqtrain::WeightMethod::kStochastic;
      })) {
    return Status();
  }
  // Running means forget a tenth with each batch: what was before is gone.
  constexpr int kBatches = 100;
  const torch::NoGradGuard no_grad;
  for (const auto& layer : layers) layer.module->set_draws_weights(false);
  const auto epoch = static_cast<uint64_t>(state_.epochs_done);
  Batch batch;
  for (int i = 0; i < kBatches; ++i) {
    if (i % loader->batches_per_epoch() == 0) loader->StartEpoch(epoch);
    if (!loader->Next(&batch)) break;
    network_->forward(ToTensor(batch));
  }
  for (const auto& layer : layers) layer.module->set_draws_weights(true);
  return loader->status();
}

double Trainer::RunStep(const Batch& batch, int64_t* correct) {
  const Tensor labels = torch::from_blob(
      const_cast<int64_t*>(batch.labels.data()), {batch.size()}, torch::kInt64);
  const Tensor scores = network_->forward(ToTensor(batch)).flatten(1);
  const Tensor loss = Loss(options_.loss, scores, labels);
  optimizer_.ZeroGradients();
  loss.backward();
  optimizer_.Step(ScheduleFactor(options_.schedule, state_.steps_done, steps_));
  ++state_.steps_done;
  *correct += scores.argmax(1).eq(labels).sum().item<int64_t>();
  return loss.item<double>();
}

Status Trainer::FinishEpoch(EpochRecord* record) {
  const auto scores = EvaluateNetwork(network_, test_, input_);
  if (!scores.ok()) return scores.status();
  // The last step's weights have no loss of their own.
  if (!std::all_of(scores->values.begin(), scores->values.end(),
                   [](float score) { return std::isfinite(score); })) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("training diverged: the network's outputs are "
                              "not finite numbers after step {}; try a "
                              "smaller --lr",
                              state_.steps_done));
  }
  record->test_accuracy = Accuracy(*scores, test_);
  record->learning_rate =
      optimizer_.learning_rate() *
      ScheduleFactor(options_.schedule, state_.steps_done - 1, steps_);
  DescribeLayers(record);
  history_.epochs.push_back(*record);
  ++state_.epochs_done;
  state_.history = HistoryCsv(history_);
  if (const Status s = tools::WriteFile(options_.log, state_.history);
      !s.ok()) {
    return s;
  }
  if (!options_.plot.empty()) {
    const Status s = tools::WriteFile(options_.plot, TrainingSvg(history_));
    if (!s.ok()) return s;
  }
  tools::PrintError(
      fmt::format("epoch {}/{}  loss {:.5f}  train {:.2f} %  test {:.2f} %  "
                  "{:.0f} images/s\n",
                  record->epoch, options_.epochs, record->train_loss,
                  record->train_accuracy * 100, record->test_accuracy * 100,
                  static_cast<double>(epoch_images_) / record->seconds));
  return WriteCheckpoint(options_.checkpoint, *network_, optimizer_.torch(),
                         state_);
}

void Trainer::RememberSigns() {
  signs_.clear();
  for (const auto& layer : network_->layers()) {
    signs_.push_back(layer.module->weight.detach().ge(0));
  }
}

void Trainer::DescribeLayers(EpochRecord* record) const {
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < signs_.size(); ++i) {
    const auto& layer = network_->layers()[i];
    const Tensor& weight = layer.module->weight;
    layer.module->set_draws_weights(false);
    const Tensor error = weight - layer.module->QuantizedWeight();
    layer.module->set_draws_weights(true);
    LayerRecord entry;
    entry.name = layer.name;
    entry.quantization_error =
        (error.abs().sum() / weight.abs().sum()).item<double>();
    entry.flipped =
        weight.ge(0).ne(signs_[i]).to(torch::kFloat).mean().item<double>();
    record->layers.push_back(entry);
  }
}

}  // namespace bqengine::train
