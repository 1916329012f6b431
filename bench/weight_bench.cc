#include "weight_bench.h"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "kernels/binarize.h"
#include "kernels/targets.h"
#include "kernels/w8gemm.h"
#include "kernels/wgemm.h"
#include "measure.h"
#include "roofs.h"
#include "shapes.h"

namespace bqengine::bench {
namespace {

using kernels::ByteType;
using kernels::ConvShape;
using kernels::Encoding;
using kernels::Epilogue;
using kernels::Target;
using kernels::WordsFor;

struct AlignedDelete {
  void operator()(void* memory) const {
    ::operator delete(memory, std::align_val_t(64));
  }
};
template <typename T>
using AlignedArray = std::unique_ptr<T[], AlignedDelete>;

template <typename T>
AlignedArray<T> Allocate(int64_t count) {
  return AlignedArray<T>(static_cast<T*>(
      ::operator new(size_t(count) * sizeof(T), std::align_val_t(64))));
}

// A square kernel, padded to keep an image of stride 1 as large as it is.
ConvShape MakeConv(int64_t size, int64_t in, int64_t kernel, int64_t out,
                   int64_t stride) {
  const int64_t pad = (kernel - 1) / 2;
  const int64_t out_size = (size + 2 * pad - kernel) / stride + 1;
  ConvShape shape = kernels::GemmAsConv(1, in, out);
  kernels::Window& w = shape.window;
  w.in_h = w.in_w = size;
  w.out_h = w.out_w = out_size;
  w.kernel_h = w.kernel_w = kernel;
  w.stride_h = w.stride_w = stride;
  w.pad_top = w.pad_left = w.pad_bottom = w.pad_right = pad;
  return shape;
}

// What all products share, with a mul and an add for each channel.
struct Operands {
  explicit Operands(const ConvShape& shape)
      : taps(shape.window.kernel_h * shape.window.kernel_w),
        pixels(shape.window.batch * shape.window.out_h * shape.window.out_w),
        inputs(shape.window.batch * shape.window.in_h * shape.window.in_w *
               shape.in_channels),
        weight(size_t(shape.out_channels * taps * WordsFor(shape.in_channels))),
        mul(size_t(shape.out_channels), 0.5f),
        y(size_t(pixels * shape.out_channels)) {
    for (uint64_t& word : weight) word = random();
    epilogue.mul = epilogue.add = mul.data();
    epilogue.mul_stride = epilogue.add_stride = 1;
  }

  // `bytes`: of activations and packed weights.
  void Measure(benchmark::State& state, const Roofs& roofs,
               const ConvShape& shape, int64_t bytes,
               const std::function<void()>& kernel) {
    const double macs = double(TapsInside(shape.window)) *
                        double(shape.out_channels * shape.in_channels);
    MeasureAgainstRoofs(state, roofs, macs, {.read = bytes}, [&] {
      kernel();
      benchmark::DoNotOptimize(y.data());
      benchmark::ClobberMemory();
    });
  }

