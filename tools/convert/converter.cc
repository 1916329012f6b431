#include "converter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace bqengine::convert {
namespace {

// Constants computed beforehand may have, all together, this many elements and
// so many times those in the file: some steps for each weight, and shapes.
constexpr int64_t kFoldedElements = int64_t{1} << 26;
constexpr int64_t kFoldedTimes = 32;

// How large an item may be for a constant to be laid out along all of it.
constexpr int64_t kMaxLaidOut = int64_t{1} << 26;

}  // namespace

const std::map<std::string, Converter::Handler>& Converter::Handlers() {
  static const std::map<std::string, Handler> handlers = {
      {"Add", &Converter::Arithmetic},
      {"And", &Converter::Logic},
      {"AveragePool", &Converter::Pool},
      {"BatchNormalization", &Converter::BatchNormalization},
      {"BipolarQuant", &Converter::Binarize},
      {"Cast", &Converter::PassThrough},
      {"Clip", &Converter::Activation},
      {"Concat", &Converter::Concat},
      {"Conv", &Converter::Conv},
      {"Div", &Converter::Arithmetic},
      {"Dropout", &Converter::PassThrough},
      {"Equal", &Converter::Compare},
      {"Flatten", &Converter::Flatten},
      {"Floor", &Converter::Activation},
      {"Gemm", &Converter::Gemm},
      {"GlobalAveragePool", &Converter::GlobalPool},
      {"GlobalMaxPool", &Converter::GlobalPool},
      {"Greater", &Converter::Compare},
      {"GreaterOrEqual", &Converter::Compare},
      {"Identity", &Converter::PassThrough},
      {"LeakyRelu", &Converter::Activation},
      {"Less", &Converter::Compare},
      {"LessOrEqual", &Converter::Compare},
      {"MatMul", &Converter::MatMul},
      {"MaxPool", &Converter::Pool},
      {"Mul", &Converter::Arithmetic},
      {"Neg", &Converter::Negate},
      {"Or", &Converter::Logic},
      {"PRelu", &Converter::Activation},
      {"Pad", &Converter::Pad},
      {"ReduceMean", &Converter::ReduceMean},
      {"Relu", &Converter::Activation},
      {"Reshape", &Converter::Reshape},
      {"Sign", &Converter::Binarize},
      {"Softmax", &Converter::Softmax},
      {"Squeeze", &Converter::Squeeze},
      {"Sub", &Converter::Arithmetic},
      {"Transpose", &Converter::Transpose},
      {"Unsqueeze", &Converter::Unsqueeze},
      {"Where", &Converter::Where},
      {"Xor", &Converter::Logic}};
  return handlers;
}

// ---------------------------------------------------------------- the walk

std::set<const SourceNode*> Converter::ReachableNodes() const {
  std::set<std::string> wanted(model_.outputs.begin(), model_.outputs.end());
  std::set<const SourceNode*> nodes;
  for (auto it = model_.nodes.rbegin(); it != model_.nodes.rend(); ++it) {
    if (std::any_of(it->outputs.begin(), it->outputs.end(),
                    [&](const auto& name) { return wanted.count(name) > 0; })) {
      nodes.insert(&*it);
      wanted.insert(it->inputs.begin(), it->inputs.end());
    }
  }
  return nodes;
}

Result<Conversion> Converter::Run() {
  arrays_ = model_.constants;
  fold_budget_ = kFoldedElements;
  const auto grant = [this](const Array& array) {
    fold_budget_ += kFoldedTimes * array.size();
  };
  for (const auto& [name, array] : arrays_) grant(array);
  for (const SourceNode& node : model_.nodes) {
    for (const auto& [name, value] : node.attributes) {
      if (const auto* array = std::get_if<Array>(&value)) grant(*array);
    }
  }
  try {
    AddInputs();
  } catch (const ConvertError& error) {
    return Status(StatusCode::kInvalidModel, error.what());
  }
  const std::set<const SourceNode*> reachable = ReachableNodes();
  for (const SourceNode& node : model_.nodes) {
    if (reachable.count(&node) > 0) Visit(node);
  }
  if (errors_.empty()) AddOutputs();
  if (!errors_.empty()) {
    std::string message;
    for (const std::string& error : errors_) {
      message += (message.empty() ? "" : "\n") + error;
    }
    return Status(StatusCode::kInvalidModel, message);
  }
  result_.signs = builder_.signs();
  result_.graph = std::move(builder_.graph());
  return std::move(result_);
}

// Errors are collected: a user wants to know all unsupported nodes at once.
// Nodes behind a failed one fail silently.
void Converter::Visit(const SourceNode& node) {
  const auto fail = [&](const std::string& why) {
    if (!why.empty()) {
      errors_.push_back(fmt::format(
          "node '{}' ({}{}): {}", node.name,
          node.domain.empty() ? "" : node.domain + ".", node.op, why));
    }
    failed_.insert(node.outputs.begin(), node.outputs.end());
  };
  for (const std::string& input : node.inputs) {
    if (failed_.count(input) > 0) {
      // Unsupported ops are worth listing wherever they stand.
      const bool known = CanFold(node) || Handlers().count(node.op) > 0;
      return fail(known ? "" : "op is not supported");
    }
  }
  try {
    if (!FoldNode(node)) Convert(node);
  } catch (const ConvertError& error) {
    fail(error.what());
  }
}

