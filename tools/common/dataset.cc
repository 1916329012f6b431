#include "common/dataset.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "common/cifar10.h"
#include "common/file.h"
#include "common/idx.h"
#include "common/picture_folder.h"

namespace bqengine::tools {
namespace {

namespace fs = std::filesystem;

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

Result<Dataset> ReadMnist(const std::string& folder, Split split) {
  const Status found = CheckFolder(folder);
  if (!found.ok()) return found;
  const std::string prefix = split == Split::kTrain ? "train" : "t10k";
  const Result<std::string> images_path =
      FindPlainOrGz(folder, prefix + "-images-idx3-ubyte");
  if (!images_path.ok()) return images_path.status();
  const Result<std::string> labels_path =
      FindPlainOrGz(folder, prefix + "-labels-idx1-ubyte");
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
  return Dataset{*std::move(images),
                 {labels->begin(), labels->end()},
                 /*class_names=*/{},
                 {*images_path, *labels_path}};
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

Result<Dataset> ReadCifar10Test(const std::string& path) {
  const Result<std::string> file = FindCifar10(path);
  if (!file.ok()) return file.status();
  Result<Cifar10> data = ReadCifar10(*file);
  if (!data.ok()) return data.status();
  return Dataset{std::move(data->images),
                 {data->labels.begin(), data->labels.end()},
                 /*class_names=*/{},
                 {*file}};
}

// All batches have as many records: one that was cut off between two records is
// told from the others.
Result<Dataset> ReadCifar10Train(const std::string& folder) {
  const Status found = CheckFolder(folder);
  if (!found.ok()) return found;
  std::vector<int64_t> counts;
  Dataset all;
  for (int i = 1; i <= 5; ++i) {
    all.files.push_back(fs::path(folder) /
                        ("data_batch_" + std::to_string(i) + ".bin"));
    const Result<Cifar10> batch = ReadCifar10(all.files.back());
    if (!batch.ok()) return batch.status();
    counts.push_back(batch->images.count);
    PixelBatch& images = all.images;
    images = {images.count + batch->images.count, batch->images.height,
              batch->images.width, batch->images.channels,
              std::move(images.pixels)};
    images.pixels.insert(images.pixels.end(), batch->images.pixels.begin(),
                         batch->images.pixels.end());
    all.labels.insert(all.labels.end(), batch->labels.begin(),
                      batch->labels.end());
  }
  const auto least = std::min_element(counts.begin(), counts.end());
  const auto most = std::max_element(counts.begin(), counts.end());
  if (*least < *most) {
    return FileError(StatusCode::kInvalidArgument,
                     all.files[static_cast<size_t>(least - counts.begin())],
                     "is truncated: has " + std::to_string(*least) +
                         " records, other batches " + std::to_string(*most));
  }
  return all;
}

void Truncate(Dataset* data, int64_t limit) {
  if (limit <= 0 || limit >= data->images.count) return;
  data->images.count = limit;
  data->images.pixels.resize(static_cast<size_t>(limit) *
                             data->images.item_size());
  data->labels.resize(static_cast<size_t>(limit));
}

}  // namespace

Result<Dataset> ReadDataset(const std::string& spec, Split split, int64_t limit,
                            int64_t channels) {
  const size_t colon = spec.find(':');
  const std::string kind = spec.substr(0, colon);
  const std::string path =
      colon == std::string::npos ? "" : spec.substr(colon + 1);
  const bool known = kind == "mnist" || kind == "cifar10" || kind == "folder";
  if (path.empty() || !known) {
    return Status(
        StatusCode::kInvalidArgument,
        "data set '" + spec + "' is none of mnist:DIR, " +
            (split == Split::kTrain ? "cifar10:DIR" : "cifar10:FILE_OR_DIR") +
            " and folder:DIR");
  }
  if (kind == "folder") return ReadPictureFolder(path, split, limit, channels);
  Result<Dataset> data = kind == "mnist"          ? ReadMnist(path, split)
                         : split == Split::kTrain ? ReadCifar10Train(path)
                                                  : ReadCifar10Test(path);
  if (!data.ok()) return data;
  for (const uint16_t label : data->labels) {
    data->classes = std::max<int64_t>(data->classes, label + 1);
  }
  Truncate(&*data, limit);
  return data;
}

}  // namespace bqengine::tools
