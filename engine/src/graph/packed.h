// Rows of bits in 64-bit words: element i is bit i % 64 of word i / 64, and
// the bits beyond a row's end are zero. Kernels count on that: a bit there would
// be counted as an element.
#ifndef ENGINE_SRC_GRAPH_PACKED_H_
#define ENGINE_SRC_GRAPH_PACKED_H_

#include <cstdint>
#include <optional>
#include <span>

namespace bqengine {

inline constexpr int64_t kWordBits = 64;

// Words of a row of `bits` elements, at least 1. Any int64 will do.
constexpr int64_t WordsFor(int64_t bits) { return (bits - 1) / kWordBits + 1; }

// The bits in use in the last word of such a row.
constexpr uint64_t TailMask(int64_t bits) {
  return ~uint64_t{0} >> ((kWordBits - bits % kWordBits) % kWordBits);
}

// The first row of `row_bits` elements that has a bit beyond its end.
inline std::optional<size_t> RowWithStrayBits(std::span<const uint64_t> words,
                                              int64_t row_bits) {
  if (row_bits % kWordBits == 0) return std::nullopt;
  const uint64_t unused = ~TailMask(row_bits);
  const size_t row_words = static_cast<size_t>(WordsFor(row_bits));
  for (size_t i = row_words - 1; i < words.size(); i += row_words) {
    if ((words[i] & unused) != 0) return i / row_words;
  }
  return std::nullopt;
}

}  // namespace bqengine

#endif  // ENGINE_SRC_GRAPH_PACKED_H_
