#include "bgrouped_rows.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace bqengine::kernels {

void LayOutPixels(const BgroupedPlan& plan, const uint64_t* row, uint64_t* to) {
  const Window& w = plan.shape.window;
  const int64_t words = WordsFor(plan.shape.in_channels);
  const int64_t pitch = plan.pixel_words, step = w.stride_w * words;
  const uint64_t padding = PaddingWord(plan);
  for (int64_t i = 0; i < plan.phases; ++i, to += plan.phase_words) {
    const RowPhase phase(w, i);
    uint64_t* at = std::fill_n(to, phase.before * pitch, padding);
    const uint64_t* from = row + phase.in * words;
    if (step == pitch) {
      std::memcpy(at, from, size_t(phase.inside * pitch) * sizeof(uint64_t));
      at += phase.inside * pitch;
    } else {
      for (int64_t n = phase.inside; n > 0; --n, from += step) {
        for (int64_t j = 0; j < words; ++j) at[j] = from[j];
        for (int64_t j = words; j < pitch; ++j) at[j] = 0;
        at += pitch;
      }
    }
    std::fill_n(at, phase.behind * pitch, padding);
  }
}

}  // namespace bqengine::kernels
