// model.json and its weights file to a Graph. Everything that
// the format itself demands is checked here, with a JSON path; what the ops
// demand is checked by InferShapes afterwards.
#include "format/reader.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "border.h"
#include "bqengine/model.h"
#include "files/read_file.h"
#include "format/json.h"
#include "format/rules.h"
#include "format/safetensors.h"
#include "graph/graph_analysis.h"
#include "graph/limits.h"
#include "graph/make_constant.h"
#include "graph/packed.h"
#include "graph/shape_rules.h"

namespace bqengine {
namespace {

using json::Cursor;
using json::Quote;

std::string ReadText(const Cursor& cursor) {
  std::string text = cursor.String();
  if (const std::string problem = TextProblem(text); !problem.empty()) {
    cursor.Fail("the text " + problem);
  }
  return text;
}

std::string ReadName(const Cursor& cursor) {
  std::string name = cursor.String();
  if (const std::string problem = NameProblem(name); !problem.empty()) {
    cursor.Fail("the name " + problem);
  }
  return name;
}

std::vector<std::string> ReadNames(const Cursor& cursor) {
  std::vector<std::string> names;
  for (const Cursor& item : cursor.Items()) names.push_back(ReadName(item));
  return names;
}

// Activations may be integers, constants not.
DataType ReadType(const Cursor& cursor, bool is_activation) {
  const std::string name = cursor.String();
  for (DataType type :
       {DataType::kFloat32, DataType::kBipolar, DataType::kUnipolar,
        DataType::kInt8, DataType::kUint8}) {
    if (name == DataTypeName(type) && (is_activation || !IsInteger(type))) {
      return type;
    }
  }
  cursor.Fail(Quote(name) +
              (is_activation
                   ? " is not float32, bipolar, unipolar, int8 or uint8"
                   : " is not float32, bipolar or unipolar"));
  return DataType::kFloat32;
}

Layout ReadLayout(const Cursor& cursor) {
  const std::string name = cursor.String();
  if (name == "NHWC") return Layout::kNHWC;
  if (name == "NCHW") return Layout::kNCHW;
  cursor.Fail(Quote(name) + " is neither NHWC nor NCHW");
  return Layout::kNHWC;
}

// Dimensions from `first` on must be numbers.
void ReadDims(const Cursor& cursor, size_t first, Shape* shape) {
  const size_t rank = cursor.Size();
  if (rank < first + 1 || rank > kMostDims) {
    cursor.Fail("must have " + std::to_string(first + 1) + " to " +
                std::to_string(kMostDims) + " dimensions, not " +
                std::to_string(rank));
    return;
  }
  for (size_t i = first; i < rank; ++i) {
    shape->push_back(cursor.At(i).Int());
    if (shape->back() < 1) cursor.At(i).Fail("must be at least 1");
  }
}

TensorInfo ReadInfo(const Cursor& cursor, bool has_batch) {
  TensorInfo info;
  info.type = ReadType(cursor["type"], /*is_activation=*/has_batch);
  const Cursor shape = cursor["shape"];
  if (has_batch && shape.Size() > 0) {
    const auto* batch = shape.At(0).value().As<std::string>();
    if (batch == nullptr || *batch != "batch") {
      shape.At(0).Fail("must be \"batch\"");
    }
    info.shape.push_back(kBatch);
  }
  ReadDims(shape, has_batch ? 1 : 0, &info.shape);
  if (cursor.ok()) {
    if (auto bytes = ByteCount(info); !bytes.ok()) {
      shape.Fail(bytes.status().message());
    }
  }
  return info;
}

Preprocess ReadPreprocess(const Cursor& cursor) {
  Preprocess preprocess;
  cursor.CheckKeys({}, {"scale", "mean", "std"});
  if (cursor.Has("scale")) preprocess.scale = cursor["scale"].Float();
  if (cursor.Has("mean")) preprocess.mean = cursor["mean"].Floats();
  if (cursor.Has("std")) preprocess.std = cursor["std"].Floats();
  return preprocess;
}

GraphInput ReadInput(const Cursor& cursor) {
  GraphInput input;
  cursor.CheckKeys({"name", "type", "shape"}, {"layout", "preprocess"});
  if (!cursor.ok()) return input;
  input.name = ReadName(cursor["name"]);
  input.info = ReadInfo(cursor, /*has_batch=*/true);
  if (cursor.Has("layout")) input.layout = ReadLayout(cursor["layout"]);
  if (cursor.Has("preprocess")) {
    input.preprocess = ReadPreprocess(cursor["preprocess"]);
  }
  return input;
}

GraphOutput ReadOutput(const Cursor& cursor) {
  GraphOutput output;
  cursor.CheckKeys({"name"}, {"layout"});
  if (!cursor.ok()) return output;
  output.name = ReadName(cursor["name"]);
  if (cursor.Has("layout")) output.layout = ReadLayout(cursor["layout"]);
  return output;
}

bool IsInfinity(const json::Value& value) {
  const auto* text = value.As<std::string>();
  return text != nullptr && (*text == "inf" || *text == "-inf");
}

// What stands here decides the type; a float may also be written as an integer,
// which the op's definition then converts.
Attribute ReadAttribute(const Cursor& cursor) {
  const json::Value& value = cursor.value();
  if (value.As<int64_t>() != nullptr) return cursor.Int();
  if (value.As<float>() != nullptr || IsInfinity(value)) return cursor.Float();
  if (value.As<std::string>() != nullptr) return ReadText(cursor);
  if (const auto* items = value.As<json::Value::Array>()) {
    for (const json::Value& item : *items) {
      if (item.As<int64_t>() == nullptr) return cursor.Floats();
    }
    return cursor.Ints();
  }
  cursor.Fail(std::string("must be a number, a string or an array, not ") +
              value.KindName());
  return int64_t{0};
}

std::map<std::string, Attribute> ReadTraining(const Cursor& cursor) {
  std::map<std::string, Attribute> training;
  for (const auto& [name, value] : cursor.Members()) {
    if (const std::string problem = NameProblem(name); !problem.empty()) {
      value.Fail("the name " + problem);
    }
    training[name] = ReadAttribute(value);
  }
  return training;
}

Node ReadNode(const Cursor& unnamed) {
  Node node;
  Cursor cursor = unnamed;
  // First, so that all other messages about the node can name it.
  if (unnamed.Has("name")) {
    node.name = ReadName(unnamed["name"]);
    if (!unnamed.ok()) return node;
    cursor = unnamed.WithOwner("node " + Quote(node.name));
  }
  cursor.CheckKeys({"name", "op", "inputs", "outputs"},
                   {"constants", "attributes", "training"});
  if (!cursor.ok()) return node;
  node.op = ReadName(cursor["op"]);
  node.inputs = ReadNames(cursor["inputs"]);
  node.outputs = ReadNames(cursor["outputs"]);
  if (cursor.Has("constants")) {
    for (const auto& [role, name] : cursor["constants"].Members()) {
      node.constants[role] = ReadName(name);
    }
  }
  if (cursor.Has("attributes")) {
    for (const auto& [name, value] : cursor["attributes"].Members()) {
      node.attributes[name] = ReadAttribute(value);
    }
  }
  if (cursor.Has("training")) node.training = ReadTraining(cursor["training"]);
  return node;
}

// Inline bits: -1 or 1 (bipolar), 0 or 1 (unipolar), row by row.
std::vector<uint64_t> ReadBits(const Cursor& data, const TensorInfo& info) {
  const int64_t smaller = info.type == DataType::kBipolar ? -1 : 0;
  const auto row_bits = static_cast<size_t>(info.shape.back());
  const auto row_words = static_cast<size_t>(WordsFor(info.shape.back()));
  const std::vector<int64_t> values = data.Ints();
  std::vector<uint64_t> words(values.size() / row_bits * row_words, 0);
  for (size_t i = 0; i < values.size() && data.ok(); ++i) {
    if (values[i] != smaller && values[i] != 1) {
      data.At(i).Fail(std::to_string(values[i]) + " is not a " +
                      DataTypeName(info.type) + " value");
    } else if (values[i] == 1) {
      const size_t bit = i % row_bits;
      words[i / row_bits * row_words + bit / kWordBits] |= uint64_t{1}
                                                           << (bit % kWordBits);
    }
  }
  return words;
}

Constant ReadInlineConstant(const Cursor& data, const TensorInfo& info) {
  auto count = ElementCount(info.shape);
  if (data.ok() && data.Size() != static_cast<uint64_t>(*count)) {
    data.Fail("has " + std::to_string(data.Size()) + " values, but the shape " +
              ShapeText(info.shape) + " needs " + std::to_string(*count));
  }
  if (!data.ok()) return Constant();
  if (info.type != DataType::kFloat32) {
    return MakeBits(info.type, info.shape, ReadBits(data, info));
  }
  return MakeFloats(info.shape, data.Floats());
}

// Gets the weights of which the JSON says `name`.
using WeightsOpener =
    std::function<Result<SafetensorsFile>(const std::string& name)>;

// A model file while it is read.
class ModelReader {
 public:
  ModelReader(std::string path, std::string_view text, Weights weights,
              WeightsOpener open_weights)
      : path_(std::move(path)),
        document_(path_, text),
        weights_needed_(weights == Weights::kRequired),
        open_weights_(std::move(open_weights)) {}

