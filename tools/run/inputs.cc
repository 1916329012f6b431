#include "run/inputs.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "bqengine/preprocess.h"
#include "common/file.h"
#include "common/idx.h"
#include "common/npy.h"
#include "common/picture.h"

namespace bqengine::run {
namespace {

using tools::FileError;
using tools::PixelBatch;

enum class FileKind { kNpy, kPicture, kIdx };

Status Invalid(const std::string& path, const std::string& what) {
  return FileError(StatusCode::kInvalidArgument, path, what);
}

// By the first bytes, not by the name. A pipe cannot be looked into without
// losing them; what comes through one is .npy.
Result<FileKind> DetectKind(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status =
      std::filesystem::status(path, error);
  if (std::filesystem::is_fifo(status) ||
      std::filesystem::is_character_file(status)) {
    return FileKind::kNpy;
  }
  const Result<std::vector<uint8_t>> bytes = tools::ReadStart(path, 8);
  if (!bytes.ok()) return bytes.status();
  if (bytes->empty()) return Invalid(path, "is empty");
  const std::string_view start(reinterpret_cast<const char*>(bytes->data()),
                               bytes->size());
  using namespace std::string_view_literals;
  if (start.starts_with("\x93NUMPY"sv)) return FileKind::kNpy;
  if (start.starts_with("\x89PNG"sv) || start.starts_with("\xff\xd8"sv)) {
    return FileKind::kPicture;
  }
  if (start.starts_with("\x1f\x8b"sv) || start.starts_with("\0\0\x08"sv)) {
    return FileKind::kIdx;
  }
  return Invalid(path, "is neither .npy nor PNG, JPEG or idx");
}

// Floats that are all integers of the type, as its bytes.
Result<Values> ToIntegers(const std::vector<float>& values, DataType type,
                          const std::string& path) {
  const float least = type == DataType::kInt8 ? -128 : 0;
  std::vector<uint8_t> bytes;
  bytes.reserve(values.size());
  for (const float value : values) {
    if (!(value >= least && value <= least + 255) ||
        value != std::floor(value)) {
      return Invalid(path, "holds " + std::to_string(value) +
                               ", which is no number of type " +
                               DataTypeName(type));
    }
    bytes.push_back(static_cast<uint8_t>(static_cast<int>(value)));
  }
  return Values(std::move(bytes));
}

// Checks an array against input `i` and brings it into channels-last order.
Result<Values> ReadArray(const Model& model, size_t i, const std::string& path,
                         int64_t* count) {
  Result<tools::NpyArray> array = tools::ReadNpy(path);
  if (!array.ok()) return array.status();
  const GraphInput& input = model.graph().inputs[i];
  const Shape wanted = ShapeInLayout(input.info.shape, input.layout);
  const bool rest_fits =
      array->shape.size() == wanted.size() &&
      std::equal(wanted.begin() + 1, wanted.end(), array->shape.begin() + 1);
  if (!rest_fits || array->shape[0] < 1) {
    return Invalid(path, "has shape " + ShapeText(array->shape) +
                             ", but input '" + input.name + "' takes " +
                             ShapeText(wanted) + " with N >= 1");
  }
  *count = array->shape[0];
  std::vector<float> values(array->values.size());
  const Status status =
      ToChannelsLast(input.info.shape, input.layout, array->values, values);
  if (!status.ok()) return Invalid(path, status.message());
  if (IsInteger(input.info.type)) {
    return ToIntegers(values, input.info.type, path);
  }
  return Values(std::move(values));
}

// Both are of one type.
void Append(const Values& more, Values* values) {
  std::visit(
      [&more](auto& all) {
        const auto& last = std::get<std::decay_t<decltype(all)>>(more);
        all.insert(all.end(), last.begin(), last.end());
      },
      *values);
}

Result<PixelBatch> ReadPixels(const Model& model, const std::string& path,
                              FileKind kind) {
  const Result<int64_t> channels = WantedChannels(model);
  if (!channels.ok()) return Invalid(path, channels.status().message());
  return kind == FileKind::kIdx ? tools::ReadIdxImages(path)
                                : tools::ReadPicture(path, *channels);
}

// Pictures that grow to the size of the model's input, `count` of them in all:
// a small file can be made to take any memory. What does not grow takes what
// its files hold.
Status CheckGrowth(const GraphInput& input, const PixelBatch& pixels,
                   int64_t count, const std::string& name,
                   const tools::Limits& limits) {
  const Shape& shape = input.info.shape;
  if (shape.size() != 4 ||
      (shape[1] <= pixels.height && shape[2] <= pixels.width)) {
    return Status();
  }
  return tools::CheckBuffer(name + ": input '" + input.name + "'", input.info,
                            count, limits);
}

Result<Inputs> ReadPictures(const Model& model,
                            const std::vector<std::string>& paths,
                            const std::vector<FileKind>& kinds,
                            const Note& note, const tools::Limits& limits) {
  Inputs inputs;
  for (size_t i = 0; i < paths.size(); ++i) {
    const Result<PixelBatch> pixels = ReadPixels(model, paths[i], kinds[i]);
    if (!pixels.ok()) return pixels.status();
    if (Status s = CheckGrowth(model.graph().inputs[0], *pixels,
                               inputs.count + pixels->count, paths[i], limits);
        !s.ok()) {
      return s;
    }
    Result<Values> values =
        PixelsToValues(model, *pixels, paths[i], note, limits);
    if (!values.ok()) return values.status();
    if (i == 0) {
      inputs.values.push_back(*std::move(values));
    } else {
      Append(*values, &inputs.values[0]);
    }
    inputs.count += pixels->count;
    for (int64_t k = 0; k < pixels->count; ++k) {
      inputs.names.push_back(kinds[i] == FileKind::kIdx
                                 ? paths[i] + "[" + std::to_string(k) + "]"
                                 : paths[i]);
    }
  }
  return inputs;
}

Result<Inputs> ReadArrays(const Model& model,
                          const std::vector<std::string>& paths) {
  if (paths.size() != model.num_inputs()) {
    return Status(StatusCode::kInvalidArgument,
                  "the model has " + std::to_string(model.num_inputs()) +
                      " inputs, --input is given " +
                      std::to_string(paths.size()) + " times");
  }
  Inputs inputs;
  for (size_t i = 0; i < paths.size(); ++i) {
    int64_t count = 0;
    Result<Values> values = ReadArray(model, i, paths[i], &count);
    if (!values.ok()) return values.status();
    if (i > 0 && count != inputs.count) {
      return Invalid(paths[i], "holds " + std::to_string(count) + " items, " +
                                   paths[0] + " " +
                                   std::to_string(inputs.count));
    }
    inputs.count = count;
    inputs.values.push_back(*std::move(values));
  }
  return inputs;
}

}  // namespace

Result<int64_t> WantedChannels(const Model& model) {
  if (model.num_inputs() != 1) {
    return Status(StatusCode::kInvalidArgument,
                  "pictures need a model with one input, this has " +
                      std::to_string(model.num_inputs()));
  }
  const Shape& shape = model.graph().inputs[0].info.shape;
  const int64_t channels = shape.size() == 4   ? shape[3]
                           : shape.size() == 2 ? 1
                                               : 0;
  if (channels != 1 && channels != 3) {
    return Status(StatusCode::kInvalidArgument,
                  "input '" + model.input_name(0) + "' of shape " +
                      ShapeText(shape) + " takes no pictures");
  }
  return channels;
}

Result<Inputs> ReadInputs(const Model& model,
                          const std::vector<std::string>& paths,
                          const Note& note, const tools::Limits& limits) {
  std::vector<FileKind> kinds;
  for (const std::string& path : paths) {
    const Result<FileKind> kind = DetectKind(path);
    if (!kind.ok()) return kind.status();
    kinds.push_back(*kind);
  }
  const auto arrays = std::count(kinds.begin(), kinds.end(), FileKind::kNpy);
  if (arrays == 0) return ReadPictures(model, paths, kinds, note, limits);
  if (static_cast<size_t>(arrays) == kinds.size()) {
    return ReadArrays(model, paths);
  }
  return Status(StatusCode::kInvalidArgument,
                "--input: .npy files and pictures cannot be mixed");
}

Result<Values> PixelsToValues(const Model& model, const PixelBatch& pixels,
                              const std::string& name, const Note& note,
                              const tools::Limits& limits) {
  const Result<int64_t> channels = WantedChannels(model);
  if (!channels.ok()) return Invalid(name, channels.status().message());
  const GraphInput& input = model.graph().inputs[0];
  const Shape& shape = input.info.shape;
  if (pixels.channels != *channels) {
    return Invalid(
        name, "holds pictures of " + std::to_string(pixels.channels) +
                  " channels, the model takes " + std::to_string(*channels));
  }
  if (shape.size() == 2 && pixels.height * pixels.width != shape[1]) {
    return Invalid(name, "holds pictures of " +
                             std::to_string(pixels.height * pixels.width) +
                             " pixels, the model takes " +
                             std::to_string(shape[1]));
  }

  if (Status s = CheckGrowth(input, pixels, pixels.count, name, limits);
      !s.ok()) {
    return s;
  }
  const PixelBatch* fitting = &pixels;
  PixelBatch resized;
  if (shape.size() == 4 &&
      (pixels.height != shape[1] || pixels.width != shape[2])) {
    Result<PixelBatch> result =
        tools::ResizePictures(pixels, shape[1], shape[2]);
    if (!result.ok()) return result.status();
    resized = *std::move(result);
    fitting = &resized;
    note(name + ": resized from " + std::to_string(pixels.width) + "x" +
         std::to_string(pixels.height) + " to " + std::to_string(shape[2]) +
         "x" + std::to_string(shape[1]));
  }
  if (input.info.type == DataType::kUint8) return Values(fitting->pixels);
  std::vector<float> values(fitting->pixels.size());
  const Status status = PixelsToInput(input, fitting->pixels, values);
  if (!status.ok()) return Invalid(name, status.message());
  return Values(std::move(values));
}

std::string ShapeText(const Shape& shape) {
  std::string text;
  for (const int64_t dimension : shape) {
    if (!text.empty()) text += 'x';
    text += dimension == kBatch ? "N" : std::to_string(dimension);
  }
  return text.empty() ? "()" : text;
}

}  // namespace bqengine::run
