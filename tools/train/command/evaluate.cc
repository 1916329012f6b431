#include "train/command/evaluate.h"

#include <algorithm>
#include <functional>

#include "train/data/batch_loader.h"

namespace bqengine::train {
namespace {

constexpr int64_t kBatch = 200;

// Calls `run` with each batch, in order; it appends to the scores.
Result<Scores> ForEachBatch(
    const tools::Dataset& data, const GraphInput& input,
    const std::function<Status(const Batch&, Scores*)>& run) {
  const auto loader =
      BatchLoader::Create(data, input, {.batch_size = kBatch, .threads = 1});
  if (!loader.ok()) return loader.status();
  Scores scores;
  Batch batch;
  (*loader)->StartEpoch(0);
  while ((*loader)->Next(&batch)) {
    if (const Status s = run(batch, &scores); !s.ok()) return s;
  }
  if (!(*loader)->status().ok()) return (*loader)->status();
  return scores;
}

}  // namespace

int64_t Predict(std::span<const float> scores) {
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

Result<Scores> EvaluateNetwork(bqtrain::NetworkImpl* network,
                               const tools::Dataset& data,
                               const GraphInput& input) {
  const torch::NoGradGuard no_grad;
  network->eval();
  return ForEachBatch(
      data, input, [&](const Batch& batch, Scores* scores) -> Status {
        Shape shape = input.info.shape;
        shape[0] = batch.size();
        const torch::Tensor x =
            torch::from_blob(const_cast<float*>(batch.images.data()), shape);
        const torch::Tensor y = network->forward(x).flatten(1).contiguous();
        const float* values = y.data_ptr<float>();
        scores->classes = y.size(1);
        scores->values.insert(scores->values.end(), values, values + y.numel());
        return Status();
      });
}

Result<Scores> EvaluateModel(const Model& model, const tools::Dataset& data,
                             SessionOptions options) {
  options.max_batch = kBatch;
  auto session = Session::Create(model, options);
  if (!session.ok()) return session.status();
  const auto classes = ElementCount(model.output(0).shape);
  if (!classes.ok()) return classes.status();
  return ForEachBatch(
      data, model.graph().inputs[0],
      [&](const Batch& batch, Scores* scores) -> Status {
        scores->classes = *classes;
        const size_t before = scores->values.size();
        const auto count = static_cast<size_t>(batch.size() * *classes);
        scores->values.resize(before + count);
        return session->Run(batch.images,
                            std::span(scores->values).subspan(before));
      });
}

double Accuracy(const Scores& scores, const tools::Dataset& data) {
  int64_t correct = 0;
  for (int64_t i = 0; i < data.images.count; ++i) {
    correct += Predict(scores.of(i)) == data.labels[static_cast<size_t>(i)];
  }
  return static_cast<double>(correct) / static_cast<double>(data.images.count);
}

Comparison Compare(const Scores& a, const Scores& b) {
  Comparison comparison;
  const auto images = static_cast<int64_t>(a.values.size()) / a.classes;
  for (int64_t i = 0; i < images; ++i) {
    const int64_t predicted = Predict(a.of(i));
    if (predicted == Predict(b.of(i))) continue;
    ++comparison.differing;
    float second = -std::numeric_limits<float>::infinity();
    for (int64_t c = 0; c < a.classes; ++c) {
      if (c != predicted) {
        second = std::max(second, a.of(i)[static_cast<size_t>(c)]);
      }
    }
    const float best = a.of(i)[static_cast<size_t>(predicted)];
    comparison.clearly_differing += best - second > 1e-3f;
  }
  return comparison;
}

}  // namespace bqengine::train
