#include "common/cifar10.h"

#include "common/file.h"

namespace bqengine::tools {

Result<Cifar10> ReadCifar10(const std::string& path) {
  constexpr size_t kSide = 32, kPlane = kSide * kSide, kChannels = 3;
  constexpr size_t kRecord = 1 + kChannels * kPlane;

  const Result<std::vector<uint8_t>> bytes = ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  if (bytes->empty()) {
    return FileError(StatusCode::kInvalidArgument, path, "is empty");
  }
  if (bytes->size() % kRecord != 0) {
    return FileError(StatusCode::kInvalidArgument, path,
                     "size of " + std::to_string(bytes->size()) +
                         " bytes is no multiple of a CIFAR-10 record's " +
                         std::to_string(kRecord));
  }

  const size_t count = bytes->size() / kRecord;
  Cifar10 data;
  data.images.count = static_cast<int64_t>(count);
  data.images.height = data.images.width = kSide;
  data.images.channels = kChannels;
  data.images.pixels.resize(count * kPlane * kChannels);
  data.labels.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* record = bytes->data() + i * kRecord;
    if (record[0] > 9) {
      return FileError(StatusCode::kInvalidArgument, path,
                       "record " + std::to_string(i) + " has label " +
                           std::to_string(record[0]) + ", CIFAR-10 has 0 to 9");
    }
    data.labels[i] = record[0];
    uint8_t* pixels = data.images.pixels.data() + i * kPlane * kChannels;
    for (size_t c = 0; c < kChannels; ++c) {
      const uint8_t* plane = record + 1 + c * kPlane;
      for (size_t p = 0; p < kPlane; ++p) pixels[p * kChannels + c] = plane[p];
    }
  }
  return data;
}

}  // namespace bqengine::tools
