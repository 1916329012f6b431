#include "format/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "format/fingerprint.h"
#include "format/json.h"
#include "format/rules.h"
#include "graph/graph_analysis.h"
#include "graph/make_constant.h"

namespace bqengine {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the data of weights files is used as it stands");

constexpr size_t kLengthBytes = sizeof(uint64_t);
constexpr size_t kDataAlignment = 64;
constexpr size_t kTensorAlignment = 8;  // of Constant

size_t ElementBytes(std::string_view type) { return type == "F32" ? 4 : 8; }

std::string Plural(size_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// A tensor's place in the data, for finding gaps and overlaps.
struct Extent {
  size_t begin, end;
  std::string name;
};

// One entry of the header. `data` is all that follows the header.
SafetensorsFile::Tensor ReadTensor(const json::Cursor& entry,
                                   std::span<const std::byte> data,
                                   Extent* extent) {
  SafetensorsFile::Tensor tensor;
  entry.CheckKeys({"dtype", "shape", "data_offsets"}, {});
  if (!entry.ok()) return tensor;
  tensor.type = entry["dtype"].String();
  if (tensor.type != "F32" && tensor.type != "U64") {
    entry["dtype"].Fail(json::Quote(tensor.type) +
                        " is neither F32 nor U64, which models use");
  }
  tensor.shape = entry["shape"].Ints();
  if (tensor.shape.empty() || tensor.shape.size() > kMostDims) {
    entry["shape"].Fail("must have 1 to 8 dimensions, not " +
                        std::to_string(tensor.shape.size()));
  }
  int64_t bytes = static_cast<int64_t>(ElementBytes(tensor.type));
  for (size_t i = 0; i < tensor.shape.size() && entry.ok(); ++i) {
    if (tensor.shape[i] < 1) {
      entry["shape"].At(i).Fail("must be at least 1");
    } else if (__builtin_mul_overflow(bytes, tensor.shape[i], &bytes)) {
      entry["shape"].Fail("the tensor has more than 2^63 bytes");
    }
  }
  const std::vector<int64_t> offsets = entry["data_offsets"].Ints();
  if (offsets.size() != 2) entry["data_offsets"].Fail("must have 2 entries");
  if (!entry.ok()) return tensor;
  if (offsets[0] < 0 || offsets[1] < offsets[0] ||
      static_cast<uint64_t>(offsets[1]) > data.size()) {
    entry["data_offsets"].Fail(
        "[" + std::to_string(offsets[0]) + ", " + std::to_string(offsets[1]) +
        "] is not within the " + Plural(data.size(), "byte") + " of data");
  } else if (offsets[1] - offsets[0] != bytes) {
    entry["data_offsets"].Fail(
        "spans " + std::to_string(offsets[1] - offsets[0]) +
        " bytes, but type and shape need " + std::to_string(bytes));
  }
  if (!entry.ok()) return tensor;
  extent->begin = static_cast<size_t>(offsets[0]);
  extent->end = static_cast<size_t>(offsets[1]);
  tensor.data = data.subspan(extent->begin, extent->end - extent->begin);
  return tensor;
}

void CheckMetadata(const json::Cursor& metadata) {
  for (const auto& [key, value] : metadata.Members()) value.String();
}

// The format demands that tensors fill the data without gap or overlap.
void CheckExtents(std::vector<Extent> extents, size_t data_bytes,
                  const json::Cursor& header) {
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  size_t filled = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != filled) {
      const json::Cursor place = header[extent.name]["data_offsets"];
      place.Fail(extent.begin < filled ? "overlaps another tensor"
                                       : Plural(extent.begin - filled, "byte") +
                                             " before it are left over");
      return;
    }
    filled = extent.end;
  }
  if (filled != data_bytes) {
    header.Fail(Plural(data_bytes - filled, "byte") +
                " left over behind the last tensor");
  }
}