  Result<ReadModel> Read() {
    const Cursor root = document_.root();
    CheckVersion(root);
    root.CheckKeys(
        {"format", "version", "inputs", "outputs", "nodes"},
        {"name", "producer", "labels", "weights", "weights_hash", "constants"});
    if (!document_.ok()) return document_.status();

    if (root.Has("name")) graph_.name = ReadText(root["name"]);
    if (root.Has("producer")) graph_.producer = ReadText(root["producer"]);
    for (const Cursor& input : root["inputs"].Items()) {
      graph_.inputs.push_back(ReadInput(input));
    }
    for (const Cursor& output : root["outputs"].Items()) {
      graph_.outputs.push_back(ReadOutput(output));
    }
    if (root.Has("labels")) {
      for (const Cursor& label : root["labels"].Items()) {
        graph_.labels.push_back(ReadText(label));
      }
    }
    if (const size_t count = root["nodes"].Size(); count > kMaxNodes) {
      root["nodes"].Fail(NodeCountProblem(count));
    }
    for (const Cursor& node : root["nodes"].Items()) {
      graph_.nodes.push_back(ReadNode(node));
    }
    if (!document_.ok()) return document_.status();
    if (Status s = OpenWeights(root); !s.ok()) return s;
    if (root.Has("constants")) ReadConstants(root["constants"]);
    CheckNothingLeft(root);
    if (!document_.ok()) return document_.status();

    auto checked = CheckGraph(graph_);
    if (!checked.ok()) {
      return Status(checked.status().code(),
                    path_ + ": " + checked.status().message());
    }
    auto tensors = std::move(checked->tensors);
    return ReadModel{std::move(graph_), std::move(tensors)};
  }

