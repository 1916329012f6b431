// The only file that knows protobuf and libonnx.
#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <limits>
#include <set>

#include "common/file.h"
#include "source_model.h"

namespace bqengine::convert {
namespace {

static_assert(std::endian::native == std::endian::little,
              "ONNX stores raw data little-endian");

constexpr int64_t kMinOpset = 9;
constexpr int64_t kMaxOpset = 17;  // the newest that libonnx 1.12 can check

// Far above any network; a file beyond that is broken, or meant to keep the
// machine busy.
constexpr int kMaxNodes = 65536;
constexpr int kMaxPorts = 1024;  // inputs, or outputs

// Elements from a tensor's raw bytes.
template <typename Stored, typename T>
std::vector<T> FromRaw(const std::string& raw) {
  std::vector<T> values(raw.size() / sizeof(Stored));
  for (size_t i = 0; i < values.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, raw.data() + i * sizeof(Stored), sizeof(Stored));
    values[i] = static_cast<T>(stored);
  }
  return values;
}

// Elements from raw bytes, or from the field that is meant for their type.
template <typename Stored, typename T, typename Field>
std::vector<T> Values(const onnx::TensorProto& tensor, const Field& field) {
  if (tensor.has_raw_data()) return FromRaw<Stored, T>(tensor.raw_data());
  std::vector<T> values;
  for (const auto& value : field) values.push_back(static_cast<T>(value));
  return values;
}

Array ReadTensor(const onnx::TensorProto& tensor) {
  using Proto = onnx::TensorProto;
  if (tensor.data_location() == Proto::EXTERNAL) {
    throw ConvertError("data in a separate file is not supported");
  }
  Array array;
  array.shape.assign(tensor.dims().begin(), tensor.dims().end());
  array.type = Array::Type::kInt;
  switch (tensor.data_type()) {
    case Proto::FLOAT:
      array.type = Array::Type::kFloat;
      array.floats = Values<float, float>(tensor, tensor.float_data());
      break;
    case Proto::DOUBLE:
      array.type = Array::Type::kFloat;
      array.floats = Values<double, float>(tensor, tensor.double_data());
      break;
    case Proto::INT64:
      array.ints = Values<int64_t, int64_t>(tensor, tensor.int64_data());
      break;
    case Proto::INT32:
      array.ints = Values<int32_t, int64_t>(tensor, tensor.int32_data());
      break;
    case Proto::INT8:
      array.ints = Values<int8_t, int64_t>(tensor, tensor.int32_data());
      break;
    case Proto::UINT8:
    case Proto::BOOL:
      array.ints = Values<uint8_t, int64_t>(tensor, tensor.int32_data());
      break;
    default:
      throw ConvertError(fmt::format(
          "element type {} is not supported (float, double, bool, int8, uint8, "
          "int32 and int64 are)",
          onnx::TensorProto_DataType_Name(
              static_cast<onnx::TensorProto_DataType>(tensor.data_type()))));
  }
  if (array.size() != Elements(array.shape)) {
    throw ConvertError(fmt::format("{} values for shape {}", array.size(),
                                   ShapeText(array.shape)));
  }
  return array;
}

void ReadAttribute(const onnx::AttributeProto& proto, SourceNode* node) {
  using Proto = onnx::AttributeProto;
  SourceAttribute value;
  switch (proto.type()) {
    case Proto::INT:
      value = static_cast<int64_t>(proto.i());
      break;
    case Proto::FLOAT:
      value = proto.f();
      break;
    case Proto::STRING:
      value = proto.s();
      break;
    case Proto::INTS:
      value = std::vector<int64_t>(proto.ints().begin(), proto.ints().end());
      break;
    case Proto::FLOATS:
      value = std::vector<float>(proto.floats().begin(), proto.floats().end());
      break;
    case Proto::TENSOR:
      value = ReadTensor(proto.t());
      break;
    default:
      return;  // subgraphs and the like: no op that has them is supported
  }
  node->attributes[proto.name()] = std::move(value);
}

SourceNode ReadNode(const onnx::NodeProto& proto) {
  SourceNode node;
  node.op = proto.op_type();
  node.domain = proto.domain() == "ai.onnx" ? "" : proto.domain();
  node.inputs.assign(proto.input().begin(), proto.input().end());
  node.outputs.assign(proto.output().begin(), proto.output().end());
  node.name = !proto.name().empty()  ? proto.name()
              : node.outputs.empty() ? node.op
                                     : node.outputs[0];
  for (const onnx::AttributeProto& attribute : proto.attribute()) {
    try {
      ReadAttribute(attribute, &node);
    } catch (const ConvertError& error) {
      throw ConvertError(fmt::format("node '{}', attribute '{}': {}", node.name,
                                     attribute.name(), error.what()));
    }
  }
  return node;
}

Shape ReadShape(const onnx::TensorShapeProto& proto) {
  Shape shape;
  for (const auto& dim : proto.dim()) {
    shape.push_back(dim.has_dim_value() && dim.dim_value() > 0 ? dim.dim_value()
                                                               : kUnknownDim);
  }
  return shape;
}

SourceInput ReadInput(const onnx::ValueInfoProto& proto) {
  const onnx::TypeProto& type = proto.type();
  if (!type.has_tensor_type() ||
      type.tensor_type().elem_type() != onnx::TensorProto::FLOAT) {
    throw ConvertError(
        fmt::format("input '{}' is not a float tensor", proto.name()));
  }
  SourceInput input{proto.name(), ReadShape(type.tensor_type().shape()), {}};
  if (input.shape.size() < 2 || input.shape.size() > 4 ||
      std::find(input.shape.begin() + 1, input.shape.end(), kUnknownDim) !=
          input.shape.end()) {
    throw ConvertError(fmt::format(
        "input '{}' must have 2 to 4 dimensions, all but the first fixed",
        proto.name()));
  }
  if (input.shape[0] != kUnknownDim) input.declared_batch = input.shape[0];
  input.shape[0] = kBatch;
  try {
    Elements({input.shape.begin() + 1, input.shape.end()});
  } catch (const ConvertError& error) {
    throw ConvertError(
        fmt::format("input '{}': {}", proto.name(), error.what()));
  }
  return input;
}

void ReadGraph(const onnx::GraphProto& graph, SourceModel* model) {
  model->name = graph.name();
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    try {
      model->constants[tensor.name()] = ReadTensor(tensor);
    } catch (const ConvertError& error) {
      throw ConvertError(
          fmt::format("initializer '{}': {}", tensor.name(), error.what()));
    }
  }
  if (graph.sparse_initializer_size() > 0) {
    throw ConvertError("sparse initializers are not supported");
  }
  for (const onnx::ValueInfoProto& input : graph.input()) {
    if (model->constants.count(input.name()) == 0) {
      model->inputs.push_back(ReadInput(input));
    }
  }
  for (const onnx::ValueInfoProto& output : graph.output()) {
    model->outputs.push_back(output.name());
  }
  for (const onnx::NodeProto& node : graph.node()) {
    model->nodes.push_back(ReadNode(node));
  }
  for (const auto* infos : {&graph.value_info(), &graph.output()}) {
    for (const onnx::ValueInfoProto& info : *infos) {
      if (info.type().has_tensor_type() &&
          info.type().tensor_type().has_shape()) {
        model->declared_shapes[info.name()] =
            ReadShape(info.type().tensor_type().shape());
      }
    }
  }
}

