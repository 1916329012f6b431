#include "run/predict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/terminal.h"

namespace bqengine::run {
namespace {

float Key(float score) {
  return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score;
}

bool AreLogits(std::span<const float> scores) {
  const auto finite = [](float s) { return std::isfinite(s); };
  const auto whole = [](float s) { return s == std::trunc(s); };
  return scores.size() > 1 &&
         std::all_of(scores.begin(), scores.end(), finite) &&
         !std::all_of(scores.begin(), scores.end(), whole);
}

}  // namespace

std::vector<Prediction> Classify(std::span<const float> scores, size_t k,
                                 bool are_probabilities) {
  k = std::min(k, scores.size());
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const auto value = [&scores](int64_t i) {
    return Key(scores[static_cast<size_t>(i)]);
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(k),
                    order.end(), [&value](int64_t a, int64_t b) {
                      return value(a) != value(b) ? value(a) > value(b) : a < b;
                    });

  const bool logits = !are_probabilities && AreLogits(scores);
  double largest = 0, sum = 0;
  if (logits) {
    largest = *std::max_element(scores.begin(), scores.end());
    for (const float score : scores) sum += std::exp(score - largest);
  }
  std::vector<Prediction> predictions(k);
  for (size_t i = 0; i < k; ++i) {
    Prediction& p = predictions[i];
    p.index = order[i];
    p.score = scores[static_cast<size_t>(p.index)];
    if (logits) {
      p.confidence = std::exp(p.score - largest) / sum;
    } else if (are_probabilities && std::isfinite(p.score)) {
      p.confidence = p.score;
    }
  }
  return predictions;
}

bool EndsInSoftmax(const Model& model, size_t i) {
  for (const Node& node : model.graph().nodes) {
    if (std::find(node.outputs.begin(), node.outputs.end(),
                  model.output_name(i)) != node.outputs.end()) {
      return node.op == "Softmax";
    }
  }
  return false;
}

std::string ClassName(const Model& model, size_t classes, int64_t index) {
  const std::vector<std::string>& labels = model.graph().labels;
  if (labels.size() != classes) return std::to_string(index);
  return tools::Printable(labels[static_cast<size_t>(index)]);
}

std::string PredictionText(const Model& model, size_t classes,
                           const Prediction& prediction) {
  const std::string name = ClassName(model, classes, prediction.index);
  if (prediction.confidence) {
    return fmt::format("{} ({:.1f} %)", name, *prediction.confidence * 100);
  }
  return fmt::format("{} (score {:g})", name, prediction.score);
}

}  // namespace bqengine::run
