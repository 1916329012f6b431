// Pictures to calibrate with.
#ifndef BQENGINE_TOOLS_QUANTIZE_IMAGES_H_
#define BQENGINE_TOOLS_QUANTIZE_IMAGES_H_

#include <cstdint>
#include <string>

#include "bqengine/model.h"
#include "bqengine/status.h"
#include "common/limits.h"
#include "run/inputs.h"

namespace bqengine::ptq {

struct Images {
  int64_t count = 0;
  std::vector<run::Values> values;  // of the network's input; one entry
};

// `count` pictures, fewer if there are not as many, spread evenly over all of
// them. `source` is a data set (kind:PATH, see common/dataset.h), of which the
// training images are taken; a folder of PNG and JPEG files, also in folders of
// its own, one per class, say; or a file that bq-run takes as --input (.npy,
// idx, a picture). Errors name the file.
Result<Images> ReadImages(const Model& model, const std::string& source,
                          int64_t count, const run::Note& note,
                          const tools::Limits& limits);

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_IMAGES_H_
