// Moving runs of bits that start and end anywhere in their words.
#ifndef BACKENDS_REFERENCE_BIT_COPY_H_
#define BACKENDS_REFERENCE_BIT_COPY_H_

#include <algorithm>
#include <cstdint>

#include "kernels/shapes.h"

namespace bqengine::backends::reference {

// Copies `count` bits from position `from` of `source` to position `to` of
// `destination`, where they must be zero. Touches no word that holds none of
// them.
inline void CopyBits(const uint64_t* source, int64_t from,
                     uint64_t* destination, int64_t to, int64_t count) {
  using kernels::kWordBits;
  while (count > 0) {
    const int64_t source_shift = from % kWordBits;
    const int64_t destination_shift = to % kWordBits;
    // As far as the nearer of the two words reaches.
    const int64_t run =
        std::min(count, kWordBits - std::max(source_shift, destination_shift));
    const uint64_t bits =
        (source[from / kWordBits] >> source_shift) & kernels::TailMask(run);
    destination[to / kWordBits] |= bits << destination_shift;
    from += run;
    to += run;
    count -= run;
  }
}

}  // namespace bqengine::backends::reference

#endif  // BACKENDS_REFERENCE_BIT_COPY_H_
