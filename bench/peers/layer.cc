#include "peers/layer.h"

#include <algorithm>
#include <random>
#include <set>

namespace bqengine::bench {
namespace {

// Rows of `bits` random signs.
void RandomSigns(std::mt19937_64& random, int64_t rows, int64_t bits,
                 std::vector<float>& values, std::vector<uint64_t>& packed) {
  const int64_t words = kernels::WordsFor(bits);
  values.reserve(size_t(rows * bits));
  packed.assign(size_t(rows * words), 0);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < bits; ++i) {
      const uint64_t bit = random() >> 63;
      values.push_back(bit == 1 ? 1.0f : -1.0f);
      packed[size_t(row * words + i / kernels::kWordBits)] |=
          bit << (i % kernels::kWordBits);
    }
  }
}

}  // namespace

double Layer::Macs() const {
  return double(OutputPixels()) * double(weight.size());
}

int64_t Layer::OutputPixels() const {
  return shape.window.batch * shape.window.out_h * shape.window.out_w;
}

Layer MakeLayer(const BenchmarkShape& shape) {
  std::mt19937_64 random(20250715);
  const kernels::ConvShape& conv = shape.spec.shape;
  const kernels::Window& w = conv.window;
  const size_t slash = shape.name.find('/');
  Layer layer = {.op = shape.name.substr(0, slash),
                 .shape_name = shape.name.substr(slash + 1),
                 .shape = conv,
                 .is_gemm = shape.name.starts_with("bgemm"),
                 .x = {},
                 .weight = {},
                 .x_bits = {},
                 .weight_bits = {},
                 .mul = {},
                 .add = {}};
  RandomSigns(random, w.batch * w.in_h * w.in_w, conv.in_channels, layer.x,
              layer.x_bits);
  RandomSigns(random, conv.out_channels * w.kernel_h * w.kernel_w,
              conv.in_channels / conv.groups, layer.weight, layer.weight_bits);
  // Powers of two and small whole numbers: nothing is rounded.
  std::uniform_int_distribution<int> exponent(-2, 1), whole(-8, 8);
  for (int64_t o = 0; o < conv.out_channels; ++o) {
    const int power = exponent(random);
    layer.mul.push_back(power < 0 ? 1.0f / float(1 << -power)
                                  : float(1 << power));
    layer.add.push_back(float(whole(random)));
  }
  return layer;
}

std::vector<BenchmarkShape> ReadLayerShapes(
    const std::vector<std::string>& paths) {
  std::vector<BenchmarkShape> shapes;
  std::set<std::string> names;
  for (const std::string& path : paths) {
    for (BenchmarkShape& shape : ReadShapes(path)) {
      // No peer has several bases, or the steps of a block.
      if (shape.spec.epilogue.weight_bases > 1 ||
          shape.spec.epilogue.post_steps > 0) {
        continue;
      }
      const size_t slash = shape.name.find('/');
      const size_t suffix = std::min(shape.name.find('_'), slash);
      shape.name.erase(suffix, slash - suffix);
      if (names.insert(shape.name).second) shapes.push_back(shape);
    }
  }
  return shapes;
}

}  // namespace bqengine::bench
