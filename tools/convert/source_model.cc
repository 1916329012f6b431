#include "source_model.h"

#include <fmt/format.h>

namespace bqengine::convert {
namespace {

template <typename T>
const T* Find(const SourceNode& node, const std::string& attribute) {
  const auto it = node.attributes.find(attribute);
  if (it == node.attributes.end()) return nullptr;
  const T* value = std::get_if<T>(&it->second);
  if (value == nullptr) {
    throw ConvertError(
        fmt::format("attribute '{}' has the wrong type", attribute));
  }
  return value;
}

}  // namespace

bool SourceNode::Has(const std::string& attribute) const {
  return attributes.count(attribute) > 0;
}

int64_t SourceNode::Int(const std::string& attribute, int64_t missing) const {
  const auto* value = Find<int64_t>(*this, attribute);
  return value == nullptr ? missing : *value;
}

float SourceNode::Float(const std::string& attribute, float missing) const {
  const auto* value = Find<float>(*this, attribute);
  return value == nullptr ? missing : *value;
}

std::string SourceNode::String(const std::string& attribute,
                               const std::string& missing) const {
  const auto* value = Find<std::string>(*this, attribute);
  return value == nullptr ? missing : *value;
}

std::vector<int64_t> SourceNode::Ints(
    const std::string& attribute, const std::vector<int64_t>& missing) const {
  const auto* value = Find<std::vector<int64_t>>(*this, attribute);
  return value == nullptr ? missing : *value;
}

}  // namespace bqengine::convert
