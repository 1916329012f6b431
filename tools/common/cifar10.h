// The binary version of CIFAR-10 (www.cs.toronto.edu/~kriz/cifar.html): records
// of one label byte and 1024 bytes each of red, green and blue.
#ifndef BQENGINE_TOOLS_COMMON_CIFAR10_H_
#define BQENGINE_TOOLS_COMMON_CIFAR10_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bqengine/status.h"
#include "common/pixels.h"

namespace bqengine::tools {

struct Cifar10 {
  PixelBatch images;
  std::vector<uint8_t> labels;  // 0 to 9
};

// kNotFound, kIo, or kInvalidArgument naming
// the file: no whole number of records, none, a label above 9.
Result<Cifar10> ReadCifar10(const std::string& path);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_CIFAR10_H_
