#include "train/data/batch_loader.h"

#include <algorithm>
#include <limits>
#include <new>
#include <numeric>
#include <string>
#include <system_error>
#include <utility>

#include "bqengine/preprocess.h"

namespace bqengine::train {
namespace {

constexpr int kMaxThreads = 256;
constexpr int64_t kMaxBatchSize = int64_t{1} << 20;

// What Random must not be asked for by two uses of one epoch: images have the
// numbers below.
constexpr uint64_t kShuffleStream = std::numeric_limits<uint64_t>::max();

Status Invalid(const std::string& what) {
  return Status(StatusCode::kInvalidArgument, what);
}

std::string SizeText(int64_t height, int64_t width, int64_t channels) {
  return std::to_string(height) + "x" + std::to_string(width) + "x" +
         std::to_string(channels);
}

// As bq-run takes pictures: [N, H, W, C] of the same sizes, or [N, H*W] gray.
Status CheckInput(const tools::PixelBatch& images, const GraphInput& input) {
  const Shape& shape = input.info.shape;
  const bool fits = shape.size() == 4
                        ? shape[1] == images.height &&
                              shape[2] == images.width &&
                              shape[3] == images.channels
                        : shape.size() == 2 && images.channels == 1 &&
                              shape[1] == images.height * images.width;
  if (fits) return Status();
  std::string wanted;
  for (size_t i = 1; i < shape.size(); ++i) {
    wanted += (i > 1 ? "x" : "") + std::to_string(shape[i]);
  }
  return Invalid("input '" + input.name + "' takes " + wanted +
                 ", the images are " +
                 SizeText(images.height, images.width, images.channels));
}

Status CheckOptions(const tools::PixelBatch& images,
                    const LoaderOptions& options) {
  if (options.batch_size < 1 || options.batch_size > kMaxBatchSize) {
    return Invalid("batch size is " + std::to_string(options.batch_size) +
                   ", must be 1 to " + std::to_string(kMaxBatchSize));
  }
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return Invalid("number of loader threads is " +
                   std::to_string(options.threads) + ", must be 0 to " +
                   std::to_string(kMaxThreads));
  }
  if (options.drop_last && images.count < options.batch_size) {
    return Invalid(std::to_string(images.count) +
                   " images are less than one batch of " +
                   std::to_string(options.batch_size));
  }
  const int move = options.augmentation.move;
  if (move < 0 || move >= std::min(images.height, images.width)) {
    return Invalid("augmentation moves by up to " + std::to_string(move) +
                   " pixels, images are " + std::to_string(images.height) +
                   "x" + std::to_string(images.width));
  }
  return Status();
}

Status CheckData(const tools::Dataset& data) {
  const tools::PixelBatch& images = data.images;
  if (images.count < 1 || images.count > std::numeric_limits<uint32_t>::max() ||
      static_cast<size_t>(images.count) != data.labels.size() ||
      static_cast<size_t>(images.count) * images.item_size() !=
          images.pixels.size()) {
    return Invalid("data set has " + std::to_string(images.count) +
                   " images, " + std::to_string(data.labels.size()) +
                   " labels and " + std::to_string(images.pixels.size()) +
                   " bytes of pixels");
  }
  return Status();
}

Status NoMemory() {
  return Status(StatusCode::kOutOfMemory, "no memory for batches of images");
}

}  // namespace