 private:
  // Before all else: what is of another version has other keys.
  void CheckVersion(const Cursor& root) {
    if (!document_.ok()) return;
    const std::string format = root["format"].String();
    if (!document_.ok()) return;
    if (format != kFormatName) {
      root["format"].Fail(Quote(format) + " is not " + Quote(kFormatName));
    }
    const int64_t version = root["version"].Int();
    if (document_.ok() && version != kFormatVersion) {
      root["version"].Fail("version " + std::to_string(version) +
                           " is unknown to this bqengine, which reads " +
                           std::to_string(kFormatVersion));
    }
  }

  Status OpenWeights(const Cursor& root) {
    if (!root.Has("weights")) {
      if (root.Has("weights_hash")) {
        root["weights_hash"].Fail("stands here without \"weights\"");
      }
      return document_.status();
    }
    weights_name_ = ReadName(root["weights"]);
    if (weights_name_.find_first_of("/\\") != std::string::npos ||
        weights_name_ == "." || weights_name_ == "..") {
      root["weights"].Fail(Quote(weights_name_) +
                           " is not the name of a file in the same folder");
    }
    if (!document_.ok()) return document_.status();
    auto file = open_weights_(weights_name_);
    if (!file.ok()) return file.status();
    weights_ = *std::move(file);
    if (root.Has("weights_hash")) CheckHash(root["weights_hash"]);
    return document_.status();
  }

