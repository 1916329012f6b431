// The idx files of MNIST (yann.lecun.com/exdb/mnist), plain or gzip: big-endian
// counts, then bytes.
#ifndef BQENGINE_TOOLS_COMMON_IDX_H_
#define BQENGINE_TOOLS_COMMON_IDX_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bqengine/status.h"
#include "common/pixels.h"

namespace bqengine::tools {

// Errors, naming the file: kNotFound, kIo, and kInvalidArgument for a wrong
// magic number, no entries, sizes that do not fit the data, damaged gzip. No
// more is unpacked than the header declares.

// Gray pictures: magic number 2051.
Result<PixelBatch> ReadIdxImages(const std::string& path);

// Labels: magic number 2049.
Result<std::vector<uint8_t>> ReadIdxLabels(const std::string& path);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_IDX_H_
