// Random numbers of the kinds that go wrong: ties, zeros of both signs, factors
// that round, subnormal and huge ones. The same on every platform for a seed.
#ifndef TESTS_FUZZ_RANDOM_VALUES_H_
#define TESTS_FUZZ_RANDOM_VALUES_H_

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "bqengine/graph.h"

namespace bqengine::fuzz {

enum class Style {
  kIntegers,   // small ones: sums of them tie
  kHalves,     // and quarters: powers of two between
  kDecimals,   // tenths and hundredths: sums that nearly tie, and round
  kRealistic,  // about 1
  kExtreme,    // subnormal, huge, next to powers of two
};

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // In [low, high].
  int64_t Int(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(engine_() %
                                      static_cast<uint64_t>(high - low + 1));
  }
  // True once in `n` times.
  bool OneIn(int64_t n) { return Int(1, n) == 1; }
  float Uniform(float low, float high) {
    return low + (high - low) * static_cast<float>(engine_() >> 40) * 0x1p-24f;
  }
  template <typename T>
  const T& Pick(const std::vector<T>& values) {
    return values[static_cast<size_t>(
        Int(0, static_cast<int64_t>(values.size()) - 1))];
  }

  Style PickStyle() {
    return Pick<Style>({Style::kIntegers, Style::kIntegers, Style::kHalves,
                        Style::kDecimals, Style::kDecimals, Style::kRealistic,
                        Style::kExtreme});
  }
  float Value(Style style);
  std::vector<float> Values(Style style, int64_t count);

  // Unused high bits of each row are zero.
  std::vector<uint64_t> Words(const TensorInfo& info, int64_t batch);

 private:
  std::mt19937_64 engine_;
};

}  // namespace bqengine::fuzz

#endif  // TESTS_FUZZ_RANDOM_VALUES_H_
