#include "tests/fuzz/random_values.h"

#include <iterator>

namespace bqengine::fuzz {

float Random::Value(Style style) {
  constexpr float kExtremes[] = {
      0.0f,     -0.0f,     1e-45f,      -1e-45f,     1e-40f,   -1e-40f,
      1e-38f,   -1e-38f,   1e38f,       -1e38f,      3.4e38f,  -3.4e38f,
      1e30f,    -1e30f,    1e-30f,      -1e-30f,     16777216, -16777216,
      0x1p-24f, 0x1p-126f, 0.99999994f, 1.0000001f,  1e10f,    -1e10f,
      1e20f,    1e-20f,    8388607.5f,  -8388608.5f, 1,        -1};
  switch (style) {
    case Style::kIntegers:
      return static_cast<float>(Int(-4, 4));
    case Style::kHalves:
      return static_cast<float>(Int(-12, 12)) * (OneIn(2) ? 0.5f : 0.25f);
    case Style::kDecimals:
      return OneIn(2) ? static_cast<float>(Int(-30, 30)) / 10
                      : static_cast<float>(Int(-99, 99)) / 100;
    case Style::kRealistic:
      return Uniform(-2, 2);
    case Style::kExtreme:
      return OneIn(2) ? static_cast<float>(Int(-2, 2))
                      : kExtremes[Int(0, std::size(kExtremes) - 1)];
  }
  return 0;
}

std::vector<float> Random::Values(Style style, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = Value(style);
  return values;
}

std::vector<uint64_t> Random::Words(const TensorInfo& info, int64_t batch) {
  const auto bytes = ByteCount(info, batch);
  std::vector<uint64_t> words(static_cast<size_t>(*bytes) / 8);
  const int64_t row = info.shape.back();
  const size_t row_words = static_cast<size_t>((row + 63) / 64);
  // Rows of mostly ones and mostly zeros, too: accumulators far from 0.
  const int64_t kind = Int(0, 3);
  for (size_t i = 0; i < words.size(); ++i) {
    words[i] = engine_();
    if (kind == 1) words[i] |= engine_() | engine_();
    if (kind == 2) words[i] &= engine_() & engine_();
    if ((i + 1) % row_words == 0 && row % 64 != 0) {
      words[i] &= (uint64_t{1} << (row % 64)) - 1;
    }
  }
  return words;
}

}  // namespace bqengine::fuzz
