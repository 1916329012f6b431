#include "run/layer_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "common/graph_order.h"
#include "common/memory.h"

namespace bqengine::run {
namespace {

constexpr int64_t kWordBits = 64;

using Infos = std::map<std::string, TensorInfo>;

Result<Tensor> MakeTensor(const std::string& name, const TensorInfo& info,
                          int64_t batch) {
  Tensor tensor;
  tensor.info = info;
  const Result<int64_t> bytes = ByteCount(info, batch);
  if (!bytes.ok()) return bytes.status();
  tensor.bytes = static_cast<size_t>(*bytes);
  auto memory = tools::MakeVector<uint64_t>(*bytes / 8 + (*bytes % 8 != 0),
                                            "tensor '" + name + "'");
  if (!memory.ok()) return memory.status();
  tensor.memory = *std::move(memory);
  return tensor;
}

// The same node as a graph.
Graph OneNode(const Graph& graph, const Node& node, const Infos& infos) {
  Graph one;
  one.name = node.name;
  for (const std::string& name :
       std::set<std::string>(node.inputs.begin(), node.inputs.end())) {
    one.inputs.push_back({.name = name, .info = infos.at(name)});
  }
  for (const std::string& name : node.outputs) {
    one.outputs.push_back({.name = name});
  }
  for (const auto& [role, name] : node.constants) {
    one.constants[name] = graph.constants.at(name);
  }
  one.nodes.push_back(node);
  return one;
}

struct RanBy {
  std::string backend;
  int threads = 1;
};

// Runs a graph of one node; its outputs hold `fill`, complemented, before that
// (or zeros without one). Says in *by what did it.
Result<std::vector<Tensor>> RunNode(const Graph& one,
                                    const SessionOptions& options,
                                    const std::map<std::string, Tensor>& values,
                                    const std::vector<Tensor>* fill,
                                    RanBy* by) {
  // The whole graph is within the limits, whatever they are.
  constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
  const Result<Model> model =
      Model::FromGraph(one, {.max_tensor_elements = kNone});
  if (!model.ok()) return model.status();
  Result<Session> session = Session::Create(*model, options);
  if (!session.ok()) return session.status();
  *by = {session->backend(), session->threads()};

  std::vector<InputView> inputs;
  for (const GraphInput& input : one.inputs) {
    const Tensor& tensor = values.at(input.name);
    inputs.push_back({tensor.memory.data(), tensor.bytes});
  }
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < model->num_outputs(); ++i) {
    Result<Tensor> tensor =
        MakeTensor(model->output_name(i), model->output(i), options.max_batch);
    if (!tensor.ok()) return tensor.status();
    for (size_t k = 0; fill != nullptr && k < tensor->memory.size(); ++k) {
      tensor->memory[k] = ~(*fill)[i].memory[k];
    }
    outputs.push_back(*std::move(tensor));
  }
  std::vector<OutputView> views;
  for (Tensor& output : outputs) {
    views.push_back({output.memory.data(), output.bytes});
  }
  const Status status = session->Run(options.max_batch, inputs, views);
  if (!status.ok()) return status;
  return outputs;
}

// -------------------------------------------------------------------- values

int64_t Row(const Tensor& tensor) { return tensor.info.shape.back(); }

int64_t Rows(const Tensor& tensor, int64_t values) {
  return values / Row(tensor);
}

int64_t RowWords(const Tensor& tensor) {
  return (Row(tensor) + kWordBits - 1) / kWordBits;
}

double ValueAt(const Tensor& tensor, int64_t i) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(tensor.memory.data());
  switch (tensor.info.type) {
    case DataType::kFloat32: {
      float value;
      std::memcpy(&value, bytes + i * int64_t{sizeof(value)}, sizeof(value));
      return static_cast<double>(value);
    }
    case DataType::kInt8:
      return static_cast<int8_t>(bytes[i]);
    case DataType::kUint8:
      return bytes[i];
    case DataType::kBipolar:
    case DataType::kUnipolar:
      break;
  }
  const int64_t column = i % Row(tensor);
  const uint64_t word = tensor.memory[static_cast<size_t>(
      i / Row(tensor) * RowWords(tensor) + column / kWordBits)];
  if ((word >> (column % kWordBits) & 1) != 0) return 1;
  return tensor.info.type == DataType::kBipolar ? -1 : 0;
}

// Whether value i is still the complement of the right one, bit for bit.
bool IsComplement(const Tensor& got, const Tensor& wanted, int64_t i) {
  if (IsBits(got.info.type)) return ValueAt(got, i) != ValueAt(wanted, i);
  const auto* a = reinterpret_cast<const uint8_t*>(got.memory.data());
  const auto* b = reinterpret_cast<const uint8_t*>(wanted.memory.data());
  const int64_t size = IsInteger(got.info.type) ? 1 : 4;
  for (int64_t k = i * size; k < (i + 1) * size; ++k) {
    if (a[k] != static_cast<uint8_t>(~b[k])) return false;
  }
  return true;
}