// Exporters often use a domain of their own without declaring it (Brevitas
// does), and newer IR versions than libonnx knows differ in nothing that is
// supported here. The checker refuses both.
void MakeCheckable(onnx::ModelProto* model) {
  if (model->ir_version() > onnx::IR_VERSION) {
    model->set_ir_version(onnx::IR_VERSION);
  }
  std::set<std::string> domains = {"", "ai.onnx"};
  for (const auto& import : model->opset_import()) {
    domains.insert(import.domain());
  }
  for (const onnx::NodeProto& node : model->graph().node()) {
    if (domains.insert(node.domain()).second) {
      auto* import = model->add_opset_import();
      import->set_domain(node.domain());
      import->set_version(1);
    }
  }
}

int64_t Opset(const onnx::ModelProto& model) {
  for (const auto& import : model.opset_import()) {
    if (import.domain().empty() || import.domain() == "ai.onnx") {
      return import.version();
    }
  }
  return 0;
}

// Many lines would hide the one that matters.
std::string FirstLine(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

void RefuseMoreThan(int limit, int count, const char* what) {
  if (count > limit) {
    throw ConvertError(
        fmt::format("has {} {}; {} are the most", count, what, limit));
  }
}

// Before libonnx sees the model: its checker expands functions without an end
// to recursion.
void RefuseHostile(const onnx::ModelProto& model) {
  if (model.functions_size() > 0) {
    throw ConvertError(fmt::format(
        "defines functions of its own ('{}'), which are not supported; export "
        "the model with them inlined",
        model.functions(0).name()));
  }
  RefuseMoreThan(kMaxNodes, model.graph().node_size(), "nodes");
  RefuseMoreThan(kMaxPorts + model.graph().initializer_size(),
                 model.graph().input_size(), "inputs");
  RefuseMoreThan(kMaxPorts, model.graph().output_size(), "outputs");
}

// ONNX's own shape inference stays unused: it divides by the attributes of
// files (strides of 0) and trusts their sizes. The converter knows the shapes
// of all that it supports.
SourceModel Read(const std::vector<uint8_t>& bytes) {
  onnx::ModelProto proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      !proto.has_graph()) {
    throw ConvertError("is not an ONNX model, or is damaged");
  }
  SourceModel model;
  model.opset = Opset(proto);
  if (model.opset < kMinOpset || model.opset > kMaxOpset) {
    throw ConvertError(fmt::format("opset {} is not supported ({} to {} are)",
                                   model.opset, kMinOpset, kMaxOpset));
  }
  RefuseHostile(proto);
  MakeCheckable(&proto);
  onnx::checker::check_model(proto);
  model.producer = proto.producer_name();
  if (!proto.producer_version().empty()) {
    model.producer += " " + proto.producer_version();
  }
  ReadGraph(proto.graph(), &model);
  return model;
}

}  // namespace

Result<SourceModel> ReadOnnx(const std::string& path) {
  google::protobuf::SetLogHandler(nullptr);  // errors are reported once, here
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return Status(StatusCode::kNotFound, path + ": no such file");
  }
  if (!std::filesystem::is_regular_file(path, error)) {
    return Status(StatusCode::kInvalidModel, path + ": not a file");
  }
  constexpr uint64_t kMaxBytes = std::numeric_limits<int>::max();  // protobuf's
  const auto bytes = tools::ReadFile(path, kMaxBytes);
  if (!bytes.ok()) return bytes.status();
  try {
    SourceModel model = Read(*bytes);
    model.file_bytes = static_cast<int64_t>(bytes->size());
    return model;
  } catch (const std::exception& exception) {  // libonnx throws several kinds
    return Status(StatusCode::kInvalidModel,
                  path + ": " + FirstLine(exception.what()));
  }
}

}  // namespace bqengine::convert
