// Microbenchmarks of the binary kernels, one thread: every shape of a file on
// every instruction set of the machine. See bench/README.md.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/bconv.h"
#include "kernels/bgrouped.h"
#include "kernels/targets.h"
#include "measure.h"
#include "roofs.h"
#include "shapes.h"
#include "weight_bench.h"

namespace bqengine::bench {
namespace {

using kernels::BconvPart;
using kernels::BconvPlan;
using kernels::BconvSpec;
using kernels::Target;
using kernels::WordsFor;

struct AlignedDelete {
  void operator()(std::byte* memory) const {
    ::operator delete(memory, std::align_val_t(64));
  }
};
using AlignedMemory = std::unique_ptr<std::byte, AlignedDelete>;

AlignedMemory Allocate(uint64_t bytes) {
  return AlignedMemory(
      static_cast<std::byte*>(::operator new(bytes, std::align_val_t(64))));
}

// Packed rows of random bits, padding bits zero.
std::vector<uint64_t> RandomRows(std::mt19937_64& random, int64_t rows,
                                 int64_t bits) {
  const int64_t words = WordsFor(bits);
  std::vector<uint64_t> packed;
  for (int64_t i = 0; i < rows * words; ++i) {
    const bool last = i % words == words - 1;
    packed.push_back(random() &
                     (last ? kernels::TailMask(bits) : ~uint64_t{0}));
  }
  return packed;
}

std::vector<float> RandomFloats(std::mt19937_64& random, int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

// Sweeps the whole output in parts, as the cpu backend does on one thread. With
// mul and add for each channel, or with a threshold, or with both and steps
// between them.
void Measure(benchmark::State& state, BconvSpec spec, Target target) {
  std::mt19937_64 random(20250715);
  const kernels::Window& w = spec.shape.window;
  const int64_t in = spec.shape.in_channels, out = spec.shape.out_channels;
  const int64_t pixels = w.batch * w.out_h * w.out_w;
  const int64_t taps = w.kernel_h * w.kernel_w;
  const int64_t group_in = in / spec.shape.groups;
  const int64_t weight_bases = spec.epilogue.weight_bases;
  const int64_t bases = spec.epilogue.activation_bases;
  const int64_t image_words = w.batch * w.in_h * w.in_w * WordsFor(in);
  const std::vector<uint64_t> x =
      RandomRows(random, bases * w.batch * w.in_h * w.in_w, in);
  const std::vector<uint64_t> weight =
      RandomRows(random, weight_bases * out * taps, group_in);
  const std::vector<float> alpha = RandomFloats(random, weight_bases * out);
  const std::vector<float> beta = RandomFloats(random, bases);
  if (weight_bases * bases > 1) {
    spec.epilogue.alpha = alpha.data();
    spec.epilogue.alpha_per_channel = true;
    spec.epilogue.beta = beta.data();
  }
  const std::vector<float> mul = RandomFloats(random, out);
  const std::vector<float> add = RandomFloats(random, out);
  spec.epilogue.mul = mul.data();
  spec.epilogue.mul_stride = 1;
  spec.epilogue.add = add.data();
  spec.epilogue.add_stride = 1;

  for (int i = 0; i < spec.epilogue.post_steps; ++i) {
    kernels::PostStep& step = spec.epilogue.post[i];
    if (step.op != kernels::PostOp::kResidual) step.value = add.data();
    step.stride = 1;
  }
  const std::vector<float> residual = RandomFloats(random, pixels * out);

  const kernels::BgemmKernels& kernels = *kernels::GetBgemmKernels(target);
  const AlignedMemory memory = Allocate(BconvPlanBytes(kernels, spec));
  const BconvPlan plan =
      MakeBconvPlan(kernels, spec, weight.data(), memory.get());
  const int64_t part_pixels = BconvPartPixels(kernels, plan);
  const AlignedMemory scratch = Allocate(BconvScratchBytes(plan, part_pixels));
  const bool floats_out = !spec.bits_out || spec.floats_too;
  // Aligned, as a session's memory is.
  const AlignedMemory y_memory =
      Allocate(floats_out ? uint64_t(pixels * out) * sizeof(float) : 0);
  float* const y = reinterpret_cast<float*>(y_memory.get());
  std::vector<uint64_t> y_bits(
      size_t(spec.bits_out ? pixels * WordsFor(out) : 0));
  std::vector<const uint64_t*> inputs;
  for (int64_t n = 0; n < bases; ++n) {
    inputs.push_back(x.data() + n * image_words);
  }

  MeasureAgainstRoofs(
      state, *GetRoofs(target),
      double(TapsInside(w)) * double(out * group_in * weight_bases * bases),
      {.read = int64_t((x.size() + weight.size()) * sizeof(uint64_t))}, [&] {
        for (int64_t first = 0; first < pixels; first += part_pixels) {
          const BconvPart part = {
              .first_pixel = first,
              .pixels = std::min(part_pixels, pixels - first),
              .first_channel = 0,
              .channels = out};
          RunBconv(kernels, plan, part, inputs.data(),
                   {.y = floats_out ? y : nullptr,
                    .y_bits = spec.bits_out ? y_bits.data() : nullptr,
                    .residual = residual.data()},
                   scratch.get());
        }
        benchmark::DoNotOptimize(y);
        benchmark::DoNotOptimize(y_bits.data());
        benchmark::ClobberMemory();
      });
}

// The same for narrow groups, which have kernels and a roof of their own. What
// is written counts, too: there are few multiply-adds for each output.
void MeasureGrouped(benchmark::State& state, BconvSpec spec, Target target) {
  std::mt19937_64 random(20261123);
  const kernels::Window& w = spec.shape.window;
  const int64_t in = spec.shape.in_channels, out = spec.shape.out_channels;
  const int64_t pixels = w.batch * w.out_h * w.out_w;
  const int64_t taps = w.kernel_h * w.kernel_w;
  const int64_t group_in = in / spec.shape.groups;
  const std::vector<uint64_t> x =
      RandomRows(random, w.batch * w.in_h * w.in_w, in);
  const std::vector<uint64_t> weight = RandomRows(random, out * taps, group_in);
  const std::vector<float> mul = RandomFloats(random, out);
  const std::vector<float> add = RandomFloats(random, out);
  spec.epilogue.mul = mul.data();
  spec.epilogue.mul_stride = 1;
  spec.epilogue.add = add.data();
  spec.epilogue.add_stride = 1;

  const kernels::BgroupedKernels& kernels =
      *kernels::GetBgroupedKernels(target);
  const AlignedMemory memory = Allocate(BgroupedPlanBytes(kernels, spec));
  const kernels::BgroupedPlan plan =
      MakeBgroupedPlan(kernels, spec, weight.data(), memory.get());
  const AlignedMemory scratch = Allocate(BgroupedScratchBytes(plan));
  const int64_t y_bytes =
      spec.bits_out ? pixels * WordsFor(out) * int64_t{sizeof(uint64_t)}
                    : pixels * out * int64_t{sizeof(float)};
  const AlignedMemory y = Allocate(uint64_t(y_bytes));

  const Traffic traffic = {
      .read = int64_t(x.size() * sizeof(uint64_t)) + out * taps * group_in / 8,
      .write = y_bytes};
  MeasureAgainstRoofs(
      state, *GetPlaneRoofs(target),
      double(TapsInside(w)) * double(out * group_in), traffic, [&] {
        void* const to = y.get();
        kernels.run(plan, 0, w.batch * w.out_h, x.data(),
                    spec.bits_out ? nullptr : static_cast<float*>(to),
                    spec.bits_out ? static_cast<uint64_t*>(to) : nullptr,
                    scratch.get());
        benchmark::DoNotOptimize(to);
        benchmark::ClobberMemory();
      });
}

void RegisterAll(const std::vector<BenchmarkShape>& shapes) {
  for (const BenchmarkShape& shape : shapes) {
    for (Target target : kernels::CompiledTargets()) {
      if (!kernels::IsUsable(target)) continue;
      const std::string name = shape.name + "/" + kernels::TargetName(target);
      benchmark::RegisterBenchmark(name.c_str(), [spec = shape.spec, target](
                                                     benchmark::State& state) {
        const auto measure = UsesBgrouped(spec) ? MeasureGrouped : Measure;
        measure(state, spec, target);
      })->Unit(benchmark::kMicrosecond);
    }
  }
}

// Takes --shapes=FILE out of the arguments.
std::string ShapesFile(int& argc, char** argv) {
  constexpr std::string_view kFlag = "--shapes=";
  std::string path = BQE_BENCH_SHAPES;
  const auto is_flag = [&](std::string_view argument) {
    if (!argument.starts_with(kFlag)) return false;
    path = argument.substr(kFlag.size());
    return true;
  };
  argc = int(std::remove_if(argv + 1, argv + argc, is_flag) - argv);
  return path;
}

}  // namespace
}  // namespace bqengine::bench

int main(int argc, char** argv) {
  const std::string path = bqengine::bench::ShapesFile(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  try {
    bqengine::bench::RegisterAll(bqengine::bench::ReadShapes(path));
    bqengine::bench::RegisterWeightBenchmarks();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bq-bench: %s\n", error.what());
    return 2;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
