#include "peers/layer.h"

#include <algorithm>
#include <random>
#include <set>

#include "kernels/reference.h"

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

std::vector<float> RightAnswer(const Layer& layer,
                               const std::vector<float>& x) {
  const size_t out = size_t(layer.shape.out_channels);
  std::vector<float> y(size_t(layer.OutputPixels()) * out);
  kernels::reference::Conv(layer.shape, x.data(), layer.weight.data(), nullptr,
                           y.data());
  for (size_t i = 0; i < y.size(); ++i) {
    y[i] = y[i] * layer.mul[i % out] + layer.add[i % out];
  }
  return y;
}

LayerInput MakeInput(std::mt19937_64& random, const Layer& layer) {
  const kernels::Window& w = layer.shape.window;
  LayerInput input;
  RandomSigns(random, w.batch * w.in_h * w.in_w, layer.shape.in_channels,
              input.x, input.x_bits);
  input.y = RightAnswer(layer, input.x);
  for (const float x : input.x) input.unsigned_x.push_back(std::max(x, 0.0f));
  input.unsigned_y = RightAnswer(layer, input.unsigned_x);
  return input;
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
                 .weight = {},
                 .weight_bits = {},
                 .mul = {},
                 .add = {},
                 .inputs = {}};
  RandomSigns(random, conv.out_channels * w.kernel_h * w.kernel_w,
              conv.in_channels / conv.groups, layer.weight, layer.weight_bits);
  // Powers of two and small even numbers: nothing is rounded.
  std::uniform_int_distribution<int> exponent(-2, 1), half(-4, 4);
  for (int64_t o = 0; o < conv.out_channels; ++o) {
    const int power = exponent(random);
    layer.mul.push_back(power < 0 ? 1.0f / float(1 << -power)
                                  : float(1 << power));
    layer.add.push_back(float(2 * half(random)));
  }
  constexpr int kInputs = 2;
  for (int i = 0; i < kInputs; ++i) {
    layer.inputs.push_back(MakeInput(random, layer));
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