bool Converter::FoldNode(const SourceNode& node) {
  if (node.outputs.empty()) throw ConvertError("no output");
  if (node.op == "Shape" && node.domain.empty() && !IsConstant(node, 0)) {
    const Shape& shape = Raw(node, 0).shape;
    Array array = Array::Ints({static_cast<int64_t>(shape.size())}, shape);
    array.is_batch.assign(shape.size(), false);
    array.is_batch[0] = true;
    if (node.Has("start") || node.Has("end")) {
      throw ConvertError("start and end are not supported");
    }
    arrays_[node.outputs[0]] = std::move(array);
    return true;
  }
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (!node.inputs[i].empty() && !IsConstant(node, i)) return false;
  }
  if (!CanFold(node)) {
    throw ConvertError(Handlers().count(node.op) > 0
                           ? "all inputs are constants"
                           : "op is not supported");
  }
  Array folded = Fold(node, ConstantInputs(node));
  fold_budget_ -= folded.size();
  if (fold_budget_ < 0) {
    throw ConvertError(
        "the constants that the file has the converter compute are too large "
        "all together");
  }
  arrays_[node.outputs[0]] = std::move(folded);
  return true;
}

void Converter::Convert(const SourceNode& node) {
  if (MapSteps(node)) return;
  const auto handler = Handlers().find(node.op);
  if (handler == Handlers().end() ||
      (!node.domain.empty() && !IsBipolarQuant(node))) {
    throw ConvertError("op is not supported");
  }
  (this->*handler->second)(node);
}

// ---------------------------------------------------- inputs and outputs

void Converter::AddInputs() {
  const bool first_only = model_.inputs.size() == 1;
  Graph& graph = builder_.graph();
  graph.name = options_.name.empty() ? model_.name : options_.name;
  graph.producer = "bq-convert";
  graph.labels = options_.labels;
  for (const SourceInput& source : model_.inputs) {
    const size_t rank = source.shape.size();
    const bool nchw = rank == 4 && options_.input_layout == Layout::kNCHW;
    Value value;
    value.shape = value.logical = source.shape;
    value.perm = nchw ? ChannelsLastPerm(rank) : IdentityPerm(rank);
    value.tensor = source.name;
    GraphInput input;
    input.name = source.name;
    input.info.shape = MemoryShape(value);
    input.layout = nchw ? Layout::kNCHW : Layout::kNHWC;
    if (first_only) {
      input.preprocess = {options_.scale, options_.mean, options_.std};
    }
    const size_t channels = static_cast<size_t>(input.info.shape.back());
    for (const auto* list : {&input.preprocess.mean, &input.preprocess.std}) {
      if (list->size() != 1 && list->size() != channels) {
        throw ConvertError(fmt::format(
            "--mean and --std need 1 number or {}, one per channel of input "
            "'{}'",
            channels, source.name));
      }
    }
    builder_.AddInput(input);
    values_[source.name] = value;
  }
}

void Converter::AddOutputs() {
  std::vector<std::pair<std::string, Value>> outputs;
  for (const std::string& name : model_.outputs) {
    const auto it = values_.find(name);
    if (it == values_.end()) {
      errors_.push_back(fmt::format(
          "output '{}' does not depend on the network's input", name));
      continue;
    }
    outputs.emplace_back(name, builder_.ToFloat(it->second));
    const Shape& shape = it->second.shape;
    if (!options_.labels.empty() && model_.outputs.size() == 1 &&
        Elements({shape.begin() + 1, shape.end()}) !=
            static_cast<int64_t>(options_.labels.size())) {
      errors_.push_back(fmt::format("{} labels for output '{}' of shape {}",
                                    options_.labels.size(), name,
                                    ShapeText(shape)));
    }
  }
  builder_.AddOutputs(outputs);
}

// ------------------------------------------------------- inputs of a node

bool Converter::IsConstant(const SourceNode& node, size_t i) const {
  return i < node.inputs.size() && arrays_.count(node.inputs[i]) > 0;
}

const Array* Converter::Constant(const SourceNode& node, size_t i) const {
  if (i >= node.inputs.size() || node.inputs[i].empty()) return nullptr;
  const auto it = arrays_.find(node.inputs[i]);
  if (it == arrays_.end()) {
    throw ConvertError(
        fmt::format("input '{}' must be a constant", node.inputs[i]));
  }
  if (it->second.has_nan()) {
    throw ConvertError(
        fmt::format("constant '{}' has NaN in it", node.inputs[i]));
  }
  return &it->second;
}

const Array& Converter::RequiredConstant(const SourceNode& node,
                                         size_t i) const {
  const Array* array = Constant(node, i);
  if (array == nullptr) throw ConvertError(fmt::format("no input {}", i));
  return *array;
}

