// Pictures of training data, moved and mirrored at random.
#ifndef BQENGINE_TOOLS_TRAIN_DATA_AUGMENT_H_
#define BQENGINE_TOOLS_TRAIN_DATA_AUGMENT_H_

#include <cstdint>
#include <span>
#include <string>

#include "bqengine/status.h"
#include "common/pixels.h"
#include "train/data/random.h"

namespace bqengine::train {

// What a move uncovers at the border: pixels of value 0, or the picture
// mirrored at its outermost row or column (which is not repeated).
enum class Border { kZero, kMirror };

struct Augmentation {
  // Each picture moves by -move to move pixels, each as likely, across and
  // down. The same as cutting the picture's size out of one padded by `move`.
  int move = 0;
  Border border = Border::kZero;
  bool flip = false;  // then left and right change places, half of the times
};

// A list like "shift:2", "crop:4,flip": shift:N is a move by up to N with zeros
// at the border, crop:N one with mirrored borders. "" and "none" are no
// augmentation. kInvalidArgument naming the part that is wrong.
Result<Augmentation> ParseAugmentation(const std::string& text);

// Writes picture `i` of `from` to `out`, of item_size() bytes, augmented by
// `random`. `move` is below the height and the width.
void Augment(const tools::PixelBatch& from, int64_t i,
             const Augmentation& augmentation, Random random,
             std::span<uint8_t> out);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_DATA_AUGMENT_H_
