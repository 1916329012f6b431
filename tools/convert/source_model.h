// An ONNX file as the converter sees it, free of protobuf types.
#ifndef BQENGINE_TOOLS_CONVERT_SOURCE_MODEL_H_
#define BQENGINE_TOOLS_CONVERT_SOURCE_MODEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "array.h"
#include "bqengine/status.h"

namespace bqengine::convert {

using SourceAttribute =
    std::variant<int64_t, float, std::string, std::vector<int64_t>,
                 std::vector<float>, Array>;

struct SourceNode {
  std::string name;  // the node's own, or its first output's if it has none
  std::string op;
  std::string domain;                // "" for ONNX itself
  std::vector<std::string> inputs;   // "" where an optional one is left out
  std::vector<std::string> outputs;  // the same
  std::map<std::string, SourceAttribute> attributes;

  bool Has(const std::string& attribute) const;
  // The attribute, or the default if it is absent. Throw ConvertError if its
  // type is another.
  int64_t Int(const std::string& attribute, int64_t missing) const;
  float Float(const std::string& attribute, float missing) const;
  std::string String(const std::string& attribute,
                     const std::string& missing) const;
  std::vector<int64_t> Ints(const std::string& attribute,
                            const std::vector<int64_t>& missing) const;
};

struct SourceInput {
  std::string name;
  // The batch (dimension 0) is kBatch whatever the file says: exporters often
  // leave the batch of the example there.
  Shape shape;
  std::optional<int64_t> declared_batch;
};

struct SourceModel {
  std::string name;
  std::string producer;
  int64_t opset = 0;
  int64_t file_bytes = 0;
  std::vector<SourceInput> inputs;  // without those that are constants
  std::vector<std::string> outputs;
  std::vector<SourceNode> nodes;  // producers before consumers
  std::map<std::string, Array> constants;
  // What the file says about the shapes of other tensors: kUnknownDim where it
  // says nothing.
  std::map<std::string, Shape> declared_shapes;
};
inline constexpr int64_t kUnknownDim = -2;

// Reads and checks an ONNX file. Every failure is the file's fault; the message
// names the file.
Result<SourceModel> ReadOnnx(const std::string& path);

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_SOURCE_MODEL_H_
