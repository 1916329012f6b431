// One layer to compare, with operands that every engine gets, and its answers.
#ifndef BENCH_PEERS_LAYER_H_
#define BENCH_PEERS_LAYER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/shapes.h"
#include "shapes.h"

namespace bqengine::bench {

// What goes in, and what must come out: by the scalar twin of the kernels, from
// the floats.
struct LayerInput {
  std::vector<float> x;          // [batch, H, W, C], -1 and +1
  std::vector<uint64_t> x_bits;  // the same, packed
  std::vector<float> y;          // [pixels, O]
  // For engines whose activations have no sign: 0 in place of -1.
  std::vector<float> unsigned_x, unsigned_y;
};

// y = acc * mul + add for each output channel, acc a convolution padded with 0
// of -1 and +1 by -1 and +1. The floats are such that any order of summation
// and any rounding gives the same y, and add / mul is a whole number.
struct Layer {
  std::string op;            // "bconv3x3"
  std::string shape_name;    // "56x56x64"
  kernels::ConvShape shape;  // a matrix product: rows are images of one pixel
  bool is_gemm;
  std::vector<float> weight;          // [O, KH, KW, C / groups]
  std::vector<uint64_t> weight_bits;  // the same, packed
  std::vector<float> mul, add;        // [O]
  // Two: who answers without looking at the input is wrong on one of them.
  std::vector<LayerInput> inputs;

  double Macs() const;
  int64_t OutputPixels() const;  // of all images
};

Layer MakeLayer(const BenchmarkShape& shape);

// Reads the files one after the other; of layers that differ only in what they
// write (bconv, bconv_bits), or not at all, there is one. Throws
// std::runtime_error.
std::vector<BenchmarkShape> ReadLayerShapes(
    const std::vector<std::string>& paths);

}  // namespace bqengine::bench

#endif  // BENCH_PEERS_LAYER_H_