template <typename T>
std::vector<T> Copy(std::span<const std::byte> data) {
  std::vector<T> values(data.size() / sizeof(T));
  std::memcpy(values.data(), data.data(), data.size());
  return values;
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::Parse(
    const std::string& name, std::shared_ptr<const files::Contents> contents) {
  const auto fail = [&name](const std::string& what) {
    return Status(StatusCode::kInvalidModel, name + ": /: " + what);
  };
  const std::span<const std::byte> bytes = contents->bytes();
  SafetensorsFile file(std::move(contents));
  if (bytes.size() < kLengthBytes) {
    return fail("the file has " + Plural(bytes.size(), "byte") +
                ", but its header's length alone takes 8");
  }
  uint64_t header_bytes;
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  if (header_bytes > bytes.size() - kLengthBytes) {
    return fail("the header shall have " + std::to_string(header_bytes) +
                " bytes, but the file has only " +
                Plural(bytes.size() - kLengthBytes, "more byte"));
  }
  if (header_bytes > kMaxJsonBytes) {
    return fail("the header has " + std::to_string(header_bytes) +
                " bytes, more than the allowed " +
                std::to_string(kMaxJsonBytes));
  }
  const auto* text = reinterpret_cast<const char*>(bytes.data()) + kLengthBytes;
  if (header_bytes == 0 || *text != '{') {
    return fail("the header does not start with '{'; not a safetensors file");
  }

  json::Document document(name, std::string_view(text, header_bytes));
  if (!document.ok()) return document.status();
  const json::Cursor header = document.root();
  const auto data = bytes.subspan(kLengthBytes + header_bytes);
  std::vector<Extent> extents;
  for (const auto& [tensor_name, entry] : header.Members()) {
    if (tensor_name == kMetadataKey) {
      CheckMetadata(entry);
      continue;
    }
    Extent extent{0, 0, tensor_name};
    Tensor tensor = ReadTensor(entry, data, &extent);
    if (!document.ok()) return document.status();
    file.tensors_.emplace(tensor_name, std::move(tensor));
    extents.push_back(std::move(extent));
  }
  CheckExtents(std::move(extents), data.size(), header);
  if (!document.ok()) return document.status();
  return file;
}

Constant SafetensorsFile::MakeConstant(const std::string& name,
                                       const TensorInfo& info) const {
  const std::span<const std::byte> data = tensors_.at(name).data;
  if (reinterpret_cast<uintptr_t>(data.data()) % kTensorAlignment == 0) {
    return Constant::View(info, data.data(), data.size(), contents_);
  }
  return info.type == DataType::kFloat32
             ? MakeFloats(info.shape, Copy<float>(data))
             : MakeBits(info.type, info.shape, Copy<uint64_t>(data));
}

std::string SafetensorsFile::FingerprintText() const {
  Fingerprint fingerprint;
  fingerprint.Add(contents_->bytes());
  return fingerprint.Text();
}

Result<std::string> WriteSafetensors(
    const std::map<std::string, Constant>& constants,
    files::TemporaryFile* file) {
  using Entry = std::pair<const std::string, Constant>;
  std::vector<const Entry*> entries;
  for (const Entry& entry : constants) entries.push_back(&entry);
  const auto group = [](const Entry* entry) {
    if (entry->second.type() != DataType::kFloat32) return 0;
    return entry->second.bytes() % kTensorAlignment == 0 ? 1 : 2;
  };
  std::stable_sort(
      entries.begin(), entries.end(),
      [&group](const Entry* a, const Entry* b) { return group(a) < group(b); });

  json::Value header = json::Value::MakeObject();
  json::Value metadata = json::Value::MakeObject();
  metadata.Add("format", "bqengine");
  header.Add(kMetadataKey, std::move(metadata));
  int64_t end = 0;
  for (const Entry* entry : entries) {
    const TensorInfo& info = entry->second.info();
    json::Value shape = json::Value::MakeArray();
    for (int64_t dim : StoredShape(info)) shape.Append(dim);
    json::Value offsets = json::Value::MakeArray();
    offsets.Append(end);
    end += static_cast<int64_t>(entry->second.bytes());
    offsets.Append(end);
    json::Value tensor = json::Value::MakeObject();
    tensor.Add("dtype", StoredType(info.type));
    tensor.Add("shape", std::move(shape));
    tensor.Add("data_offsets", std::move(offsets));
    header.Add(entry->first, std::move(tensor));
  }

  std::string text = json::Compact(header);
  const size_t used = (kLengthBytes + text.size()) % kDataAlignment;
  if (used != 0) text.append(kDataAlignment - used, ' ');
  const uint64_t length = text.size();
  Fingerprint fingerprint;
  const auto write = [&](std::span<const std::byte> bytes) {
    fingerprint.Add(bytes);
    return file->Write(bytes);
  };
  const std::span<const uint64_t> length_span(&length, 1);
  if (Status s = write(std::as_bytes(length_span)); !s.ok()) return s;
  if (Status s = write(std::as_bytes(std::span(text))); !s.ok()) return s;
  for (const Entry* entry : entries) {
    const Constant& constant = entry->second;
    const std::span<const std::byte> data(
        static_cast<const std::byte*>(constant.data()), constant.bytes());
    if (Status s = write(data); !s.ok()) return s;
  }
  return fingerprint.Text();
}

}  // namespace bqengine