  // Finds a weights file that belongs to another model.json.
  void CheckHash(const Cursor& cursor) {
    const std::string wanted = cursor.String();
    const std::string found = kHashPrefix + weights_->FingerprintText();
    if (wanted != found) {
      cursor.Fail(weights_name_ + " is not the file that this model was " +
                  "written with: its hash is " + found);
    }
  }

  void ReadConstants(const Cursor& constants) {
    std::map<std::string, const Node*> users;
    for (const Node& node : graph_.nodes) {
      for (const auto& [role, name] : node.constants)
        users.emplace(name, &node);
    }
    for (const auto& [name, cursor] : constants.Members()) {
      if (const std::string problem = ConstantNameProblem(name);
          !problem.empty()) {
        cursor.Fail("the name " + problem);
        return;
      }
      const auto user = users.find(name);
      graph_.constants[name] = ReadConstant(
          name, user == users.end()
                    ? cursor
                    : cursor.WithOwner("node " + Quote(user->second->name)));
      if (!document_.ok()) return;
    }
  }

  Constant ReadConstant(const std::string& name, const Cursor& cursor) {
    cursor.CheckKeys({"type", "shape"}, {"data"});
    if (!cursor.ok()) return Constant();
    const TensorInfo info = ReadInfo(cursor, /*has_batch=*/false);
    if (!cursor.ok()) return Constant();
    if (cursor.Has("data")) return ReadInlineConstant(cursor["data"], info);
    if (!weights_.has_value()) {
      Constant constant = Constant::Declare(info);
      if (weights_needed_) cursor.Fail(DataProblem(constant));
      return constant;
    }
    return ReadStoredConstant(name, info, cursor);
  }

  Constant ReadStoredConstant(const std::string& name, const TensorInfo& info,
                              const Cursor& cursor) {
    const auto found = weights_->tensors().find(name);
    if (found == weights_->tensors().end()) {
      cursor.Fail("has no \"data\", and is not in " + weights_name_);
      return Constant();
    }
    const SafetensorsFile::Tensor& tensor = found->second;
    if (tensor.type != StoredType(info.type)) {
      cursor["type"].Fail(std::string(DataTypeName(info.type)) +
                          " is stored as " + StoredType(info.type) +
                          ", but the tensor in " + weights_name_ + " is " +
                          tensor.type);
    }
    if (const Shape wanted = StoredShape(info); tensor.shape != wanted) {
      cursor["shape"].Fail("is stored as " + ShapeText(wanted) +
                           ", but the tensor in " + weights_name_ + " is " +
                           ShapeText(tensor.shape));
    }
    if (!cursor.ok()) return Constant();
    Constant constant = weights_->MakeConstant(name, info);
    if (const std::string problem = DataProblem(constant); !problem.empty()) {
      cursor.Fail(problem + " in " + weights_name_);
    }
    stored_.insert(name);
    return constant;
  }

  void CheckNothingLeft(const Cursor& root) {
    if (!document_.ok() || !weights_.has_value()) return;
    for (const auto& [name, tensor] : weights_->tensors()) {
      if (stored_.contains(name)) continue;
      if (graph_.constants.contains(name)) {
        root["constants"][name]["data"].Fail("stands here and in " +
                                             weights_name_);
      } else {
        root["weights"].Fail(weights_name_ + " has a tensor " + Quote(name) +
                             " that is not among the constants");
      }
      return;
    }
  }

