#include "common/dataset.h"

#include <filesystem>
#include <system_error>

#include "common/cifar10.h"
#include "common/file.h"
#include "common/idx.h"

namespace bqengine::tools {
namespace {

namespace fs = std::filesystem;

Status CheckFolder(const std::string& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (!fs::exists(status)) {
    return FileError(StatusCode::kNotFound, folder, "no such folder");
  }
  if (!fs::is_directory(status)) {
    return FileError(StatusCode::kInvalidArgument, folder, "is not a folder");
  }
  return Status();
}

// The file itself, or its gzip.
Result<std::string> FindPlainOrGz(const std::string& folder,
                                  const std::string& name) {
  const fs::path plain = fs::path(folder) / name;
  std::error_code error;
  for (const fs::path& path : {plain, fs::path(plain.string() + ".gz")}) {
    if (fs::exists(path, error)) return path.string();
  }
  return FileError(StatusCode::kNotFound, folder,
                   "has neither " + name + " nor " + name + ".gz");
}

Result<Dataset> ReadMnist(const std::string& folder) {
  const Status found = CheckFolder(folder);
  if (!found.ok()) return found;
  const Result<std::string> images_path =
      FindPlainOrGz(folder, "t10k-images-idx3-ubyte");
  if (!images_path.ok()) return images_path.status();
  const Result<std::string> labels_path =
      FindPlainOrGz(folder, "t10k-labels-idx1-ubyte");
  if (!labels_path.ok()) return labels_path.status();

  Result<PixelBatch> images = ReadIdxImages(*images_path);
  if (!images.ok()) return images.status();
  Result<std::vector<uint8_t>> labels = ReadIdxLabels(*labels_path);
  if (!labels.ok()) return labels.status();
  if (static_cast<size_t>(images->count) != labels->size()) {
    return FileError(StatusCode::kInvalidArgument, *labels_path,
                     "has " + std::to_string(labels->size()) + " labels for " +
                         std::to_string(images->count) + " images");
  }
  return Dataset{*std::move(images), *std::move(labels)};
}

// test_batch.bin, or the only .bin file that there is.
Result<std::string> FindCifar10(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return path;
  const fs::path test_batch = fs::path(path) / "test_batch.bin";
  if (fs::exists(test_batch, error)) return test_batch.string();

  std::vector<std::string> found;
  fs::directory_iterator entries(path, error);
  while (!error && entries != fs::directory_iterator()) {
    if (entries->path().extension() == ".bin") {
      found.push_back(entries->path().string());
    }
    entries.increment(error);
  }
  if (error) {
    return FileError(StatusCode::kIo, path,
                     "cannot read the folder (" + error.message() + ")");
  }
  if (found.size() == 1) return found[0];
  return FileError(StatusCode::kNotFound, path,
                   found.empty() ? "has no .bin file"
                                 : "has no test_batch.bin, and several other "
                                   ".bin files; name one");
}

Result<Dataset> ReadCifar10Dataset(const std::string& path) {
  const Result<std::string> file = FindCifar10(path);
  if (!file.ok()) return file.status();
  Result<Cifar10> data = ReadCifar10(*file);
  if (!data.ok()) return data.status();
  return Dataset{std::move(data->images), std::move(data->labels)};
}

}  // namespace

Result<Dataset> ReadDataset(const std::string& spec, int64_t limit) {
  const size_t colon = spec.find(':');
  const std::string kind = spec.substr(0, colon);
  const std::string path =
      colon == std::string::npos ? "" : spec.substr(colon + 1);
  if (path.empty() || (kind != "mnist" && kind != "cifar10")) {
    return Status(
        StatusCode::kInvalidArgument,
        "data set '" + spec + "' is neither mnist:DIR nor cifar10:FILE_OR_DIR");
  }
  Result<Dataset> data =
      kind == "mnist" ? ReadMnist(path) : ReadCifar10Dataset(path);
  if (data.ok() && limit > 0 && limit < data->images.count) {
    data->images.count = limit;
    data->images.pixels.resize(static_cast<size_t>(limit) *
                               data->images.item_size());
    data->labels.resize(static_cast<size_t>(limit));
  }
  return data;
}

}  // namespace bqengine::tools
