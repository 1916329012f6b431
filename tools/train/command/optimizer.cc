#include "train/command/optimizer.h"

#include <cmath>
#include <numbers>
#include <set>
#include <utility>

namespace bqengine::train {
namespace {

using bqtrain::BinaryLayer;
using bqtrain::WeightMethod;

// Weights that are clipped to [-1, 1] have far to go; BinaryConnect (section
// 2.5) therefore scales their rate by the inverse of the coefficient that
// Glorot's initialization gives to weights, sqrt(1.5 / (inputs + outputs)); for
// SGD, whose steps are as small as its gradients, by the square of it.
double RateScale(const BinaryLayer& layer, bool is_sgd) {
  if (!layer.quantization().clips_weights()) return 1;
  const double outputs = static_cast<double>(layer.weight.size(0));
  const double weights = static_cast<double>(layer.weight.numel());
  const double taps =
      layer.weight.dim() == 4
          ? static_cast<double>(layer.weight.size(2) * layer.weight.size(3))
          : 1;
  const double square = (weights / outputs + outputs * taps) / 1.5;
  return is_sgd ? square : std::sqrt(square);
}

}  // namespace

double ScheduleFactor(const std::string& schedule, int64_t step,
                      int64_t steps) {
  const double x = static_cast<double>(step) / static_cast<double>(steps);
  const auto cosine = [](double y) {
    return (1 + std::cos(std::numbers::pi * y)) / 2;
  };
  if (schedule == "cosine") return cosine(x);
  if (schedule == "step") return x < 0.5 ? 1 : x < 0.75 ? 0.1 : 0.01;
  if (schedule == "one-cycle") {
    constexpr double kUp = 0.3, kStart = 1.0 / 25, kEnd = 1e-4;
    if (x < kUp) return kStart + (1 - kStart) * (1 - cosine(x / kUp));
    return kEnd + (1 - kEnd) * cosine((x - kUp) / (1 - kUp));
  }
  return 1;
}

Optimizer::Optimizer(bqtrain::NetworkImpl* network, const Options& options)
    : network_(network), learning_rate_(options.learning_rate) {
  using torch::optim::OptimizerParamGroup;
  std::vector<torch::Tensor> binary, decayed, others;
  std::vector<OptimizerParamGroup> groups;
  std::set<torch::TensorImpl*> taken;
  for (const auto& layer : network->layers()) {
    const torch::Tensor& weight = layer.module->weight;
    taken.insert(weight.unsafeGetTensorImpl());
    if (layer.module->quantization().weights == WeightMethod::kFloat) {
      decayed.push_back(weight);
    } else {
      groups.emplace_back(std::vector<torch::Tensor>{weight});
      scales_.push_back(RateScale(*layer.module, options.optimizer == "sgd"));
    }
  }
  const size_t without_decay = groups.size();
  for (const torch::Tensor& parameter : network->parameters()) {
    if (!parameter.requires_grad()) continue;
    if (!taken.contains(parameter.unsafeGetTensorImpl())) {
      others.push_back(parameter);
    }
  }
  for (const auto& list : {decayed, others}) {
    if (list.empty()) continue;
    groups.emplace_back(list);
    scales_.push_back(1);
  }
  const auto decay = [&](size_t group) {
    const bool is_decayed = !decayed.empty() && group == without_decay;
    return is_decayed ? options.weight_decay : 0.0;
  };
  for (size_t i = 0; i < groups.size(); ++i) {
    if (options.optimizer == "adam") {
      auto group_options = std::make_unique<torch::optim::AdamOptions>();
      group_options->weight_decay(decay(i));
      groups[i].set_options(std::move(group_options));
    } else {
      auto group_options =
          std::make_unique<torch::optim::SGDOptions>(learning_rate_);
      group_options->momentum(options.momentum).weight_decay(decay(i));
      groups[i].set_options(std::move(group_options));
    }
  }
  if (options.optimizer == "adam") {
    optimizer_ = std::make_unique<torch::optim::Adam>(groups);
  } else {
    optimizer_ = std::make_unique<torch::optim::SGD>(
        groups, torch::optim::SGDOptions(learning_rate_));
  }
}

void Optimizer::Step(double factor) {
  std::vector<torch::optim::OptimizerParamGroup>& groups =
      optimizer_->param_groups();
  for (size_t i = 0; i < groups.size(); ++i) {
    groups[i].options().set_lr(learning_rate_ * factor * scales_[i]);
  }
  optimizer_->step();
  network_->ClipWeights();
}

}  // namespace bqengine::train
