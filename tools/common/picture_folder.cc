#include "common/picture_folder.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>
#include <vector>

#include "common/file.h"
#include "common/memory.h"
#include "common/picture.h"
#include "common/terminal.h"

namespace bqengine::tools {
namespace {

namespace fs = std::filesystem;

bool IsFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool IsPictureFile(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  std::error_code error;
  return (extension == ".png" || extension == ".jpg" || extension == ".jpeg") &&
         fs::is_regular_file(path, error);
}

// Sorted names of those entries of a folder that `is_wanted` and that are not
// hidden.
Result<std::vector<std::string>> List(const fs::path& folder,
                                      bool (*is_wanted)(const fs::path&)) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  while (!error && entries != fs::directory_iterator()) {
    const fs::path& path = entries->path();
    const std::string name = path.filename().string();
    if (!name.starts_with('.') && is_wanted(path)) names.push_back(name);
    entries.increment(error);
  }
  if (error) {
    return FileError(StatusCode::kIo, folder.string(),
                     "cannot read the folder (" + error.message() + ")");
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<fs::path> SplitFolder(const fs::path& folder, Split split) {
  const fs::path train = folder / "train", test = folder / "test";
  if (split == Split::kTrain) {
    if (IsFolder(train)) return train;
    return FileError(StatusCode::kNotFound, folder.string(),
                     "has no folder train; training expects "
                     "train/CLASS/*.png or .jpg in it");
  }
  if (IsFolder(test)) return test;
  if (!IsFolder(train)) return folder;
  return FileError(StatusCode::kNotFound, folder.string(),
                   "has a folder train but no folder test");
}

Result<std::vector<std::string>> ClassNames(const fs::path& folder,
                                            const fs::path& split_folder) {
  const fs::path train = folder / "train";
  const fs::path& source = IsFolder(train) ? train : split_folder;
  Result<std::vector<std::string>> names = List(source, IsFolder);
  if (!names.ok()) return names;
  if (names->empty()) {
    return FileError(StatusCode::kNotFound, source.string(),
                     "has no folders; each class of pictures is one");
  }
  constexpr size_t kMaxClasses = std::numeric_limits<uint16_t>::max();
  if (names->size() > kMaxClasses) {
    return FileError(
        StatusCode::kInvalidArgument, source.string(),
        "has more than " + std::to_string(kMaxClasses) + " folders of classes");
  }
  return names;
}

struct PictureFile {
  std::string path;
  size_t place;  // among the pictures of its class
  uint16_t label;
};

Result<std::vector<PictureFile>> ListPictures(
    const fs::path& folder, const std::vector<std::string>& class_names) {
  const Result<std::vector<std::string>> present = List(folder, IsFolder);
  if (!present.ok()) return present.status();
  std::vector<PictureFile> files;
  for (const std::string& name : *present) {
    const fs::path class_folder = folder / name;
    const auto known =
        std::lower_bound(class_names.begin(), class_names.end(), name);
    if (known == class_names.end() || *known != name) {
      return FileError(StatusCode::kNotFound, class_folder.string(),
                       "is a class that the folder train does not have");
    }
    const Result<std::vector<std::string>> pictures =
        List(class_folder, IsPictureFile);
    if (!pictures.ok()) return pictures.status();
    if (pictures->empty()) {
      return FileError(StatusCode::kNotFound, class_folder.string(),
                       "has no PNG or JPEG files");
    }
    for (size_t i = 0; i < pictures->size(); ++i) {
      files.push_back({(class_folder / (*pictures)[i]).string(), i,
                       static_cast<uint16_t>(known - class_names.begin())});
    }
  }
  if (files.empty()) {
    return FileError(StatusCode::kNotFound, folder.string(),
                     "has no folders; each class of pictures is one");
  }
  return files;
}

std::string Form(const PixelBatch& picture) {
  return std::to_string(picture.width) + "x" + std::to_string(picture.height) +
         (picture.channels == 1 ? " gray" : " RGB");
}

// Room for `count` pictures like the first one, which it holds.
Result<PixelBatch> MakeRoom(const std::string& folder, const PixelBatch& first,
                            size_t count) {
  if (first.item_size() > kMaxFileBytes / count) {
    return FileError(
        StatusCode::kInvalidArgument, folder,
        std::to_string(count) + " pictures of " + Form(first) +
            " fill more than " + std::to_string(kMaxFileBytes) +
            " bytes of memory; make them smaller, or limit their number");
  }
  PixelBatch all = first;
  all.count = static_cast<int64_t>(count);
  Result<std::vector<uint8_t>> pixels = MakeVector<uint8_t>(
      static_cast<int64_t>(count * first.item_size()), folder);
  if (!pixels.ok()) return pixels.status();
  all.pixels = *std::move(pixels);
  return all;
}

Result<PixelBatch> ReadAll(const std::string& folder,
                           const std::vector<PictureFile>& files,
                           int64_t channels) {
  PixelBatch all;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string& path = files[i].path;
    const Result<PixelBatch> picture = ReadPicture(path, channels);
    if (!picture.ok()) return picture.status();
    if (i == 0) {
      Result<PixelBatch> room = MakeRoom(folder, *picture, files.size());
      if (!room.ok()) return room;
      all = *std::move(room);
    }
    if (Form(*picture) != Form(all)) {
      return FileError(StatusCode::kInvalidArgument, path,
                       "is a picture of " + Form(*picture) + ", but " +
                           files[0].path + " is one of " + Form(all) +
                           "; all must be alike");
    }
    std::copy(
        picture->pixels.begin(), picture->pixels.end(),
        all.pixels.begin() + static_cast<std::ptrdiff_t>(i * all.item_size()));
  }
  return all;
}

}  // namespace

Result<Dataset> ReadPictureFolder(const std::string& folder, Split split,
                                  int64_t limit, int64_t channels) {
  const Status found = CheckFolder(folder);
  if (!found.ok()) return found;
  const Result<fs::path> split_folder = SplitFolder(folder, split);
  if (!split_folder.ok()) return split_folder.status();
  Result<std::vector<std::string>> names = ClassNames(folder, *split_folder);
  if (!names.ok()) return names.status();
  Result<std::vector<PictureFile>> files = ListPictures(*split_folder, *names);
  if (!files.ok()) return files.status();

  // Sorted by class before, so pictures at the same place stay in that order.
  std::stable_sort(files->begin(), files->end(),
                   [](const PictureFile& a, const PictureFile& b) {
                     return a.place < b.place;
                   });
  if (limit > 0 && static_cast<uint64_t>(limit) < files->size()) {
    files->resize(static_cast<size_t>(limit));
  }
  Result<PixelBatch> images = ReadAll(split_folder->string(), *files, channels);
  if (!images.ok()) return images.status();
  Dataset data{*std::move(images), {}, {}, {}};
  // Models, which keep them as labels, hold text only.
  for (const std::string& name : *names) {
    data.class_names.push_back(Printable(name));
  }
  data.classes = static_cast<int64_t>(data.class_names.size());
  for (PictureFile& file : *files) {
    data.labels.push_back(file.label);
    data.files.push_back(std::move(file.path));
  }
  return data;
}

}  // namespace bqengine::tools