bool HasDirtyPadding(const Tensor& tensor, int64_t values) {
  const int64_t tail = Row(tensor) % kWordBits;
  if (!IsBits(tensor.info.type) || tail == 0) return false;
  for (int64_t row = 0; row < Rows(tensor, values); ++row) {
    const int64_t last = (row + 1) * RowWords(tensor) - 1;
    if (tensor.memory[static_cast<size_t>(last)] >> tail != 0) return true;
  }
  return false;
}

std::vector<int64_t> IndexOf(const TensorInfo& info, int64_t i) {
  std::vector<int64_t> index(info.shape.size());
  for (size_t d = info.shape.size(); d-- > 1;) {
    index[d] = i % info.shape[d];
    i /= info.shape[d];
  }
  index[0] = i;
  return index;
}

// ------------------------------------------------------------------ tolerance

// Terms of the float sum that makes one output; 0 for the ops that only take
// bits, or round each value by itself: all backends do that alike.
double SumLength(const Graph& one, const Infos& infos) {
  const Node& node = one.nodes[0];
  const Shape& input = infos.at(node.inputs[0]).shape;
  const auto items = [](const Shape& shape) {
    const auto count = ElementCount(shape);
    return count.ok() ? static_cast<double>(*count) : 0;
  };
  if (node.op == "Conv" || node.op == "Gemm" || node.op == "BinaryWeightConv" ||
      node.op == "BinaryWeightGemm") {
    const Shape& weight = one.constants.at(node.constants.at("weight")).shape();
    return items(weight) /
           static_cast<double>(infos.at(node.outputs[0]).shape.back());
  }
  if (node.op == "GlobalAveragePool") {
    return items(input) / static_cast<double>(input.back());
  }
  if (node.op == "AveragePool") {
    double taps = 1;
    for (int64_t size :
         std::get<std::vector<int64_t>>(node.attributes.at("kernel_shape"))) {
      taps *= static_cast<double>(size);
    }
    return taps;
  }
  if (node.op == "Softmax") {
    const auto axis = node.attributes.find("axis");
    const int64_t place =
        axis == node.attributes.end() ? -1 : std::get<int64_t>(axis->second);
    return static_cast<double>(input[static_cast<size_t>(
        place < 0 ? place + std::ssize(input) : place)]);
  }
  return 0;
}

Constant Magnitudes(const Constant& constant) {
  if (!IsBits(constant.type())) {
    std::vector<float> values(constant.floats().begin(),
                              constant.floats().end());
    for (float& value : values) value = std::abs(value);
    return Constant::Floats(constant.shape(), std::move(values));
  }
  // All +1.
  const int64_t row = constant.shape().back();
  const int64_t row_words = (row + kWordBits - 1) / kWordBits;
  std::vector<uint64_t> words(constant.words().size(), ~uint64_t{0});
  if (row % kWordBits != 0) {
    for (size_t i = static_cast<size_t>(row_words) - 1; i < words.size();
         i += static_cast<size_t>(row_words)) {
      words[i] = (uint64_t{1} << (row % kWordBits)) - 1;
    }
  }
  return Constant::Bits(constant.type(), constant.shape(), std::move(words));
}

void TakeMagnitudes(Tensor* tensor) {
  auto* bytes = reinterpret_cast<uint8_t*>(tensor->memory.data());
  if (tensor->info.type == DataType::kFloat32) {
    for (size_t i = 0; i < tensor->bytes; i += sizeof(float)) {
      float value;
      std::memcpy(&value, bytes + i, sizeof(value));
      value = std::abs(value);
      std::memcpy(bytes + i, &value, sizeof(value));
    }
  } else if (tensor->info.type == DataType::kInt8) {
    for (size_t i = 0; i < tensor->bytes; ++i) {
      const int value = static_cast<int8_t>(bytes[i]);
      bytes[i] = static_cast<uint8_t>(std::min(std::abs(value), 127));
    }
  }
}

// The sum of the magnitudes that meet in each output: the same sum, of
// magnitudes.
Result<Tensor> SumOfMagnitudes(const Graph& one, const SessionOptions& options,
                               const std::map<std::string, Tensor>& values) {
  Graph graph = one;
  for (auto& [name, constant] : graph.constants) {
    constant = Magnitudes(constant);
  }
  std::map<std::string, Tensor> inputs;
  for (const GraphInput& input : one.inputs) {
    inputs[input.name] = values.at(input.name);
    TakeMagnitudes(&inputs[input.name]);
  }
  RanBy by;
  auto outputs = RunNode(graph, options, inputs, nullptr, &by);
  if (!outputs.ok()) return outputs.status();
  return std::move((*outputs)[0]);
}

