// The images of a data set in batches, shuffled, augmented and prepared as the
// model says, made ahead of their use by threads.
#ifndef BQENGINE_TOOLS_TRAIN_DATA_BATCH_LOADER_H_
#define BQENGINE_TOOLS_TRAIN_DATA_BATCH_LOADER_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/status.h"
#include "common/dataset.h"
#include "train/data/augment.h"

namespace bqengine::train {

struct Batch {
  std::vector<float> images;  // [size, height, width, channels]
  std::vector<int64_t> labels;
  int64_t size() const { return static_cast<int64_t>(labels.size()); }
};

struct LoaderOptions {
  int64_t batch_size = 64;
  int threads = 1;  // 0: batches are made by Next
  uint64_t seed = 0;
  bool shuffle = false;
  bool drop_last = false;  // a last batch that is not full
  Augmentation augmentation = {};
};

// What the batches of an epoch hold depends on the data, the options without
// `threads`, the number of the epoch and the place of the batch, and on nothing
// else. An epoch has every image once (but for drop_last). One thread at a time
// may call the functions of a loader.
class BatchLoader {
 public:
  // `data` outlives the loader. kInvalidArgument if its images do not fit the
  // model's input (float32, or uint8, which takes pixels as they are), or
  // options make no sense; kOutOfMemory.
  static Result<std::unique_ptr<BatchLoader>> Create(
      const tools::Dataset& data, const GraphInput& input,
      const LoaderOptions& options);

  // At any moment; waits for the threads to finish the batches that they are
  // at.
  ~BatchLoader();

  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  int64_t batches_per_epoch() const { return batches_per_epoch_; }

  // From now on Next gives the batches of this epoch, also before the one at
  // hand is over. Epochs are numbered as the caller likes.
  void StartEpoch(uint64_t epoch);

  // The next batch, or false at the end of the epoch, and before the first one.
  // The same Batch again and again makes for no allocations.
  bool Next(Batch* batch);

  // Not ok if Next returned false for another reason: no memory.
  Status status() const;

 private:
  BatchLoader(const tools::Dataset& data, const GraphInput& input,
              const LoaderOptions& options);
  Status StartThreads();
  void Work();
  void Shuffle();
  // `pixels` is memory to work in.
  Status Make(int64_t index, std::vector<uint8_t>* pixels, Batch* batch) const;

  const tools::Dataset& data_;
  const GraphInput input_;
  const LoaderOptions options_;
  int64_t batches_per_epoch_ = 0;
  std::vector<uint8_t> own_pixels_;  // for Make without threads

  // Written by StartEpoch only, while no thread makes a batch.
  uint64_t epoch_ = 0;
  std::vector<uint32_t> order_;  // of images

  // Batch i waits in slot i % slots_.size() until Next takes it.
  struct Slot {
    Batch batch;
    bool ready = false;
  };

  mutable std::mutex mutex_;          // for all that follows
  std::condition_variable room_;      // a thread may have a batch to make
  std::condition_variable finished_;  // a thread has made one
  std::vector<Slot> slots_;
  int64_t next_given_;  // batch that Next gives
  int64_t next_made_;   // batch that a thread begins
  int64_t being_made_ = 0;
  bool stop_ = false;
  Status status_;

  std::vector<std::thread> threads_;
};

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_DATA_BATCH_LOADER_H_
