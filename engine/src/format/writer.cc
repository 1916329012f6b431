// WriteGraph: a Graph to model.json and, if need be, its weights file. It
// refuses what ReadGraph would refuse, before it touches the disk.
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "border.h"
#include "bqengine/model.h"
#include "files/replace_files.h"
#include "format/json.h"
#include "format/rules.h"
#include "format/safetensors.h"
#include "graph/graph_analysis.h"
#include "graph/packed.h"

namespace bqengine {
namespace {

using json::Quote;
using json::Value;

// ------------------------------------------------------------------- checking

// Finds the first problem of a graph that a file could not express.
class Checker {
 public:
  // "<place>: <what>"; empty if there is none.
  std::string Check(const Graph& graph) {
    Text("/name", graph.name);
    Text("/producer", graph.producer);
    for (const std::string& label : graph.labels) Text("/labels", label);
    for (const GraphInput& input : graph.inputs) Name("/inputs", input.name);
    for (const GraphOutput& output : graph.outputs) {
      Name("/outputs", output.name);
    }
    if (const size_t count = graph.nodes.size(); count > kMaxNodes) {
      Keep("/nodes", NodeCountProblem(count));
      return std::move(problem_);
    }
    for (const Node& node : graph.nodes) CheckNode(node);
    for (const auto& [name, constant] : graph.constants) {
      const std::string place = "/constants/" + name;
      Keep(place, Labelled("the name ", ConstantNameProblem(name)));
    }
    return std::move(problem_);
  }

 private:
  void Keep(const std::string& place, const std::string& problem) {
    if (problem_.empty() && !problem.empty()) {
      problem_ = place + ": " + problem;
    }
  }
  void Text(const std::string& place, const std::string& text) {
    Keep(place, Labelled("the text ", TextProblem(text)));
  }
  void Name(const std::string& place, const std::string& name) {
    Keep(place, Labelled("the name ", NameProblem(name)));
  }
  static std::string Labelled(const char* label, const std::string& problem) {
    return problem.empty() ? "" : label + problem;
  }

  void CheckNode(const Node& node) {
    const std::string place = "node " + Quote(node.name);
    Name(place, node.name);
    Name(place, node.op);
    for (const std::string& name : node.inputs) Name(place, name);
    for (const std::string& name : node.outputs) Name(place, name);
    for (const auto& [name, value] : node.attributes) {
      CheckValue(place + ", attribute " + Quote(name), value);
    }
    for (const auto& [name, value] : node.training) {
      Name(place + ", training", name);
      CheckValue(place + ", training " + Quote(name), value);
    }
  }

  void CheckValue(const std::string& place, const Attribute& value) {
    if (const auto* text = std::get_if<std::string>(&value)) {
      Text(place, *text);
      if (*text == "inf" || *text == "-inf") {
        Keep(place, "the text stands for a number in model files");
      }
    } else if (const auto* number = std::get_if<float>(&value)) {
      if (std::isnan(*number)) Keep(place, "is NaN");
    } else if (const auto* list = std::get_if<std::vector<float>>(&value)) {
      for (float item : *list) {
        if (std::isnan(item)) Keep(place, "has a NaN");
      }
    }
  }