// ----------------------------------------------------------------- comparison

// What both values may be off, each by half of it: every term and every sum of
// them is rounded once, and so are the few steps behind (a scale, a bias, the
// exponential of Softmax).
double Allowed(double sum_length, double magnitude) {
  constexpr double kStepsBehind = 8;
  constexpr double kRounding = std::numeric_limits<float>::epsilon();
  return sum_length == 0
             ? 0
             : (sum_length + kStepsBehind) *
                   (kRounding * magnitude +
                    double{std::numeric_limits<float>::min()} * kRounding);
}

void Compare(const Tensor& got, const Tensor& wanted, double sum_length,
             const Tensor* magnitudes, LayerDifference* difference) {
  difference->dirty_padding = HasDirtyPadding(got, difference->values);
  for (int64_t i = 0; i < difference->values; ++i) {
    const double a = ValueAt(got, i), b = ValueAt(wanted, i);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    const double allowed = magnitudes == nullptr
                               ? 0
                               : Allowed(sum_length, ValueAt(*magnitudes, i));
    double off = std::abs(a - b);
    if (std::isnan(off)) off = std::numeric_limits<double>::infinity();
    // Where magnitudes overflow, the order of the sum decides what else does.
    if (off <= allowed || (magnitudes != nullptr && !std::isfinite(allowed))) {
      continue;
    }
    ++difference->different;
    difference->unwritten += IsComplement(got, wanted, i);
    if (off > difference->most) {
      difference->most = off;
      difference->index = IndexOf(got.info, i);
      difference->allowed = allowed;
      difference->got = a;
      difference->wanted = b;
    }
  }
  // A bit that differs has been written unless all have not.
  if (IsBits(got.info.type) && difference->unwritten < difference->values) {
    difference->unwritten = 0;
  }
}

// By tensor, the last place in `order` that reads it.
std::map<std::string, size_t> LastReaders(const Graph& graph,
                                          std::span<const size_t> order) {
  std::map<std::string, size_t> last;
  for (size_t place = 0; place < order.size(); ++place) {
    for (const std::string& input : graph.nodes[order[place]].inputs) {
      last[input] = place;
    }
  }
  return last;
}

}  // namespace

Result<std::vector<LayerDifference>> CheckLayers(
    const Graph& graph, const SessionOptions& options,
    const std::string& against, std::map<std::string, Tensor> values,
    int64_t batch) {
  const Result<Graph> optimized = OptimizeGraph(graph);
  if (!optimized.ok()) return optimized.status();
  const Result<Infos> infos = InferShapes(*optimized);
  if (!infos.ok()) return infos.status();
  // The passes have run, on all of the graph.
  SessionOptions compared = options;
  compared.max_batch = batch;
  compared.optimize = false;
  SessionOptions baseline = compared;
  baseline.backend = against;
  baseline.threads = 1;

  const std::vector<size_t> order = tools::ExecutionOrder(*optimized);
  const auto last_readers = LastReaders(*optimized, order);
  std::vector<LayerDifference> differences;
  for (size_t place = 0; place < order.size(); ++place) {
    const Node& node = optimized->nodes[order[place]];
    const Graph one = OneNode(*optimized, node, *infos);
    RanBy by, against_by;
    auto wanted = RunNode(one, baseline, values, nullptr, &against_by);
    if (!wanted.ok()) return wanted.status();
    const auto got = RunNode(one, compared, values, &*wanted, &by);
    if (!got.ok()) return got.status();
    const double sum_length = SumLength(one, *infos);
    std::optional<Tensor> magnitudes;
    if (node.op == "Softmax") {
      magnitudes = (*wanted)[0];
    } else if (sum_length > 0) {
      auto sums = SumOfMagnitudes(one, baseline, values);
      if (!sums.ok()) return sums.status();
      magnitudes = *std::move(sums);
    }
    for (size_t i = 0; i < got->size(); ++i) {
      const auto count = ElementCount((*got)[i].info.shape, batch);
      if (!count.ok()) return count.status();
      LayerDifference difference = {.layer = node.name,
                                    .op = node.op,
                                    .output = node.outputs[i],
                                    .backend = by.backend,
                                    .against = against_by.backend,
                                    .threads = by.threads,
                                    .values = *count};
      Compare((*got)[i], (*wanted)[i], sum_length,
              magnitudes ? &*magnitudes : nullptr, &difference);
      differences.push_back(std::move(difference));
    }
    for (size_t i = 0; i < wanted->size(); ++i) {
      values[node.outputs[i]] = std::move((*wanted)[i]);
    }
    std::erase_if(values, [&](const auto& entry) {
      const auto reader = last_readers.find(entry.first);
      return reader == last_readers.end() || reader->second <= place;
    });
  }
  return differences;
}

}  // namespace bqengine::run
