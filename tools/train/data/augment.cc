#include "train/data/augment.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

namespace bqengine::train {
namespace {

constexpr int kMaxMove = 1 << 16;

// The N of "KIND:N".
std::optional<int> Argument(std::string_view part, std::string_view kind) {
  if (!part.starts_with(kind)) return std::nullopt;
  part.remove_prefix(kind.size());
  int value = 0;
  const auto [end, error] =
      std::from_chars(part.data(), part.data() + part.size(), value);
  const bool whole = error == std::errc() && end == part.data() + part.size();
  if (!whole || value < 1 || value > kMaxMove) return std::nullopt;
  return value;
}

// Where the pixel at `i` of `size` comes from; -1: from nowhere.
int64_t Source(int64_t i, int64_t size, Border border) {
  if (i >= 0 && i < size) return i;
  if (border == Border::kZero) return -1;
  return i < 0 ? -i : 2 * (size - 1) - i;
}

// `to`[x] = `from`[x + across], by `border` where there is none.
void MoveRow(const uint8_t* from, int64_t width, int64_t channels,
             int64_t across, Border border, uint8_t* to) {
  const int64_t begin = std::max<int64_t>(0, -across);
  const int64_t end = std::min(width, width - across);
  std::copy(from + (begin + across) * channels,
            from + (end + across) * channels, to + begin * channels);
  const auto fill_border = [&](int64_t first, int64_t last) {
    for (int64_t x = first; x < last; ++x) {
      const int64_t source = Source(x + across, width, border);
      if (source < 0) {
        std::fill_n(to + x * channels, channels, uint8_t{0});
      } else {
        std::copy_n(from + source * channels, channels, to + x * channels);
      }
    }
  };
  fill_border(0, begin);
  fill_border(end, width);
}

void FlipRow(int64_t width, int64_t channels, uint8_t* row) {
  for (int64_t left = 0, right = width - 1; left < right; ++left, --right) {
    std::swap_ranges(row + left * channels, row + (left + 1) * channels,
                     row + right * channels);
  }
}

}  // namespace

Result<Augmentation> ParseAugmentation(const std::string& text) {
  Augmentation augmentation;
  std::string_view rest = text == "none" ? std::string_view() : text;
  while (!rest.empty()) {
    const std::string_view part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    const auto wrong = [&part](const char* what) {
      return Status(StatusCode::kInvalidArgument,
                    "augmentation '" + std::string(part) + "' " + what);
    };
    const std::optional<int> shift = Argument(part, "shift:");
    const std::optional<int> crop = Argument(part, "crop:");
    if (part == "flip") {
      augmentation.flip = true;
    } else if (!shift && !crop) {
      return wrong("is none of shift:N, crop:N and flip, with N from 1");
    } else if (augmentation.move > 0) {
      return wrong("is a second move; one of shift and crop is enough");
    } else {
      augmentation.move = shift ? *shift : *crop;
      augmentation.border = shift ? Border::kZero : Border::kMirror;
    }
  }
  return augmentation;
}

void Augment(const tools::PixelBatch& from, int64_t i,
             const Augmentation& augmentation, Random random,
             std::span<uint8_t> out) {
  const std::span<const uint8_t> picture = from.item(i);
  const bool flipped = augmentation.flip && random.Below(2) == 1;
  int64_t across = 0, down = 0;
  if (augmentation.move > 0) {
    const auto choices = static_cast<uint32_t>(2 * augmentation.move + 1);
    across = int64_t{random.Below(choices)} - augmentation.move;
    down = int64_t{random.Below(choices)} - augmentation.move;
  }
  if (!flipped && across == 0 && down == 0) {
    std::copy(picture.begin(), picture.end(), out.begin());
    return;
  }

  const int64_t row_size = from.width * from.channels;
  for (int64_t y = 0; y < from.height; ++y) {
    uint8_t* to = out.data() + y * row_size;
    const int64_t source = Source(y + down, from.height, augmentation.border);
    if (source < 0) {
      std::fill_n(to, row_size, uint8_t{0});
      continue;
    }
    MoveRow(picture.data() + source * row_size, from.width, from.channels,
            across, augmentation.border, to);
    if (flipped) FlipRow(from.width, from.channels, to);
  }
}

}  // namespace bqengine::train