  std::string problem_;
};

// ----------------------------------------------------------------- as a Value

Value FromFloat(float number) {
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  return number;
}

Value FromFloats(std::span<const float> numbers) {
  Value array = Value::MakeArray();
  for (float number : numbers) array.Append(FromFloat(number));
  return array;
}

Value FromInts(const std::vector<int64_t>& numbers) {
  Value array = Value::MakeArray();
  for (int64_t number : numbers) array.Append(number);
  return array;
}

Value FromNames(const std::vector<std::string>& names) {
  Value array = Value::MakeArray();
  for (const std::string& name : names) array.Append(name);
  return array;
}

Value FromShape(const Shape& shape) {
  Value array = Value::MakeArray();
  for (int64_t dim : shape) {
    array.Append(dim == kBatch ? Value("batch") : Value(dim));
  }
  return array;
}

const char* LayoutName(Layout layout) {
  return layout == Layout::kNCHW ? "NCHW" : "NHWC";
}

Value FromInput(const GraphInput& input) {
  Value preprocess = Value::MakeObject();
  preprocess.Add("scale", FromFloat(input.preprocess.scale));
  preprocess.Add("mean", FromFloats(input.preprocess.mean));
  preprocess.Add("std", FromFloats(input.preprocess.std));
  Value object = Value::MakeObject();
  object.Add("name", input.name);
  object.Add("type", DataTypeName(input.info.type));
  object.Add("shape", FromShape(input.info.shape));
  object.Add("layout", LayoutName(input.layout));
  object.Add("preprocess", std::move(preprocess));
  return object;
}

Value FromOutput(const GraphOutput& output) {
  Value object = Value::MakeObject();
  object.Add("name", output.name);
  object.Add("layout", LayoutName(output.layout));
  return object;
}

struct AttributeVisitor {
  Value operator()(int64_t number) const { return number; }
  Value operator()(float number) const { return FromFloat(number); }
  Value operator()(const std::string& text) const { return text; }
  Value operator()(const std::vector<int64_t>& v) const { return FromInts(v); }
  Value operator()(const std::vector<float>& v) const { return FromFloats(v); }
};

Value FromAttributes(const std::map<std::string, Attribute>& attributes) {
  Value object = Value::MakeObject();
  for (const auto& [name, value] : attributes) {
    object.Add(name, std::visit(AttributeVisitor(), value));
  }
  return object;
}

Value FromNode(const Node& node) {
  Value object = Value::MakeObject();
  object.Add("name", node.name);
  object.Add("op", node.op);
  object.Add("inputs", FromNames(node.inputs));
  object.Add("outputs", FromNames(node.outputs));
  if (!node.constants.empty()) {
    Value constants = Value::MakeObject();
    for (const auto& [role, name] : node.constants) constants.Add(role, name);
    object.Add("constants", std::move(constants));
  }
  if (!node.attributes.empty()) {
    object.Add("attributes", FromAttributes(node.attributes));
  }
  if (!node.training.empty()) {
    object.Add("training", FromAttributes(node.training));
  }
  return object;
}

Value FromBits(const Constant& constant) {
  const int64_t smaller = constant.type() == DataType::kBipolar ? -1 : 0;
  const int64_t row_bits = constant.shape().back();
  const int64_t row_words = WordsFor(row_bits);
  const std::span<const uint64_t> words = constant.words();
  Value array = Value::MakeArray();
  for (size_t row = 0; row < words.size(); row += row_words) {
    for (int64_t i = 0; i < row_bits; ++i) {
      const uint64_t word = words[row + i / kWordBits];
      array.Append((word >> (i % kWordBits) & 1) != 0 ? int64_t{1} : smaller);
    }
  }
  return array;
}

Value FromConstant(const Constant& constant, bool is_inline) {
  Value object = Value::MakeObject();
  object.Add("type", DataTypeName(constant.type()));
  object.Add("shape", FromShape(constant.shape()));
  if (is_inline) {
    object.Add("data", constant.type() == DataType::kFloat32
                           ? FromFloats(constant.floats())
                           : FromBits(constant));
  }
  return object;
}

// What the weights file will be; both empty if there is none.
struct WeightsReference {
  std::string name;
  std::string hash;
};

Value FromGraph(const Graph& graph, const WeightsReference& weights,
                const std::map<std::string, Constant>& stored) {
  Value root = Value::MakeObject();
  root.Add("format", kFormatName);
  root.Add("version", kFormatVersion);
  root.Add("name", graph.name);
  root.Add("producer", graph.producer);
  Value inputs = Value::MakeArray();
  for (const GraphInput& input : graph.inputs) inputs.Append(FromInput(input));
  root.Add("inputs", std::move(inputs));
  Value outputs = Value::MakeArray();
  for (const GraphOutput& output : graph.outputs) {
    outputs.Append(FromOutput(output));
  }
  root.Add("outputs", std::move(outputs));
  if (!graph.labels.empty()) root.Add("labels", FromNames(graph.labels));
  if (!weights.name.empty()) {
    root.Add("weights", weights.name);
    root.Add("weights_hash", weights.hash);
  }
  Value constants = Value::MakeObject();
  for (const auto& [name, constant] : graph.constants) {
    constants.Add(name, FromConstant(constant, constant.data() != nullptr &&
                                                   !stored.contains(name)));
  }
  root.Add("constants", std::move(constants));
  Value nodes = Value::MakeArray();
  for (const Node& node : graph.nodes) nodes.Append(FromNode(node));
  root.Add("nodes", std::move(nodes));
  return root;
}

// -------------------------------------------------------------------- writing

// The constants for the weights file: all that are large. None for an
// architecture, even a partly trained one: there, "no data" in the JSON must
// mean that there is no data.
std::map<std::string, Constant> ChooseStored(const Graph& graph) {
  std::map<std::string, Constant> stored;
  for (const auto& [name, constant] : graph.constants) {
    if (constant.data() == nullptr) return {};
    if (*ElementCount(constant.shape()) > kMaxInlineElements) {
      stored[name] = constant;
    }
  }
  return stored;
}

Status Fail(const std::string& path, const std::string& what) {
  return Status(StatusCode::kInvalidModel, path + ": " + what);
}

// Only names with one ending, so that no two models share a weights file.
Result<std::string> WeightsPath(const std::string& path) {
  const std::filesystem::path target(path);
  std::string problem = NameProblem(target.filename().string());
  if (problem.empty() && target.extension() != kJsonExtension) {
    problem = std::string("does not end in ") + kJsonExtension;
  }
  if (!problem.empty()) {
    return Status(StatusCode::kInvalidArgument,
                  path + ": the file's name " + problem);
  }
  const std::string name = target.stem().string() + kWeightsExtension;
  return (target.parent_path() / name).string();
}

Result<files::TemporaryFile> WriteJson(
    const Graph& graph, const WeightsReference& weights,
    const std::map<std::string, Constant>& stored, const std::string& path) {
  const std::string text = json::Pretty(FromGraph(graph, weights, stored));
  if (text.size() > kMaxJsonBytes) {
    return Fail(path, "the JSON would have " + std::to_string(text.size()) +
                          " bytes, more than the allowed " +
                          std::to_string(kMaxJsonBytes));
  }
  auto file = files::TemporaryFile::Create(path);
  if (!file.ok()) return file.status();
  if (Status s = file->Write(std::as_bytes(std::span(text))); !s.ok()) return s;
  if (Status s = file->Finish(); !s.ok()) return s;
  return file;
}

Status WriteFiles(const Graph& graph, const std::string& path) {
  const std::map<std::string, Constant> stored = ChooseStored(graph);
  auto weights_path = WeightsPath(path);
  if (!weights_path.ok()) return weights_path.status();

  WeightsReference reference;
  std::optional<files::TemporaryFile> weights;
  if (!stored.empty()) {
    auto file = files::TemporaryFile::Create(*weights_path);
    if (!file.ok()) return file.status();
    auto fingerprint = WriteSafetensors(stored, &*file);
    if (!fingerprint.ok()) return fingerprint.status();
    if (Status s = file->Finish(); !s.ok()) return s;
    reference.name = std::filesystem::path(*weights_path).filename().string();
    reference.hash = kHashPrefix + *fingerprint;
    weights.emplace(*std::move(file));
  }
  auto json = WriteJson(graph, reference, stored, path);
  if (!json.ok()) return json.status();

  // Should the machine stop between the two renames, the old JSON finds by its
  // hash that the weights are not its own.
  std::vector<files::TemporaryFile*> files;
  if (weights.has_value()) {
    if (weights->target() == json->target()) {
      return Status(StatusCode::kInvalidArgument,
                    path + ": is a link to the place of its weights file");
    }
    files.push_back(&*weights);
  }
  files.push_back(&*json);
  return files::ReplaceFiles(files);
}

}  // namespace

Status WriteGraph(const Graph& graph, const std::string& path) {
  return AtBorder(path, [&]() -> Status {
    if (const std::string problem = Checker().Check(graph); !problem.empty()) {
      return Fail(path, problem);
    }
    if (auto shapes = InferShapes(graph); !shapes.ok()) {
      return Status(shapes.status().code(),
                    path + ": " + shapes.status().message());
    }
    return WriteFiles(graph, path);
  });
}

}  // namespace bqengine