const Value& Converter::Raw(const SourceNode& node, size_t i) const {
  if (i >= node.inputs.size())
    throw ConvertError(fmt::format("no input {}", i));
  const auto it = values_.find(node.inputs[i]);
  if (it == values_.end()) {
    throw ConvertError(
        arrays_.count(node.inputs[i]) > 0
            ? fmt::format("input '{}' must not be a constant", node.inputs[i])
            : fmt::format("input '{}' is an output that is not supported",
                          node.inputs[i]));
  }
  return it->second;
}

Value Converter::Settled(const SourceNode& node, size_t i) {
  const Value& value = Raw(node, i);
  return builder_.WithoutPad(value);
}

Value Converter::Float(const SourceNode& node, size_t i) {
  return builder_.ToFloat(Raw(node, i));
}

FoldInputs Converter::ConstantInputs(const SourceNode& node) const {
  FoldInputs inputs;
  for (const std::string& name : node.inputs) {
    const auto it = arrays_.find(name);
    inputs.push_back(it == arrays_.end() ? nullptr : &it->second);
  }
  return inputs;
}

// -------------------------------------------------------- result of a node

void Converter::Set(const SourceNode& node, Value value) {
  if (Elements({value.shape.begin() + 1, value.shape.end()}) == 0) {
    throw ConvertError("its output is empty: " + ShapeText(value.shape));
  }
  CheckDeclared(node.outputs[0], value.shape);
  values_[node.outputs[0]] = std::move(value);
}

// The file may tell the shape. A difference means that the exporter and the
// converter understand the node differently.
void Converter::CheckDeclared(const std::string& tensor,
                              const Shape& shape) const {
  const auto it = model_.declared_shapes.find(tensor);
  if (it == model_.declared_shapes.end()) return;
  const Shape& declared = it->second;
  bool same = declared.size() == shape.size();
  for (size_t i = 1; same && i < shape.size(); ++i) {
    same = declared[i] == kUnknownDim || declared[i] == shape[i];
  }
  if (!same) {
    throw ConvertError(fmt::format("its output is {}, but the file declares {}",
                                   ShapeText(shape), ShapeText(declared)));
  }
}

Value Converter::Emitted(const SourceNode& node, const std::string& op,
                         const Value& in,
                         std::map<std::string, bqengine::Constant> constants,
                         std::map<std::string, Attribute> attributes) {
  return builder_.ForEachTensor(in, [&](const std::string& tensor) {
    return builder_.Emit(
        {op, node.outputs[0], {tensor}, constants, attributes});
  });
}

void Converter::Note(const std::string& text) {
  if (noted_.insert(text).second) result_.notes.push_back(text);
}

bqengine::Constant FloatVector(const std::vector<float>& values) {
  return bqengine::Constant::Floats({static_cast<int64_t>(values.size())},
                                    values);
}

namespace {

// Whether the constant has one element for each innermost one of the value, and
// varies with nothing else: most do, and need not be laid out along an item.
bool IsPerChannel(const Array& constant, const Value& value) {
  const Shape& shape = value.shape;
  if (value.flattened() || constant.shape.size() > shape.size()) return false;
  const size_t shift = shape.size() - constant.shape.size();
  const size_t channel = static_cast<size_t>(value.perm.back());
  if (channel < shift || constant.size() != shape[channel]) return false;
  return constant.shape[channel - shift] == shape[channel];
}

std::vector<float> Shortest(std::vector<float> channel) {
  const bool uniform = std::all_of(channel.begin(), channel.end(),
                                   [&](float c) { return c == channel[0]; });
  if (uniform) channel.resize(1);
  return channel;
}

}  // namespace

std::optional<std::vector<float>> ChannelConstant(
    const Array& constant, const Value& value, std::vector<float>* elements) {
  if (const std::optional<float> uniform = constant.Uniform()) {
    const size_t stretched = constant.shape.size();
    if (constant.size() == 1 && stretched <= value.shape.size()) {
      return std::vector<float>{*uniform};
    }
  }
  if (IsPerChannel(constant, value)) {
    std::vector<float> channel(constant.size());
    for (size_t i = 0; i < channel.size(); ++i) channel[i] = constant.Float(i);
    return Shortest(std::move(channel));
  }
  Shape item = value.shape;
  item[0] = 1;
  if (Elements(item) > kMaxLaidOut) {
    throw ConvertError(fmt::format("a constant along {}, which is too large",
                                   ShapeText(value.shape)));
  }
  const std::vector<int64_t> stretch = BroadcastMap(constant.shape, item);
  const std::vector<int64_t> order = MemoryMap(value);
  std::vector<float> all;
  for (int64_t i : order) all.push_back(constant.Float(stretch[i]));

  const size_t inner = static_cast<size_t>(
      value.flattened() ? Elements(item) : MemoryShape(value).back());
  std::vector<float> channel(all.begin(), all.begin() + inner);
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i] != channel[i % inner]) {
      if (elements != nullptr) *elements = std::move(all);
      return std::nullopt;
    }
  }
  return Shortest(std::move(channel));
}

Result<Conversion> ConvertModel(const SourceModel& model,
                                const ConvertOptions& options) {
  return Converter(model, options).Run();
}

}  // namespace bqengine::convert