  std::string path_;
  json::Document document_;
  bool weights_needed_;
  WeightsOpener open_weights_;
  Graph graph_;
  std::string weights_name_;
  std::optional<SafetensorsFile> weights_;
  std::set<std::string> stored_;  // names of constants taken from weights_
};

// Somebody's ONNX file, most likely. One that starts as an object does is left
// to the parser, which knows the place of what is wrong.
bool IsBinary(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  constexpr size_t kEnough = 64;
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos || text[first] == '{') return false;
  const std::string_view start = text.substr(0, kEnough);
  return std::any_of(start.begin(), start.end(), [kSpace](char c) {
    return static_cast<unsigned char>(c) < 0x20 &&
           kSpace.find(c) == std::string_view::npos;
  });
}

Status CheckJsonSize(const std::string& name, uint64_t bytes) {
  if (bytes == 0) return Status(StatusCode::kInvalidModel, name + ": is empty");
  if (bytes <= kMaxJsonBytes) return Status();
  return Status(StatusCode::kInvalidModel,
                name + ": has " + std::to_string(bytes) +
                    " bytes, more than the " + std::to_string(kMaxJsonBytes) +
                    " that a model's JSON may have");
}

Status CheckWeightsSize(const std::string& name, uint64_t bytes,
                        const ModelOptions& options) {
  if (bytes == 0) return Status(StatusCode::kInvalidModel, name + ": is empty");
  if (bytes <= options.max_weight_bytes) return Status();
  return LimitExceeded(
      name + ": the weights take " + std::to_string(bytes) + " bytes",
      "max_weight_bytes", options.max_weight_bytes);
}

Result<SafetensorsFile> OpenWeightsFile(const std::string& path,
                                        const ModelOptions& options) {
  const auto accept = [&](uint64_t bytes) {
    return CheckWeightsSize(path, bytes, options);
  };
  auto contents = options.map_weights ? files::Contents::Map(path, accept)
                                      : files::Contents::Read(path, accept);
  if (!contents.ok()) return contents.status();
  return SafetensorsFile::Parse(path, *std::move(contents));
}

// Read, and not larger than allowed.
Result<ReadModel> ReadLimited(ModelReader reader, const std::string& name,
                              const ModelOptions& options) {
  auto model = reader.Read();
  if (!model.ok()) return model;
  if (Status s = CheckLimits(model->graph, model->tensors, options); !s.ok()) {
    return Status(s.code(), name + ": " + s.message());
  }
  return model;
}

}  // namespace

Result<ReadModel> ReadModelFile(const std::string& path, Weights weights,
                                const ModelOptions& options) {
  auto json = files::Contents::Read(
      path, [&path](uint64_t bytes) { return CheckJsonSize(path, bytes); });
  if (!json.ok()) return json.status();
  if (IsBinary((*json)->text())) {
    return Status(StatusCode::kInvalidModel,
                  path +
                      ": is a binary file, not the JSON of a model; an "
                      "ONNX file needs converting with bq-convert first");
  }
  const auto open_weights = [&](const std::string& name) {
    const auto folder = std::filesystem::path(path).parent_path();
    return OpenWeightsFile((folder / name).string(), options);
  };
  return ReadLimited(ModelReader(path, (*json)->text(), weights, open_weights),
                     path, options);
}

Result<ReadModel> ReadModelMemory(std::string_view json,
                                  std::span<const std::byte> weights,
                                  const ModelOptions& options) {
  const std::string path = "model in memory";
  if (Status s = CheckJsonSize(path, json.size()); !s.ok()) return s;
  bool is_named = false;
  const auto open_weights =
      [&](const std::string& name) -> Result<SafetensorsFile> {
    is_named = true;
    Status s = CheckWeightsSize(name + " in memory", weights.size(), options);
    if (!s.ok()) return s;
    return SafetensorsFile::Parse(name + " in memory",
                                  files::Contents::Copy(weights));
  };
  auto model = ReadLimited(
      ModelReader(path, json, Weights::kRequired, open_weights), path, options);
  if (model.ok() && !is_named && !weights.empty()) {
    return Status(StatusCode::kInvalidModel,
                  path + ": /weights: is not there, but weights are given");
  }
  return model;
}

Result<Graph> ReadGraph(const std::string& path, const ModelOptions& options) {
  return AtBorder(path, [&]() -> Result<Graph> {
    auto model = ReadModelFile(path, Weights::kOptional, options);
    if (!model.ok()) return model.status();
    return std::move(model->graph);
  });
}

}  // namespace bqengine
