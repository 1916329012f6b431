#include "train/command/tensor_file.h"

#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <vector>

#include "common/file.h"

namespace bqengine::train {
namespace {

using Json = nlohmann::json;
using torch::Tensor;

constexpr char kTexts[] = "__metadata__";
constexpr uint64_t kMaxHeader = uint64_t{64} << 20;

struct Type {
  const char* name;
  torch::ScalarType type;
};
constexpr Type kTypes[] = {
    {"F32", torch::kFloat32}, {"I64", torch::kInt64}, {"U8", torch::kUInt8}};

size_t Bytes(const Tensor& tensor) {
  return static_cast<size_t>(tensor.numel()) * tensor.element_size();
}

// One entry of the header with its data; nothing if they do not fit.
std::optional<Tensor> MakeTensor(const Json& entry,
                                 std::span<const uint8_t> data) {
  const std::string name = entry.at("dtype").get<std::string>();
  const auto shape = entry.at("shape").get<std::vector<int64_t>>();
  const auto offsets = entry.at("data_offsets").get<std::vector<uint64_t>>();
  if (offsets.size() != 2 || offsets[0] > offsets[1] ||
      offsets[1] > data.size()) {
    return std::nullopt;
  }
  const auto bytes = data.subspan(offsets[0], offsets[1] - offsets[0]);
  for (const Type& type : kTypes) {
    if (type.name != name) continue;
    uint64_t left = bytes.size() / c10::elementSize(type.type);
    // Dimensions of 0 are nothing that a checkpoint has.
    for (const int64_t dimension : shape) {
      if (dimension < 1) return std::nullopt;
      left /= static_cast<uint64_t>(dimension);
    }
    if (shape.size() > 8 || left != 1) return std::nullopt;
    Tensor tensor = torch::empty(shape, type.type);
    if (Bytes(tensor) != bytes.size()) return std::nullopt;
    std::memcpy(tensor.data_ptr(), bytes.data(), bytes.size());
    return tensor;
  }
  return std::nullopt;
}

std::optional<TensorFile> Parse(std::span<const uint8_t> bytes) {
  uint64_t length = 0;
  if (bytes.size() < sizeof(length)) return std::nullopt;
  std::memcpy(&length, bytes.data(), sizeof(length));
  bytes = bytes.subspan(sizeof(length));
  if (length > bytes.size() || length > kMaxHeader) return std::nullopt;
  const Json header = Json::parse(
      bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(length));
  const auto data = bytes.subspan(length);
  TensorFile file;
  uint64_t used = 0;
  for (const auto& [name, entry] : header.items()) {
    if (name == kTexts) {
      file.texts = entry.get<std::map<std::string, std::string>>();
      continue;
    }
    const auto tensor = MakeTensor(entry, data);
    if (!tensor) return std::nullopt;
    used += Bytes(*tensor);
    file.tensors[name] = *tensor;
  }
  // A file that has been cut off, or has something behind it.
  if (used != data.size()) return std::nullopt;
  return file;
}

}  // namespace

Status WriteTensorFile(const std::string& path, const TensorFile& file) {
  Json header = {{kTexts, file.texts}};
  std::vector<Tensor> tensors;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : file.tensors) {
    tensors.push_back(tensor.detach().contiguous());
    const char* type_name = nullptr;
    for (const Type& type : kTypes) {
      if (type.type == tensor.scalar_type()) type_name = type.name;
    }
    TORCH_CHECK(type_name != nullptr, "no type of tensor files: ", name);
    const uint64_t end = offset + Bytes(tensor);
    header[name] = {{"dtype", type_name},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  const std::string text = header.dump();
  const uint64_t length = text.size();
  return tools::WriteFile(path, [&](const tools::ByteSink& sink) {
    if (!sink(&length, sizeof(length)) || !sink(text.data(), text.size())) {
      return false;
    }
    for (const Tensor& tensor : tensors) {
      if (!sink(tensor.data_ptr(), Bytes(tensor))) return false;
    }
    return true;
  });
}

Result<TensorFile> ReadTensorFile(const std::string& path) {
  const auto bytes = tools::ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  try {
    if (auto file = Parse(*bytes)) return *std::move(file);
  } catch (const Json::exception&) {
  }
  return tools::FileError(StatusCode::kInvalidArgument, path,
                          "is no checkpoint of bq-train, or damaged");
}

}  // namespace bqengine::train
