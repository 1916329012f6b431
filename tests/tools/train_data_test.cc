// Batches of training data: what is in them, and threads that come and go.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "train/data/augment.h"
#include "train/data/batch_loader.h"

namespace bqengine::train {
namespace {

using tools::Dataset;
using tools::PixelBatch;

// Pictures of `count` different values, which are also their labels.
Dataset Numbered(int64_t count, int64_t height, int64_t width,
                 int64_t channels) {
  Dataset data{{count, height, width, channels, {}}, {}, {}};
  for (int64_t i = 0; i < count; ++i) {
    data.images.pixels.insert(data.images.pixels.end(), data.images.item_size(),
                              static_cast<uint8_t>(i));
    data.labels.push_back(static_cast<uint16_t>(i));
  }
  return data;
}

// One picture without equal pixels, and without 0.
PixelBatch Distinct(int64_t height, int64_t width, int64_t channels) {
  PixelBatch batch{1, height, width, channels, {}};
  for (size_t i = 0; i < batch.item_size(); ++i) {
    batch.pixels.push_back(static_cast<uint8_t>(i + 1));
  }
  return batch;
}

GraphInput InputFor(const PixelBatch& images) {
  GraphInput input;
  input.name = "x";
  input.info.type = DataType::kFloat32;
  input.info.shape = {kBatch, images.height, images.width, images.channels};
  return input;
}

std::unique_ptr<BatchLoader> Loader(const Dataset& data,
                                    const LoaderOptions& options) {
  auto loader = BatchLoader::Create(data, InputFor(data.images), options);
  EXPECT_TRUE(loader.ok()) << loader.status().message();
  return *std::move(loader);
}

std::vector<Batch> Rest(BatchLoader* loader) {
  std::vector<Batch> batches;
  for (Batch batch; loader->Next(&batch);) batches.push_back(batch);
  EXPECT_TRUE(loader->status().ok()) << loader->status().message();
  return batches;
}

std::vector<Batch> Epoch(BatchLoader* loader, uint64_t epoch) {
  loader->StartEpoch(epoch);
  return Rest(loader);
}

std::vector<int64_t> Labels(const std::vector<Batch>& batches) {
  std::vector<int64_t> labels;
  for (const Batch& batch : batches) {
    labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
  }
  return labels;
}

void ExpectSame(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].labels, b[i].labels) << "batch " << i;
    EXPECT_EQ(a[i].images, b[i].images) << "batch " << i;
  }
}

