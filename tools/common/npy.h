// NumPy's .npy files: numpy/doc/source/reference/generated/numpy.lib.format,
// versions 1.0 to 3.0. No package of Debian reads them from C++.
#ifndef BQENGINE_TOOLS_COMMON_NPY_H_
#define BQENGINE_TOOLS_COMMON_NPY_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/status.h"

namespace bqengine::tools {

struct NpyArray {
  Shape shape;                // empty: a single number; dimensions may be 0
  std::vector<float> values;  // row-major
};

// Reads an array as float32. Other real types (float64, integers of 1 to 8
// bytes, bool), little-endian, are converted by rounding to the nearest float.
// kNotFound, kIo, or kInvalidArgument naming the file and what is wrong:
// Fortran order, complex, half, big-endian and structured types, truncated or
// overlong data, sizes that overflow.
Result<NpyArray> ReadNpy(const std::string& path);

// The same from memory; `name` stands for the path in errors.
Result<NpyArray> ParseNpy(const std::string& name,
                          std::span<const uint8_t> bytes);

// Writes float32 in version 1.0, whole or not at all. values.size() must be the
// product of `shape`.
Status WriteNpy(const std::string& path, const Shape& shape,
                std::span<const float> values);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_NPY_H_