  std::mt19937_64 random{20251123};
  const int64_t taps, pixels, inputs;
  std::vector<uint64_t> weight;
  std::vector<float> mul;
  std::vector<float> y;
  Epilogue epilogue;
};

void MeasureFloats(benchmark::State& state, const ConvShape& shape,
                   Target target) {
  const auto& kernels = *kernels::GetBinaryWeightProductKernels(target);
  Operands o(shape);
  std::vector<float> x(size_t(o.inputs));
  for (float& value : x) value = float(o.random() % 256);
  const int64_t words =
      kernels.packed_words(o.taps * shape.in_channels, shape.out_channels, 1);
  const auto packed = Allocate<uint32_t>(words);
  kernels.pack_weights(o.taps, shape.in_channels, shape.out_channels, 0,
                       shape.out_channels, Encoding::kBipolar, o.weight.data(),
                       o.epilogue, packed.get());
  const auto scratch = Allocate<float>(kernels.conv_scratch_floats(shape));
  o.Measure(state, *GetFloatRoofs(target), shape, 4 * (o.inputs + words), [&] {
    kernels.conv(shape, 1, Encoding::kBipolar, 0, o.pixels, x.data(),
                 packed.get(), o.y.data(), scratch.get());
  });
}

void MeasureBytes(benchmark::State& state, const ConvShape& shape,
                  ByteType type, Target target) {
  const auto& kernels = *kernels::GetByteProductKernels(target);
  Operands o(shape);
  std::vector<uint8_t> x(size_t(o.inputs));
  for (uint8_t& value : x) value = uint8_t(o.random());
  const int64_t words = kernels.packed_words(shape, 1);
  const auto packed = Allocate<uint32_t>(words);
  kernels.pack_weights(shape, Encoding::kBipolar, type, o.weight.data(),
                       o.epilogue, packed.get());
  const auto scratch = Allocate<uint8_t>(kernels.scratch_bytes(shape));
  o.Measure(state, *GetByteRoofs(target), shape, o.inputs + 4 * words, [&] {
    kernels.conv(shape, 1, Encoding::kBipolar, type, 0, o.pixels, 0,
                 shape.out_channels, x.data(), packed.get(), o.y.data(),
                 scratch.get());
  });
}

// Values for multiply-adds; the roof is that of reading.
void MeasureBinarize(benchmark::State& state, int64_t rows, int64_t channels,
                     Target target) {
  const auto& kernels = *kernels::GetBinarizeKernels(target);
  std::mt19937_64 random(20251123);
  std::vector<float> x(size_t(rows * channels));
  for (float& value : x) value = float(random() % 256);
  const std::vector<float> threshold(size_t(channels), 100.0f);
  std::vector<uint64_t> y(size_t(rows * WordsFor(channels)));
  MeasureAgainstRoofs(state, *GetRoofs(target), double(x.size()),
                      {.read = int64_t(x.size() * sizeof(float))}, [&] {
                        kernels.run(rows, channels, x.data(), threshold.data(),
                                    1, y.data());
                        benchmark::DoNotOptimize(y.data());
                        benchmark::ClobberMemory();
                      });
}

void MeasureBinarizeBytes(benchmark::State& state, int64_t rows,
                          int64_t channels, Target target) {
  const auto& kernels = *kernels::GetBinarizeKernels(target);
  std::mt19937_64 random(20251123);
  std::vector<uint8_t> x(size_t(rows * channels));
  for (uint8_t& value : x) value = uint8_t(random());
  const std::vector<float> threshold(size_t(channels), 100.0f);
  std::vector<int8_t> smallest(static_cast<size_t>(channels));
  std::vector<uint64_t> reachable(static_cast<size_t>(WordsFor(channels)));
  kernels::PrepareByteThresholds(channels, ByteType::kUint8, threshold.data(),
                                 1, smallest.data(), reachable.data());
  std::vector<uint64_t> y(size_t(rows * WordsFor(channels)));
  MeasureAgainstRoofs(state, *GetRoofs(target), double(x.size()),
                      {.read = int64_t(x.size())}, [&] {
                        kernels.run_bytes(rows, channels, ByteType::kUint8,
                                          x.data(), smallest.data(),
                                          reachable.data(), y.data());
                        benchmark::DoNotOptimize(y.data());
                        benchmark::ClobberMemory();
                      });
}

using Body = std::function<void(benchmark::State&, Target)>;

void Register(const std::string& name, const Body& body) {
  for (Target target : kernels::CompiledTargets()) {
    if (!kernels::IsUsable(target)) continue;
    benchmark::RegisterBenchmark(
        (name + "/" + kernels::TargetName(target)).c_str(),
        [body, target](benchmark::State& state) { body(state, target); })
        ->Unit(benchmark::kMicrosecond);
  }
}

void RegisterProduct(const std::string& op, const std::string& sizes,
                     const ConvShape& shape) {
  Register("w" + op + "/" + sizes, [shape](benchmark::State& state, Target t) {
    MeasureFloats(state, shape, t);
  });
  Register("w8" + op + "/" + sizes, [shape](benchmark::State& state, Target t) {
    MeasureBytes(state, shape, ByteType::kUint8, t);
  });
  Register("w8" + op + "_int8/" + sizes,
           [shape](benchmark::State& state, Target t) {
             MeasureBytes(state, shape, ByteType::kInt8, t);
           });
}

}  // namespace

void RegisterWeightBenchmarks() {
  RegisterProduct("conv7x7", "224x224x3-64s2", MakeConv(224, 3, 7, 64, 2));
  RegisterProduct("conv3x3", "32x32x3-128", MakeConv(32, 3, 3, 128, 1));
  RegisterProduct("conv3x3", "28x28x64", MakeConv(28, 64, 3, 64, 1));
  RegisterProduct("gemm", "1x1024x784", kernels::GemmAsConv(1, 784, 1024));
  RegisterProduct("gemm", "1x4096x784", kernels::GemmAsConv(1, 784, 4096));
  RegisterProduct("gemm", "64x1024x784", kernels::GemmAsConv(64, 784, 1024));
  Register("binarize/3136x64", [](benchmark::State& state, Target target) {
    MeasureBinarize(state, 3136, 64, target);
  });
  Register("binarize_uint8/3136x64",
           [](benchmark::State& state, Target target) {
             MeasureBinarizeBytes(state, 3136, 64, target);
           });
}

}  // namespace bqengine::bench
