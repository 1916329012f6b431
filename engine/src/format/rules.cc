#include "format/rules.h"

#include <algorithm>

#include "format/json.h"
#include "graph/packed.h"

namespace bqengine {

std::string TextProblem(const std::string& text) {
  if (text.size() > kMaxNameBytes) {
    return "has " + std::to_string(text.size()) + " bytes, more than " +
           std::to_string(kMaxNameBytes);
  }
  if (std::any_of(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
      })) {
    return "has a control character";
  }
  return json::IsValidUtf8(text) ? "" : "is not valid UTF-8";
}

std::string NameProblem(const std::string& name) {
  return name.empty() ? "is empty" : TextProblem(name);
}

std::string ConstantNameProblem(const std::string& name) {
  return name == kMetadataKey ? "is reserved by safetensors"
                              : NameProblem(name);
}

std::string NodeCountProblem(size_t count) {
  return "has " + std::to_string(count) + " nodes, more than the allowed " +
         std::to_string(kMaxNodes);
}

Shape StoredShape(const TensorInfo& info) {
  Shape shape = info.shape;
  if (info.type != DataType::kFloat32 && !shape.empty()) {
    shape.back() = WordsFor(shape.back());
  }
  return shape;
}

const char* StoredType(DataType type) {
  return type == DataType::kFloat32 ? "F32" : "U64";
}

}  // namespace bqengine
