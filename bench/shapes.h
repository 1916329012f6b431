// The shapes to measure, from a text file (bench/shapes/).
#ifndef BENCH_SHAPES_H_
#define BENCH_SHAPES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/bconv.h"

namespace bqengine::bench {

struct BenchmarkShape {
  std::string name;  // "bgemm/784x256x2304", "bconv3x3/56x56x64-128s2"
  kernels::BconvSpec spec;
};

// Positions of the kernel on the image, of all outputs together. Those on
// padding are no work: what is counted for a roof are these.
int64_t TapsInside(const kernels::Window& window);

// Throws std::runtime_error with file and line.
std::vector<BenchmarkShape> ReadShapes(const std::string& path);

}  // namespace bqengine::bench

#endif  // BENCH_SHAPES_H_
