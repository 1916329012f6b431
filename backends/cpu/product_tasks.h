// Splitting products with float activations into tasks. Their kernels give the
// same bits however they are split.
#ifndef BACKENDS_CPU_PRODUCT_TASKS_H_
#define BACKENDS_CPU_PRODUCT_TASKS_H_

#include <algorithm>
#include <cstdint>

#include "bqengine/backend.hpp"

namespace bqengine::backends::cpu {

// Parts of at most `rows` x `channels` that make up a product's output.
struct ProductSplit {
  int64_t rows, row_parts;
  int64_t channels, channel_parts;
};

// `k`: multiply-adds for one output. Rows are split first, at multiples of all
// tile heights; then channels, at multiples of `channel_step`.
inline ProductSplit SplitProduct(int64_t rows, int64_t channels,
                                 int64_t channel_step, int64_t k,
                                 uint32_t threads) {
  // Multiply-adds of a task worth another thread: some 10 microseconds (AVX2
  // does 50 to 60 in a nanosecond).
  constexpr int64_t kMinTaskWork = 500'000;
  constexpr int64_t kRowStep = 24;
  const auto divide_up = [](int64_t a, int64_t b) { return (a + b - 1) / b; };

  ProductSplit split = {rows, 1, channels, 1};
  // A few tasks for each thread, for some finish late. In double: the product
  // may be larger than an integer holds.
  const int64_t wanted =
      int64_t(std::min(3.0 * threads, double(rows) * double(channels) *
                                          double(k) / double(kMinTaskWork)));
  if (threads == 1 || wanted < 2) return split;
  split.rows = divide_up(divide_up(rows, wanted), kRowStep) * kRowStep;
  split.row_parts = divide_up(rows, split.rows);
  if (split.row_parts < wanted) {
    const int64_t fewest = divide_up(channels * split.row_parts, wanted);
    split.channels = divide_up(fewest, channel_step) * channel_step;
    split.channel_parts = divide_up(channels, split.channels);
  }
  return split;
}

// Calls body(first_row, rows, channel_begin, channel_end, thread) for the parts
// of a product.
template <typename Body>
void ForProductParts(const backend::RunContext& run, int64_t rows,
                     int64_t channels, int64_t channel_step, int64_t k,
                     const Body& body) {
  const ProductSplit split =
      SplitProduct(rows, channels, channel_step, k, run.threads());
  const int64_t parts = split.row_parts * split.channel_parts;
  const auto part = [&](int64_t index, uint32_t thread) {
    const int64_t row = index / split.channel_parts * split.rows;
    const int64_t channel = index % split.channel_parts * split.channels;
    body(row, std::min(split.rows, rows - row), channel,
         std::min(channel + split.channels, channels), thread);
  };
  if (parts == 1) {
    part(0, 0);
  } else {
    run.ParallelFor(parts, part);
  }
}

// Floats of scratch memory for each thread, in the workspace.
class ThreadScratch {
 public:
  explicit ThreadScratch(int64_t floats)
      : floats_((uint64_t(floats) + 15) / 16 * 16) {}  // whole cache lines
  uint64_t WorkspaceBytes(uint32_t threads) const {
    return threads * floats_ * sizeof(float);
  }
  float* Of(const backend::RunContext& run, uint32_t thread) const {
    return static_cast<float*>(run.workspace()) + thread * floats_;
  }

 private:
  uint64_t floats_;
};

}  // namespace bqengine::backends::cpu

#endif  // BACKENDS_CPU_PRODUCT_TASKS_H_
