// Labelled pictures, as the --dataset option names them.
#ifndef BQENGINE_TOOLS_COMMON_DATASET_H_
#define BQENGINE_TOOLS_COMMON_DATASET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bqengine/status.h"
#include "common/pixels.h"

namespace bqengine::tools {

enum class Split { kTrain, kTest };

struct Dataset {
  PixelBatch images;
  std::vector<uint16_t> labels;               // one per image
  std::vector<std::string> class_names = {};  // by label; empty: it has none
  std::vector<std::string> files = {};        // that it was read from
  int64_t classes = 0;  // 1 + the largest label, also of images beyond a limit
};

// `spec` is one of
//   mnist:DIR           train- or t10k-images-idx3-ubyte in DIR and -labels-
//                       idx1-ubyte, plain or with .gz (also Fashion-MNIST)
//   cifar10:FILE_OR_DIR kTrain: a folder with data_batch_1.bin to data_batch_5
//                       .bin. kTest: a file of CIFAR-10's binary version, or a
//                       folder with test_batch.bin or one other .bin file
//   folder:DIR          pictures, see picture_folder.h
// At most the first `limit` images (0: all). `channels` is for folder:DIR only,
// whose pictures are made gray (1), RGB (3), or left as they are (0). Errors
// name the file. Which outputs of a network the labels belong to,
// class_numbers.h says.
Result<Dataset> ReadDataset(const std::string& spec, Split split,
                            int64_t limit = 0, int64_t channels = 0);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_DATASET_H_
