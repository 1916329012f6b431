// Random numbers that are a function of a seed and of what they are for, in any
// order and on any thread.
#ifndef BQENGINE_TOOLS_TRAIN_DATA_RANDOM_H_
#define BQENGINE_TOOLS_TRAIN_DATA_RANDOM_H_

#include <cstdint>

namespace bqengine::train {

// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
// generators", 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // The stream of one `item` of one `epoch`: hashed, so that streams of
  // neighbours have nothing in common.
  Random(uint64_t seed, uint64_t epoch, uint64_t item)
      : state_(Mix(Mix(Mix(seed) + epoch) + item)) {}

  uint64_t Next() { return Hash(state_ += kStep); }

  // 0 to bound - 1; as good as uniform, since 2^32 is far above every bound.
  uint32_t Below(uint32_t bound) {
    return static_cast<uint32_t>((Next() >> 32) * bound >> 32);
  }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15;

  static uint64_t Hash(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }
  static uint64_t Mix(uint64_t x) { return Hash(x + kStep); }

  uint64_t state_;
};

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_DATA_RANDOM_H_