TEST(BatchLoader, InOrder) {
  const Dataset data = Numbered(10, 3, 4, 3);
  const auto loader = Loader(data, {.batch_size = 4});
  EXPECT_EQ(loader->batches_per_epoch(), 3);
  Batch none;
  EXPECT_FALSE(loader->Next(&none)) << "there is no epoch yet";
  const std::vector<Batch> batches = Epoch(loader.get(), 0);
  EXPECT_EQ(Labels(batches),
            (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_EQ(batches[2].size(), 2);
  EXPECT_EQ(batches[2].images.size(), 2u * 36);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(std::set<float>(batches[1].images.begin() + 36 * i,
                              batches[1].images.begin() + 36 * (i + 1)),
              std::set<float>{4.0f + static_cast<float>(i)});
  }
}

TEST(BatchLoader, EveryImageOncePerEpoch) {
  const Dataset data = Numbered(200, 1, 1, 1);
  for (const bool drop_last : {false, true}) {
    const auto loader = Loader(data, {.batch_size = 7,
                                      .threads = 2,
                                      .shuffle = true,
                                      .drop_last = drop_last});
    EXPECT_EQ(loader->batches_per_epoch(), drop_last ? 28 : 29);
    std::set<std::vector<int64_t>> orders;
    for (uint64_t epoch = 0; epoch < 5; ++epoch) {
      const std::vector<Batch> batches = Epoch(loader.get(), epoch);
      std::vector<int64_t> labels = Labels(batches);
      orders.insert(labels);
      std::sort(labels.begin(), labels.end());
      EXPECT_EQ(labels.size(), drop_last ? 196u : 200u);
      EXPECT_TRUE(std::unique(labels.begin(), labels.end()) == labels.end());
      for (const Batch& batch : batches) {
        for (size_t i = 0; i < batch.labels.size(); ++i) {
          ASSERT_EQ(batch.images[i], static_cast<float>(batch.labels[i]));
        }
      }
    }
    EXPECT_EQ(orders.size(), 5u) << "epochs in the same order";
  }
}

// The order is a promise: a resumed training of a later version goes on as
// the first one would have.
TEST(BatchLoader, OrderOfSeed1) {
  const Dataset data = Numbered(8, 1, 1, 1);
  const auto loader =
      Loader(data, {.batch_size = 8, .seed = 1, .shuffle = true});
  EXPECT_EQ(Labels(Epoch(loader.get(), 0)),
            (std::vector<int64_t>{6, 1, 2, 0, 3, 5, 4, 7}));
  EXPECT_EQ(Labels(Epoch(loader.get(), 1)),
            (std::vector<int64_t>{4, 7, 3, 5, 2, 6, 1, 0}));
}

TEST(BatchLoader, ThreadsChangeNothing) {
  const Dataset data = Numbered(250, 6, 5, 3);
  LoaderOptions options = {
      .batch_size = 9, .threads = 0, .seed = 5, .shuffle = true};
  options.augmentation = {2, Border::kZero, true};
  const auto alone = Loader(data, options);
  const std::vector<Batch> third = Epoch(alone.get(), 3);
  const std::vector<Batch> fourth = Epoch(alone.get(), 4);
  EXPECT_NE(third[0].images, fourth[0].images);
  for (const int threads : {1, 2, 7, 40}) {
    SCOPED_TRACE(threads);
    options.threads = threads;
    const auto loader = Loader(data, options);
    ExpectSame(Epoch(loader.get(), 4), fourth);
    ExpectSame(Epoch(loader.get(), 3), third);
    // After an epoch that was left early.
    loader->StartEpoch(3);
    Batch batch;
    EXPECT_TRUE(loader->Next(&batch));
    ExpectSame(Epoch(loader.get(), 4), fourth);
    EXPECT_FALSE(loader->Next(&batch));
  }
  options.seed = 6;
  EXPECT_NE(Epoch(Loader(data, options).get(), 3)[0].labels, third[0].labels);
}

TEST(BatchLoader, EndsAtAnyMoment) {
  const Dataset data = Numbered(250, 8, 8, 1);
  for (int taken = 0; taken < 60; ++taken) {
    const auto loader = Loader(
        data, {.batch_size = 3, .threads = 1 + taken % 5, .shuffle = true});
    if (taken % 7 != 0) loader->StartEpoch(1);
    Batch batch;
    for (int i = 0; i < taken; ++i) loader->Next(&batch);
    if (taken % 3 == 0) loader->StartEpoch(2);
  }
}

TEST(BatchLoader, PreparesAsTheModelSays) {
  const Dataset data = Numbered(2, 2, 3, 1);
  GraphInput input = InputFor(data.images);
  input.preprocess = {0.5f, {1.0f}, {2.0f}};
  const auto first_value = [&data](const GraphInput& of) {
    auto loader = BatchLoader::Create(data, of, {.batch_size = 2});
    EXPECT_TRUE(loader.ok()) << loader.status().message();
    return Epoch(loader->get(), 0)[0].images[6];
  };
  EXPECT_EQ(first_value(input), -0.25f);
  input.info.shape = {kBatch, 6};  // flat
  EXPECT_EQ(first_value(input), -0.25f);
  input.info.type = DataType::kUint8;
  EXPECT_EQ(first_value(input), 1.0f);
}

TEST(BatchLoader, RefusesWhatDoesNotFit) {
  const Dataset data = Numbered(5, 4, 3, 1);
  const auto expect_error = [](const Dataset& of, const GraphInput& input,
                               const LoaderOptions& options,
                               const std::string& what) {
    const Status status = BatchLoader::Create(of, input, options).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(what), std::string::npos)
        << status.message() << "\n  should contain: " << what;
  };
  const GraphInput good = InputFor(data.images);
  expect_error(data, good, {.batch_size = 0}, "batch size is 0");
  expect_error(data, good, {.threads = -1}, "threads is -1");
  expect_error(data, good, {.batch_size = 6, .drop_last = true},
               "5 images are less than one batch of 6");
  expect_error(data, good, {.augmentation = {3, Border::kMirror, false}},
               "moves by up to 3 pixels, images are 4x3");
  for (const Shape& shape :
       {Shape{kBatch, 4, 4, 1}, Shape{kBatch, 4, 3, 3}, Shape{kBatch, 3, 4, 1},
        Shape{kBatch, 13}, Shape{kBatch}, Shape{}}) {
    GraphInput input = good;
    input.info.shape = shape;
    expect_error(data, input, {}, "the images are 4x3x1");
  }
  expect_error(
      Numbered(2, 2, 2, 3),
      [] {
        GraphInput flat;
        flat.info.shape = {kBatch, 12};
        return flat;
      }(),
      {}, "the images are 2x2x3");
  GraphInput input = good;
  input.info.type = DataType::kInt8;
  expect_error(data, input, {}, "not pixels");
  input = good;
  input.preprocess.mean = {1, 2};
  expect_error(data, input, {}, "2 values of mean or std for 1 channels");
  Dataset wrong = data;
  wrong.labels.pop_back();
  expect_error(wrong, good, {}, "5 images, 4 labels");
  expect_error(Dataset(), good, {}, "0 images");
}

