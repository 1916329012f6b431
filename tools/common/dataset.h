// Labelled test sets, as the --dataset option names them.
#ifndef BQENGINE_TOOLS_COMMON_DATASET_H_
#define BQENGINE_TOOLS_COMMON_DATASET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bqengine/status.h"
#include "common/pixels.h"

namespace bqengine::tools {

struct Dataset {
  PixelBatch images;
  std::vector<uint8_t> labels;  // one per image
};

// `spec` is one of
//   mnist:DIR           t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte in
//                       DIR, each plain or with .gz (also Fashion-MNIST)
//   cifar10:FILE_OR_DIR a file of CIFAR-10's binary version, or a folder with
//                       test_batch.bin, or with one other .bin file
// At most `limit` images (0: all). Errors name the file.
Result<Dataset> ReadDataset(const std::string& spec, int64_t limit = 0);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_DATASET_H_
