#include "binary_product.h"

#include <algorithm>
#include <string>

namespace bqengine::backends::cpu {
namespace {

using kernels::BconvPart;
using kernels::BconvSpec;

// Channels of a part begin at a cache line of the output, where its rows do:
// two threads must not write to one word of packed output, and should not often
// write to one line.
constexpr int64_t kLineBits = 512;

// Binary multiply-adds of a task worth another thread: 3 microseconds with
// AVX-512 popcount, 10 with SSE4.
constexpr int64_t kMinTaskWork = 3'000'000;

// Fewer pixels in a part do not pay for reading all weights again: channels are
// split instead, if there are enough.
constexpr int64_t kMinPartPixels = 32;

int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
int64_t DivideUp(int64_t value, int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

}  // namespace

BconvSpec BconvSpecOf(const NodeView& node, const kernels::ConvShape& shape) {
  const BinaryOutputOf output(node);
  return {.shape = shape,
          .format = BinaryFormatOf(node),
          .epilogue = EpilogueOf(node),
          .bits_out = output.bits(),
          .floats_too = output.bits() && output.floats()};
}

BinaryProduct::BinaryProduct(const BconvSpec& spec, const NodeView& node,
                             Target target)
    : kernels_(*kernels::GetBgemmKernels(target)),
      memory_(static_cast<std::byte*>(::operator new(
          kernels::BconvPlanBytes(kernels_, spec), std::align_val_t(64)))),
      plan_(kernels::MakeBconvPlan(
          kernels_, spec, node.constant("weight").words(), memory_.get())),
      work_per_pixel_(spec.shape.out_channels * plan_.groups[0].steps *
                      kernels::kStepBits * spec.epilogue.weight_bases *
                      spec.epilogue.activation_bases),
      output_of_(node),
      pixels_per_item_(spec.shape.window.batch * spec.shape.window.out_h *
                       spec.shape.window.out_w),
      part_pixels_(kernels::BconvPartPixels(kernels_, plan_)),
      pointers_bytes_(uint64_t(RoundUp(
          spec.epilogue.activation_bases * int64_t{sizeof(uint64_t*)}, 64))),
      scratch_bytes_(kernels::BconvScratchBytes(plan_, part_pixels_)) {}

uint64_t BinaryProduct::WorkspaceBytes(int64_t /*batch*/,
                                       uint32_t threads) const {
  return pointers_bytes_ + threads * scratch_bytes_;
}

BinaryProduct::Split BinaryProduct::SplitRun(int64_t pixels,
                                             uint32_t threads) const {
  const int64_t out = plan_.shape.out_channels;
  const int64_t fewest = DivideUp(pixels, part_pixels_);
  Split split = {.pixels = std::min(part_pixels_, pixels),
                 .pixel_parts = fewest,
                 .channels = out,
                 .channel_parts = 1};
  const int64_t most = pixels * work_per_pixel_ / kMinTaskWork;
  // A few tasks for each thread, for some finish late; as many for each.
  const int64_t wanted = std::min(int64_t{4} * threads, most);
  if (threads == 1 || wanted < 2) return split;
  const int64_t channel_step =
      output_of_.bits() ? kLineBits : int64_t{kernels::kWordBits};
  const bool few_pixels =
      pixels < RoundUp(std::max(fewest, wanted), threads) * kMinPartPixels;
  if (few_pixels && plan_.shape.groups == 1 && out > channel_step) {
    split.channels = RoundUp(DivideUp(out * fewest, wanted), channel_step);
    split.channel_parts = DivideUp(out, split.channels);
    return split;
  }
  const int64_t parts = RoundUp(
      std::max(fewest, few_pixels ? int64_t{2} * threads : wanted), threads);
  split.pixels = DivideUp(pixels, parts);
  if (!few_pixels) split.pixels = RoundUp(split.pixels, kernels_.tile_rows);
  split.pixel_parts = DivideUp(pixels, split.pixels);
  return split;
}

void BinaryProduct::Run(const RunContext& run) const {
  const int64_t pixels = pixels_per_item_ * run.batch();
  const Split split = SplitRun(pixels, run.threads());
  std::byte* workspace = static_cast<std::byte*>(run.workspace());
  const uint64_t** inputs = reinterpret_cast<const uint64_t**>(workspace);
  for (int64_t n = 0; n < plan_.groups[0].activation_bases; ++n) {
    inputs[n] = run.input<uint64_t>(size_t(n));
  }
  const kernels::BinaryOutput output = output_of_(run);

  const auto task = [&](int64_t index, uint32_t thread) {
    const int64_t pixel = index / split.channel_parts * split.pixels;
    const int64_t channel = index % split.channel_parts * split.channels;
    const BconvPart part = {
        .first_pixel = pixel,
        .pixels = std::min(split.pixels, pixels - pixel),
        .first_channel = channel,
        .channels =
            std::min(split.channels, plan_.shape.out_channels - channel)};
    RunBconv(kernels_, plan_, part, inputs, output,
             workspace + pointers_bytes_ + thread * scratch_bytes_);
  };
  if (run.threads() == 1 || pixels * work_per_pixel_ < 2 * kMinTaskWork) {
    for (int64_t index = 0; index < split.Tasks(); ++index) task(index, 0);
    return;
  }
  run.ParallelFor(split.Tasks(), task);
}

}  // namespace bqengine::backends::cpu
