#include "train/command/checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>
#include <vector>

#include "common/file.h"

namespace bqengine::train {
namespace {

using Dictionary = c10::Dict<std::string, torch::Tensor>;
using torch::Tensor;

constexpr char kFormat[] = "bq-train checkpoint 1";

Tensor FromText(const std::string& text) {
  const auto size = static_cast<int64_t>(text.size());
  return torch::from_blob(const_cast<char*>(text.data()), {size}, torch::kUInt8)
      .clone();
}

std::string ToText(const Tensor& bytes) {
  TORCH_CHECK(bytes.scalar_type() == torch::kUInt8 && bytes.dim() == 1,
              "not a text");
  const Tensor dense = bytes.contiguous();
  return {reinterpret_cast<const char*>(dense.data_ptr<uint8_t>()),
          static_cast<size_t>(dense.numel())};
}

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

Result<Dictionary> Read(const std::string& path) {
  const auto bytes = tools::ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  const auto wrong = [&path](const char* what) {
    return tools::FileError(StatusCode::kInvalidArgument, path, what);
  };
  try {
    const std::vector<char> data(bytes->begin(), bytes->end());
    const Dictionary dictionary = torch::pickle_load(data).to<Dictionary>();
    if (!dictionary.contains("format") ||
        ToText(dictionary.at("format")) != kFormat) {
      return wrong("is no checkpoint of this bq-train");
    }
    return dictionary;
  } catch (const std::exception&) {
    return wrong("is no checkpoint of bq-train, or damaged");
  }
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
  Dictionary dictionary;
  dictionary.insert("format", FromText(kFormat));
  dictionary.insert("settings", FromText(state.settings));
  dictionary.insert("history", FromText(state.history));
  dictionary.insert("progress",
                    torch::tensor({state.epochs_done, state.steps_done}));
  dictionary.insert("random", at::detail::getDefaultCPUGenerator().get_state());
  torch::serialize::OutputArchive archive;
  optimizer.save(archive);
  std::ostringstream stream;
  archive.save_to(stream);
  dictionary.insert("optimizer", FromText(stream.str()));
  for (const auto& [name, tensor] : State(network)) {
    dictionary.insert(name, tensor.detach());
  }
  const std::vector<char> bytes = torch::pickle_save(dictionary);
  return tools::WriteFile(path, std::string_view(bytes.data(), bytes.size()));
}

Result<RunState> ReadCheckpoint(const std::string& path,
                                const std::string& settings,
                                bqtrain::NetworkImpl* network,
                                torch::optim::Optimizer* optimizer) {
  const auto read = Read(path);
  if (!read.ok()) return read.status();
  try {
    const torch::NoGradGuard no_grad;
    RunState state;
    state.settings = ToText(read->at("settings"));
    if (state.settings != settings) {
      return tools::FileError(
          StatusCode::kInvalidArgument, path,
          "is of a run with " + Difference(settings, state.settings));
    }
    state.history = ToText(read->at("history"));
    const Tensor progress = read->at("progress");
    state.epochs_done = progress[0].item<int64_t>();
    state.steps_done = progress[1].item<int64_t>();
    for (auto& [name, tensor] : State(*network)) {
      const Tensor saved = read->at(name);
      TORCH_CHECK(saved.sizes() == tensor.sizes());
      tensor.copy_(saved);
    }
    std::istringstream stream(ToText(read->at("optimizer")));
    torch::serialize::InputArchive archive;
    archive.load_from(stream);
    optimizer->load(archive);
    auto generator = at::detail::getDefaultCPUGenerator();
    generator.set_state(read->at("random"));
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
    const auto saved = read->find(name);
    if (saved == read->end() || saved->value().sizes() != tensor.sizes() ||
        saved->value().scalar_type() != tensor.scalar_type()) {
      left.push_back(tensor);
      continue;
    }
    tensor.copy_(saved->value());
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
