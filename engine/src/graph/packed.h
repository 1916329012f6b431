// Rows of bits in 64-bit words: element i is bit i % 64 of word i / 64, and
// the bits beyond a row's end are zero.
#ifndef ENGINE_SRC_GRAPH_PACKED_H_
#define ENGINE_SRC_GRAPH_PACKED_H_

#include <cstdint>

namespace bqengine {

inline constexpr int64_t kWordBits = 64;

// Words of a row of `bits` elements, at least 1. Any int64 will do.
constexpr int64_t WordsFor(int64_t bits) { return (bits - 1) / kWordBits + 1; }

// The bits in use in the last word of such a row.
constexpr uint64_t TailMask(int64_t bits) {
  return ~uint64_t{0} >> ((kWordBits - bits % kWordBits) % kWordBits);
}

}  // namespace bqengine

#endif  // ENGINE_SRC_GRAPH_PACKED_H_