// The picture that `across`, `down` and `flip` make, by the words of augment.h.
std::vector<uint8_t> Moved(const PixelBatch& picture, int64_t across,
                           int64_t down, Border border, bool flip) {
  const auto bend = [](int64_t i, int64_t size) {
    if (i < 0) i = -i;
    return i >= size ? 2 * (size - 1) - i : i;
  };
  std::vector<uint8_t> out;
  const int64_t height = picture.height, width = picture.width;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      int64_t from_x = (flip ? width - 1 - x : x) + across, from_y = y + down;
      const bool inside =
          from_x >= 0 && from_x < width && from_y >= 0 && from_y < height;
      from_x = bend(from_x, width);
      from_y = bend(from_y, height);
      for (int64_t c = 0; c < picture.channels; ++c) {
        const uint8_t value = picture.pixels[static_cast<size_t>(
            (from_y * width + from_x) * picture.channels + c)];
        out.push_back(inside || border == Border::kMirror ? value : 0);
      }
    }
  }
  return out;
}

// Every move and no other comes up, about equally often.
TEST(Augment, MovesAndFlips) {
  constexpr int kDraws = 3000;
  for (const int64_t channels : {1, 3}) {
    const PixelBatch picture = Distinct(6, 7, channels);
    for (const Border border : {Border::kZero, Border::kMirror}) {
      for (const bool flip : {false, true}) {
        SCOPED_TRACE(std::to_string(channels) + " channels, border " +
                     std::to_string(static_cast<int>(border)) +
                     (flip ? ", flip" : ""));
        std::map<std::string, int> expected;  // pixels; how often
        for (int across = -2; across <= 2; ++across) {
          for (int down = -2; down <= 2; ++down) {
            for (int flipped = 0; flipped <= (flip ? 1 : 0); ++flipped) {
              const std::vector<uint8_t> moved =
                  Moved(picture, across, down, border, flipped == 1);
              expected[std::string(moved.begin(), moved.end())] = 0;
            }
          }
        }
        ASSERT_EQ(expected.size(), flip ? 50u : 25u);
        std::vector<uint8_t> out(picture.item_size());
        for (uint64_t i = 0; i < kDraws; ++i) {
          Augment(picture, 0, {2, border, flip}, Random(1, 2, i), out);
          const std::string moved(out.begin(), out.end());
          ASSERT_TRUE(expected.contains(moved)) << i;
          ++expected[moved];
        }
        for (const auto& [moved, count] : expected) {
          const double mean = kDraws / static_cast<double>(expected.size());
          EXPECT_NEAR(count, mean, 5 * std::sqrt(mean));
        }
      }
    }
  }
}

TEST(Augment, FlipsOnly) {
  const PixelBatch picture = Distinct(3, 5, 3);
  std::vector<uint8_t> out(picture.item_size());
  int flipped = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    Augment(picture, 0, {0, Border::kZero, true}, Random(7, 0, i), out);
    if (out == picture.pixels) continue;
    ++flipped;
    ASSERT_EQ(out, Moved(picture, 0, 0, Border::kZero, true));
  }
  EXPECT_NEAR(flipped, 500, 80);
}

TEST(Augment, Parses) {
  struct Case {
    std::string text;
    int move;
    Border border;
    bool flip;
  };
  for (const Case& c : {Case{"", 0, Border::kZero, false},
                        Case{"none", 0, Border::kZero, false},
                        Case{"flip", 0, Border::kZero, true},
                        Case{"shift:2", 2, Border::kZero, false},
                        Case{"crop:4,flip", 4, Border::kMirror, true},
                        Case{"flip,crop:4", 4, Border::kMirror, true}}) {
    const auto parsed = ParseAugmentation(c.text);
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    EXPECT_EQ(parsed->move, c.move) << c.text;
    EXPECT_EQ(parsed->border, c.border) << c.text;
    EXPECT_EQ(parsed->flip, c.flip) << c.text;
  }
  for (const std::string text :
       {"shift", "shift:", "shift:0", "shift:-1", "shift:2x", "shift:1e1",
        "shift:99999999999", "turn", "flip:1", ",", "none,flip", "shift 2",
        "shift:1,crop:1", "crop:1,crop:1"}) {
    const Status status = ParseAugmentation(text).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << text;
    EXPECT_TRUE(status.message().starts_with("augmentation '")) << text;
  }
}

}  // namespace
}  // namespace bqengine::train
