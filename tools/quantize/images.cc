#include "quantize/images.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "common/dataset.h"
#include "common/file.h"

namespace bqengine::ptq {
namespace {

namespace fs = std::filesystem;

// Places of `count` of `all` things, evenly.
std::vector<int64_t> EvenPlaces(int64_t all, int64_t count) {
  std::vector<int64_t> places;
  for (int64_t i = 0; i < std::min(all, count); ++i) {
    places.push_back(i * all / std::min(all, count));
  }
  return places;
}

bool IsPictureName(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

Result<std::vector<std::string>> PicturesIn(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, error);
  while (!error && entries != fs::recursive_directory_iterator()) {
    if (IsPictureName(entries->path())) {
      paths.push_back(entries->path().string());
    }
    entries.increment(error);
  }
  if (error) {
    return tools::FileError(StatusCode::kInvalidArgument, folder,
                            "cannot read the folder (" + error.message() + ")");
  }
  if (paths.empty()) {
    return tools::FileError(StatusCode::kInvalidArgument, folder,
                            "has no PNG or JPEG file");
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Only these items of values that have `all` of them.
run::Values Picked(const run::Values& values, int64_t all,
                   const std::vector<int64_t>& places) {
  return std::visit(
      [&](const auto& from) {
        auto picked = from;
        picked.clear();
        const auto item =
            static_cast<ptrdiff_t>(from.size() / static_cast<size_t>(all));
        for (const int64_t place : places) {
          const auto start = from.begin() + place * item;
          picked.insert(picked.end(), start, start + item);
        }
        return run::Values(std::move(picked));
      },
      values);
}

Result<Images> ReadFiles(const Model& model,
                         const std::vector<std::string>& paths, int64_t count,
                         const run::Note& note, const tools::Limits& limits) {
  auto inputs = run::ReadInputs(model, paths, note, limits);
  if (!inputs.ok()) return inputs.status();
  const std::vector<int64_t> places = EvenPlaces(inputs->count, count);
  return Images{static_cast<int64_t>(places.size()),
                {Picked(inputs->values[0], inputs->count, places)}};
}

Result<Images> ReadFolder(const Model& model, const std::string& folder,
                          int64_t count, const run::Note& note,
                          const tools::Limits& limits) {
  const auto all = PicturesIn(folder);
  if (!all.ok()) return all.status();
  std::vector<std::string> paths;
  for (const int64_t place :
       EvenPlaces(static_cast<int64_t>(all->size()), count)) {
    paths.push_back((*all)[static_cast<size_t>(place)]);
  }
  return ReadFiles(model, paths, count, note, limits);
}

Result<Images> ReadSet(const Model& model, const std::string& spec,
                       int64_t count, const run::Note& note,
                       const tools::Limits& limits) {
  const Shape& shape = model.input(0).shape;
  const int64_t channels = shape.size() == 4 ? shape[3] : 1;
  const auto data = tools::ReadDataset(spec, tools::Split::kTrain, 0, channels);
  if (!data.ok()) return data.status();
  tools::PixelBatch picked = data->images;
  picked.pixels.clear();
  const std::vector<int64_t> places = EvenPlaces(data->images.count, count);
  for (const int64_t place : places) {
    const auto item = data->images.item(place);
    picked.pixels.insert(picked.pixels.end(), item.begin(), item.end());
  }
  picked.count = static_cast<int64_t>(places.size());
  auto values = run::PixelsToValues(model, picked, spec, note, limits);
  if (!values.ok()) return values.status();
  return Images{picked.count, {*std::move(values)}};
}

}  // namespace

Result<Images> ReadImages(const Model& model, const std::string& source,
                          int64_t count, const run::Note& note,
                          const tools::Limits& limits) {
  if (model.num_inputs() != 1) {
    return tools::FileError(StatusCode::kInvalidArgument, source,
                            "calibration needs a network with one input");
  }
  std::error_code error;
  if (fs::is_directory(source, error)) {
    return ReadFolder(model, source, count, note, limits);
  }
  if (fs::exists(source, error))
    return ReadFiles(model, {source}, count, note, limits);
  if (source.find(':') != std::string::npos) {
    return ReadSet(model, source, count, note, limits);
  }
  return tools::FileError(StatusCode::kNotFound, source,
                          "no such file or folder");
}

}  // namespace bqengine::ptq