Result<std::unique_ptr<BatchLoader>> BatchLoader::Create(
    const tools::Dataset& data, const GraphInput& input,
    const LoaderOptions& options) {
  Status status = CheckData(data);
  if (status.ok()) status = CheckInput(data.images, input);
  if (status.ok()) status = CheckOptions(data.images, options);
  if (!status.ok()) return status;
  try {
    std::unique_ptr<BatchLoader> loader(new BatchLoader(data, input, options));
    Batch batch;  // finds what is wrong with the preprocessing
    status = loader->Make(0, &loader->own_pixels_, &batch);
    if (status.ok()) status = loader->StartThreads();
    if (!status.ok()) return status;
    return loader;
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

BatchLoader::BatchLoader(const tools::Dataset& data, const GraphInput& input,
                         const LoaderOptions& options)
    : data_(data),
      input_(input),
      options_(options),
      order_(static_cast<size_t>(data.images.count)) {
  const int64_t count = data.images.count;
  batches_per_epoch_ = count / options.batch_size;
  if (!options.drop_last && count % options.batch_size != 0) {
    ++batches_per_epoch_;
  }
  next_given_ = next_made_ = batches_per_epoch_;
  std::iota(order_.begin(), order_.end(), uint32_t{0});
}

Status BatchLoader::StartThreads() {
  const auto count = static_cast<size_t>(options_.threads);
  if (count == 0) return Status();
  slots_.resize(2 * count);  // for each thread, one in work and one in store
  threads_.reserve(count);
  try {
    while (threads_.size() < count) threads_.emplace_back([this] { Work(); });
  } catch (const std::system_error& error) {
    return Status(
        StatusCode::kInternal,
        std::string("cannot start a loader thread (") + error.what() + ")");
  }
  return Status();
}

BatchLoader::~BatchLoader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  room_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void BatchLoader::StartEpoch(uint64_t epoch) {
  std::unique_lock lock(mutex_);
  next_made_ = batches_per_epoch_;  // so that no thread begins another
  finished_.wait(lock, [this] { return being_made_ == 0; });
  epoch_ = epoch;
  if (options_.shuffle) Shuffle();
  for (Slot& slot : slots_) slot.ready = false;
  next_given_ = next_made_ = 0;
  lock.unlock();
  room_.notify_all();
}

// Fisher and Yates's, from the same order in every epoch.
void BatchLoader::Shuffle() {
  std::iota(order_.begin(), order_.end(), uint32_t{0});
  Random random(options_.seed, epoch_, kShuffleStream);
  for (auto left = static_cast<uint32_t>(order_.size()); left > 1; --left) {
    std::swap(order_[left - 1], order_[random.Below(left)]);
  }
}

bool BatchLoader::Next(Batch* batch) {
  std::unique_lock lock(mutex_);
  if (next_given_ == batches_per_epoch_ || !status_.ok()) return false;
  if (threads_.empty()) {
    status_ = Make(next_given_, &own_pixels_, batch);
    if (status_.ok()) ++next_given_;
    return status_.ok();
  }

  Slot& slot = slots_[static_cast<size_t>(next_given_) % slots_.size()];
  finished_.wait(lock, [&] { return slot.ready || !status_.ok(); });
  if (!status_.ok()) return false;
  std::swap(*batch, slot.batch);
  slot.ready = false;
  ++next_given_;
  lock.unlock();
  room_.notify_one();
  return true;
}

Status BatchLoader::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void BatchLoader::Work() {
  std::vector<uint8_t> pixels;
  std::unique_lock lock(mutex_);
  const auto may_make = [this] {
    return next_made_ < batches_per_epoch_ && status_.ok() &&
           next_made_ - next_given_ < static_cast<int64_t>(slots_.size());
  };
  while (true) {
    room_.wait(lock, [&] { return stop_ || may_make(); });
    if (stop_) return;
    const int64_t index = next_made_++;
    Slot& slot = slots_[static_cast<size_t>(index) % slots_.size()];
    ++being_made_;
    lock.unlock();
    Status status = Make(index, &pixels, &slot.batch);
    lock.lock();
    --being_made_;
    slot.ready = status.ok();
    if (!status.ok()) status_ = std::move(status);
    finished_.notify_all();
  }
}

Status BatchLoader::Make(int64_t index, std::vector<uint8_t>* pixels,
                         Batch* batch) const {
  const tools::PixelBatch& images = data_.images;
  const int64_t first = index * options_.batch_size;
  const auto count =
      static_cast<size_t>(std::min(options_.batch_size, images.count - first));
  const size_t item = images.item_size();
  try {
    pixels->resize(count * item);
    batch->images.resize(count * item);
    batch->labels.resize(count);
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
  for (size_t i = 0; i < count; ++i) {
    const uint32_t image = order_[static_cast<size_t>(first) + i];
    batch->labels[i] = data_.labels[image];
    Augment(images, image, options_.augmentation,
            Random(options_.seed, epoch_, image),
            std::span(*pixels).subspan(i * item, item));
  }
  if (input_.info.type == DataType::kUint8) {
    std::copy(pixels->begin(), pixels->end(), batch->images.begin());
    return Status();
  }
  return PixelsToInput(input_, *pixels, batch->images);
}

}  // namespace bqengine::train
