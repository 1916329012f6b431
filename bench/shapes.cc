#include "shapes.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace bqengine::bench {
namespace {

using kernels::BconvSpec;

// A square kernel of stride 1, as many outputs as inputs. A matrix product has
// one pixel and as many images as rows.
BconvSpec MakeSpec(int64_t batch, int64_t height, int64_t width, int64_t in,
                   int64_t out, int64_t kernel, bool bits_out) {
  return {.shape = {.window = {.batch = batch,
                               .in_h = height,
                               .in_w = width,
                               .out_h = height,
                               .out_w = width,
                               .kernel_h = kernel,
                               .kernel_w = kernel,
                               .stride_h = 1,
                               .stride_w = 1,
                               .dilation_h = 1,
                               .dilation_w = 1,
                               .pad_top = (kernel - 1) / 2,
                               .pad_left = (kernel - 1) / 2},
                    .in_channels = in,
                    .out_channels = out,
                    .groups = 1},
          .format = {},
          .epilogue = {},
          .bits_out = bits_out};
}

bool ParseShape(const std::string& line, BenchmarkShape& shape) {
  std::istringstream words(line);
  std::string op, rest;
  std::vector<int64_t> sizes;
  words >> op;
  for (int64_t size; words >> size;) sizes.push_back(size);
  words.clear();
  if (words >> rest) return false;
  constexpr int64_t kMaxSize = 1 << 20;
  const bool in_range =
      std::all_of(sizes.begin(), sizes.end(),
                  [](int64_t size) { return size >= 1 && size <= kMaxSize; });
  if (!in_range) return false;

  const bool bits = op.ends_with("_bits");
  std::ostringstream name;
  if ((op == "bgemm" || op == "bgemm_bits") && sizes.size() == 3) {
    shape.spec = MakeSpec(sizes[0], 1, 1, sizes[2], sizes[1], 1, bits);
    name << op << "/" << sizes[0] << "x" << sizes[1] << "x" << sizes[2];
  } else if ((op == "bconv" || op == "bconv_bits") && sizes.size() == 4) {
    shape.spec =
        MakeSpec(1, sizes[0], sizes[1], sizes[2], sizes[2], sizes[3], bits);
    name << "bconv" << sizes[3] << "x" << sizes[3] << (bits ? "_bits" : "")
         << "/" << sizes[0] << "x" << sizes[1] << "x" << sizes[2];
  } else {
    return false;
  }
  shape.name = name.str();
  return true;
}

}  // namespace

std::vector<BenchmarkShape> ReadShapes(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<BenchmarkShape> shapes;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    BenchmarkShape shape;
    if (!ParseShape(line, shape)) {
      throw std::runtime_error(path + ":" + std::to_string(number) +
                               ": not a shape: " + line);
    }
    shapes.push_back(shape);
  }
  if (shapes.empty()) throw std::runtime_error(path + ": no shapes");
  return shapes;
}

}  // namespace bqengine::bench
