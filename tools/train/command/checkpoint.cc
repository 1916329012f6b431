#include "train/command/checkpoint.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "common/file.h"
#include "train/command/tensor_file.h"

namespace bqengine::train {
namespace {

using torch::Tensor;

constexpr char kFormat[] = "bq-train checkpoint 1";

// Parameters and buffers by name.
std::vector<std::pair<std::string, Tensor>> State(
    const bqtrain::NetworkImpl& network) {
  std::vector<std::pair<std::string, Tensor>> state;
  for (const auto& item : network.named_parameters()) {
    state.emplace_back("parameter " + item.key(), item.value());
  }
  for (const auto& item : network.named_buffers()) {
    state.emplace_back("buffer " + item.key(), item.value());
  }
  return state;
}

Result<TensorFile> Read(const std::string& path) {
  auto file = ReadTensorFile(path);
  if (!file.ok()) return file.status();
  if (file->texts["format"] != kFormat) {
    return tools::FileError(StatusCode::kInvalidArgument, path,
                            "is no checkpoint of this bq-train");
  }
  return file;
}

// The optimizer's memory of each parameter: the names and tensors of a file.
// Parameters are numbered, group by group.
template <typename Visit>
void ForEachParameter(torch::optim::Optimizer& optimizer, const Visit& visit) {
  size_t number = 0;
  for (const auto& group : optimizer.param_groups()) {
    for (const Tensor& parameter : group.params()) {
      visit("optimizer " + std::to_string(number++) + " ",
            c10::guts::to_string(parameter.unsafeGetTensorImpl()), parameter);
    }
  }
}

void SaveOptimizer(torch::optim::Optimizer& optimizer, TensorFile* file) {
  const auto& states = optimizer.state();
  ForEachParameter(optimizer, [&](const std::string& name,
                                  const std::string& key, const Tensor&) {
    const auto state = states.find(key);
    if (state == states.end()) return;
    if (const auto* adam = dynamic_cast<const torch::optim::AdamParamState*>(
            state->second.get())) {
      file->tensors[name + "step"] = torch::tensor({adam->step()});
      file->tensors[name + "exp_avg"] = adam->exp_avg();
      file->tensors[name + "exp_avg_sq"] = adam->exp_avg_sq();
    } else if (const auto* sgd =
                   dynamic_cast<const torch::optim::SGDParamState*>(
                       state->second.get());
               sgd != nullptr && sgd->momentum_buffer().defined()) {
      file->tensors[name + "momentum_buffer"] = sgd->momentum_buffer();
    }
  });
}

// Throws where something is missing or does not fit.
void LoadOptimizer(const TensorFile& file, torch::optim::Optimizer* optimizer) {
  const bool is_adam = dynamic_cast<torch::optim::Adam*>(optimizer) != nullptr;
  auto& states = optimizer->state();
  ForEachParameter(*optimizer, [&](const std::string& name,
                                   const std::string& key,
                                   const Tensor& parameter) {
    const auto like_parameter = [&](const char* what) {
      const Tensor tensor = file.tensors.at(name + what);
      TORCH_CHECK(tensor.sizes() == parameter.sizes() &&
                  tensor.scalar_type() == parameter.scalar_type());
      return tensor;
    };
    if (is_adam && file.tensors.contains(name + "step")) {
      const Tensor step = file.tensors.at(name + "step");
      TORCH_CHECK(step.numel() == 1 && step.scalar_type() == torch::kInt64);
      auto state = std::make_unique<torch::optim::AdamParamState>();
      state->step(step.item<int64_t>());
      state->exp_avg(like_parameter("exp_avg"));
      state->exp_avg_sq(like_parameter("exp_avg_sq"));
      states[key] = std::move(state);
    } else if (!is_adam && file.tensors.contains(name + "momentum_buffer")) {
      auto state = std::make_unique<torch::optim::SGDParamState>();
      state->momentum_buffer(like_parameter("momentum_buffer"));
      states[key] = std::move(state);
    }
  });
}

// Which option differs between two Settings().
std::string Difference(const std::string& is, const std::string& was) {
  using Json = nlohmann::ordered_json;
  const Json a = Json::parse(is), b = Json::parse(was, nullptr, false);
  for (const auto& [key, value] : a.items()) {
    if (!b.is_object() || !b.contains(key)) return "other options";
    if (b[key] != value) return key + " " + b[key].dump();
  }
  return "other options";
}

}  // namespace

Status WriteCheckpoint(const std::string& path, bqtrain::NetworkImpl& network,
                       torch::optim::Optimizer& optimizer,
                       const RunState& state) {
  TensorFile file;
  file.texts = {{"format", kFormat},
                {"settings", state.settings},
                {"history", state.history}};
  file.tensors["progress"] =
      torch::tensor({state.epochs_done, state.steps_done});
  file.tensors["random"] = at::detail::getDefaultCPUGenerator().get_state();
  SaveOptimizer(optimizer, &file);
  for (const auto& [name, tensor] : State(network)) {
    file.tensors[name] = tensor;
  }
  return WriteTensorFile(path, file);
}

Result<RunState> ReadCheckpoint(const std::string& path,
                                const std::string& settings,
                                bqtrain::NetworkImpl* network,
                                torch::optim::Optimizer* optimizer) {
  const auto file = Read(path);
  if (!file.ok()) return file.status();
  try {
    const torch::NoGradGuard no_grad;
    RunState state;
    state.settings = file->texts.at("settings");
    if (state.settings != settings) {
      return tools::FileError(
          StatusCode::kInvalidArgument, path,
          "is of a run with " + Difference(settings, state.settings));
    }
    state.history = file->texts.at("history");
    const Tensor progress = file->tensors.at("progress");
    TORCH_CHECK(progress.numel() == 2 &&
                progress.scalar_type() == torch::kInt64);
    state.epochs_done = progress[0].item<int64_t>();
    state.steps_done = progress[1].item<int64_t>();
    TORCH_CHECK(state.epochs_done >= 0 && state.steps_done >= 0);
    for (auto& [name, tensor] : State(*network)) {
      const Tensor saved = file->tensors.at(name);
      TORCH_CHECK(saved.sizes() == tensor.sizes() &&
                  saved.scalar_type() == tensor.scalar_type());
      tensor.copy_(saved);
    }
    LoadOptimizer(*file, optimizer);
    auto generator = at::detail::getDefaultCPUGenerator();
    generator.set_state(file->tensors.at("random"));
    return state;
  } catch (const std::exception&) {
    return tools::FileError(StatusCode::kInvalidArgument, path,
                            "does not fit this network, or is damaged");
  }
}

Result<Taken> InitFrom(const std::string& path, bqtrain::NetworkImpl* network) {
  const auto read = Read(path);
  if (!read.ok()) return read.status();
  const torch::NoGradGuard no_grad;
  Taken taken;
  std::vector<Tensor> left;
  for (auto& [name, tensor] : State(*network)) {
    ++taken.of;
    const auto saved = read->tensors.find(name);
    if (saved == read->tensors.end() ||
        saved->second.sizes() != tensor.sizes() ||
        saved->second.scalar_type() != tensor.scalar_type()) {
      left.push_back(tensor);
      continue;
    }
    tensor.copy_(saved->second);
    ++taken.tensors;
  }
  if (taken.tensors == 0) {
    return tools::FileError(StatusCode::kInvalidArgument, path,
                            "holds nothing that fits this network");
  }
  network->ClipWeights();
  // Trained scales that the other network had none of still belong to the
  // random weights.
  for (const auto& layer : network->layers()) {
    const Tensor& alpha = layer.module->alpha;
    if (std::any_of(left.begin(), left.end(), [&alpha](const Tensor& tensor) {
          return tensor.is_same(alpha);
        })) {
      layer.module->ResetAlpha();
    }
  }
  return taken;
}

}  // namespace bqengine::train
