// What the tests of the SIMD binary kernels share: random operands and
// epilogues, and a product run both ways.
#ifndef TESTS_KERNELS_BINARY_TEST_UTIL_H_
#define TESTS_KERNELS_BINARY_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "kernel_test_util.h"
#include "kernels/bconv.h"
#include "kernels/epilogue.h"
#include "kernels/reference.h"
#include "kernels/shapes.h"
#include "kernels/targets.h"

namespace bqengine::kernels {

// Packed rows with cleared padding bits.
inline std::vector<uint64_t> RandomRows(Random& random, int64_t rows,
                                        int64_t bits) {
  const int64_t words = WordsFor(bits);
  std::vector<uint64_t> packed(size_t(rows * words));
  // Rows of equal bits reach the largest counts.
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t kind = Uniform(random, 0, 9);
    for (int64_t i = 0; i < words; ++i) {
      packed[size_t(row * words + i)] =
          kind == 0 ? 0 : (kind == 1 ? ~uint64_t{0} : random());
    }
    packed[size_t(row * words + words - 1)] &= TailMask(bits);
  }
  return packed;
}

// Mostly ordinary values, of either sign; sometimes 0, sometimes none at all.
inline float RandomConstant(Random& random, bool special) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (special && OneIn(random, 8)) {
    const float values[] = {0.0f,          -0.0f,  kInfinity, -kInfinity,
                            std::nanf(""), 1e-42f, -3e-42f,   3e38f};
    return values[Uniform(random, 0, 7)];
  }
  return std::normal_distribution<float>(0.1f, 1.5f)(random);
}

// The arrays that an Epilogue points to.
struct RandomEpilogue {
  Epilogue epilogue;
  std::vector<float> alpha, beta, mul, add, threshold;
  std::vector<float> post[kMaxPostSteps];

  // `spread`: a typical accumulator.
  static std::unique_ptr<RandomEpilogue> Make(Random& random, int64_t out,
                                              float spread) {
    auto e = std::make_unique<RandomEpilogue>();
    Epilogue& p = e->epilogue;
    if (OneIn(random, 4)) {
      p.weight_bases = Uniform(random, 1, 3);
      p.activation_bases = Uniform(random, 1, 3);
      p.alpha_per_channel = OneIn(random, 2);
      if (!OneIn(random, 3)) {
        p.alpha = Fill(random, e->alpha,
                       p.weight_bases * (p.alpha_per_channel ? out : 1), 1.0f);
      }
      if (!OneIn(random, 3)) {
        p.beta = Fill(random, e->beta, p.activation_bases, 1.0f);
      }
    }
    if (!OneIn(random, 3)) {
      p.mul_stride = Uniform(random, 0, 1);
      p.mul = Fill(random, e->mul, p.mul_stride == 0 ? 1 : out, 1.0f);
    }
    if (!OneIn(random, 3)) {
      p.add_stride = Uniform(random, 0, 1);
      p.add = Fill(random, e->add, p.add_stride == 0 ? 1 : out, spread);
    }
    if (!OneIn(random, 3)) {
      p.threshold_stride = Uniform(random, 0, 1);
      p.threshold =
          Fill(random, e->threshold, p.threshold_stride == 0 ? 1 : out, spread);
    }
    if (OneIn(random, 2)) AddPost(random, out, spread, *e);
    return e;
  }

 private:
  static void AddPost(Random& random, int64_t out, float spread,
                      RandomEpilogue& e) {
    Epilogue& p = e.epilogue;
    p.post_steps = int(Uniform(random, 1, kMaxPostSteps));
    for (int i = 0; i < p.post_steps; ++i) {
      PostStep& step = p.post[i];
      step.op = PostOp(Uniform(random, 0, int64_t(PostOp::kResidual)));
      if (step.op == PostOp::kRelu || step.op == PostOp::kResidual) continue;
      const bool clips = step.op == PostOp::kClip;
      const bool adds = step.op == PostOp::kAdd;
      step.stride = Uniform(random, 0, 1);
      const int64_t count = clips ? 2 : step.stride == 1 ? out : 1;
      step.value =
          Fill(random, e.post[i], count, clips || adds ? spread : 1.0f);
    }
  }

  static const float* Fill(Random& random, std::vector<float>& values,
                           int64_t count, float scale) {
    values.resize(size_t(count));
    for (float& value : values) value = scale * RandomConstant(random, true);
    return values.data();
  }
};

// alpha, mul and add of any values, or absent; the rest does not belong to
// products whose activations are no bits.
inline std::unique_ptr<RandomEpilogue> RandomWeightEpilogue(Random& random,
                                                            int64_t out) {
  auto e = RandomEpilogue::Make(random, out, 1.0f);
  e->epilogue.activation_bases = 1;
  e->epilogue.beta = nullptr;
  e->epilogue.threshold = nullptr;
  e->epilogue.post_steps = 0;
  return e;
}

struct Pads {
  int64_t top, left, bottom, right;
};

inline int64_t OutSize(int64_t in, int64_t pads, int64_t kernel, int64_t stride,
                       int64_t dilation) {
  const int64_t extent = (kernel - 1) * dilation + 1;
  return in + pads < extent ? 0 : (in + pads - extent) / stride + 1;
}

// Fills in the output size; false if there is no output.
inline bool SetOutput(const Pads& pads, Window& w) {
  w.pad_top = pads.top;
  w.pad_left = pads.left;
  w.out_h = OutSize(w.in_h, pads.top + pads.bottom, w.kernel_h, w.stride_h,
                    w.dilation_h);
  w.out_w = OutSize(w.in_w, pads.left + pads.right, w.kernel_w, w.stride_w,
                    w.dilation_w);
  return w.out_h > 0 && w.out_w > 0;
}

inline void RandomizeFormat(Random& random, BconvSpec& spec) {
  const bool bipolar = OneIn(random, 2);
  spec.format = {
      .activations = bipolar ? Encoding::kBipolar : Encoding::kUnipolar,
      .weights = OneIn(random, 2) ? Encoding::kBipolar : Encoding::kUnipolar,
      .pad_value = int(Uniform(random, bipolar ? -1 : 0, 1))};
  spec.bits_out = OneIn(random, 2);
  spec.floats_too = spec.bits_out && OneIn(random, 3);
}

// A square kernel over a square image; channels of all groups together.
inline BconvSpec Square(int64_t size, int64_t in, int64_t out, int64_t kernel,
                        int64_t pad, int64_t groups = 1, int64_t stride = 1,
                        int64_t dilation = 1) {
  BconvSpec spec = {};
  spec.shape = {.window = {.batch = 1,
                           .in_h = size,
                           .in_w = size,
                           .out_h = 0,
                           .out_w = 0,
                           .kernel_h = kernel,
                           .kernel_w = kernel,
                           .stride_h = stride,
                           .stride_w = stride,
                           .dilation_h = dilation,
                           .dilation_w = dilation,
                           .pad_top = 0,
                           .pad_left = 0},
                .in_channels = in,
                .out_channels = out,
                .groups = groups};
  EXPECT_TRUE(SetOutput({pad, pad, pad, pad}, spec.shape.window));
  return spec;
}

inline std::string Describe(const BconvSpec& spec) {
  const Window& w = spec.shape.window;
  const Epilogue& e = spec.epilogue;
  std::ostringstream text;
  text << "image " << w.batch << "x" << w.in_h << "x" << w.in_w << "x"
       << spec.shape.in_channels << " kernel " << w.kernel_h << "x"
       << w.kernel_w << " stride " << w.stride_h << "," << w.stride_w
       << " dilation " << w.dilation_h << "," << w.dilation_w << " pad "
       << w.pad_top << "," << w.pad_left << " of " << spec.format.pad_value
       << " out " << w.out_h << "x" << w.out_w << "x" << spec.shape.out_channels
       << " groups " << spec.shape.groups
       << (spec.format.activations == Encoding::kBipolar ? " bipolar"
                                                         : " unipolar")
       << (spec.format.weights == Encoding::kBipolar ? " x bipolar"
                                                     : " x unipolar")
       << (spec.bits_out ? " to bits" : "")
       << (spec.bits_out && !spec.floats_too ? "" : " to float") << " M "
       << e.weight_bases << " N " << e.activation_bases
       << (e.alpha ? " alpha" : "") << (e.beta ? " beta" : "")
       << (e.mul ? " mul" : "") << (e.add ? " add" : "")
       << (e.threshold ? " threshold" : "") << " post";
  for (int i = 0; i < e.post_steps; ++i) text << " " << int(e.post[i].op);
  return text.str();
}

// The output rectangles of a convolution, of random sizes, in random order.
inline std::vector<BconvPart> RandomParts(Random& random,
                                          const ConvShape& shape) {
  const Window& w = shape.window;
  const int64_t pixels = w.batch * w.out_h * w.out_w;
  const int64_t out = shape.out_channels;
  std::vector<BconvPart> parts;
  for (int64_t first = 0; first < pixels;) {
    const int64_t count = std::min(Uniform(random, 1, 40), pixels - first);
    for (int64_t channel = 0; channel < out;) {
      const int64_t channels =
          shape.groups > 1
              ? out
              : std::min(Uniform(random, 1, 3) * 64, out - channel);
      parts.push_back({.first_pixel = first,
                       .pixels = count,
                       .first_channel = channel,
                       .channels = channels});
      channel += channels;
    }
    first += count;
  }
  std::shuffle(parts.begin(), parts.end(), random);
  return parts;
}

enum class Operands {
  kRandom,
  kOpposite,  // all ones and all zeros: counts as high as they can be
};

// Compiles and runs `spec` for `target`, and compares with the scalar twin.
inline void CheckConvolution(Target target, const BconvSpec& spec,
                             Random& random,
                             Operands operands = Operands::kRandom) {
  SCOPED_TRACE(Describe(spec));
  const ConvShape& shape = spec.shape;
  const Window& w = shape.window;
  const int64_t pixels = w.batch * w.out_h * w.out_w;
  const int64_t out = shape.out_channels;

  std::vector<std::vector<uint64_t>> x;
  for (int64_t n = 0; n < spec.epilogue.activation_bases; ++n) {
    x.push_back(
        RandomRows(random, w.batch * w.in_h * w.in_w, shape.in_channels));
  }
  std::vector<uint64_t> weight = RandomRows(
      random, spec.epilogue.weight_bases * out * w.kernel_h * w.kernel_w,
      shape.in_channels / shape.groups);
  if (operands == Operands::kOpposite) {
    const int64_t words = WordsFor(shape.in_channels);
    for (std::vector<uint64_t>& rows : x) {
      for (size_t i = 0; i < rows.size(); ++i) {
        const bool last = int64_t(i) % words == words - 1;
        rows[i] = last ? TailMask(shape.in_channels) : ~uint64_t{0};
      }
    }
    std::fill(weight.begin(), weight.end(), 0);
  }
  std::vector<std::unique_ptr<BeforeForbidden<uint64_t>>> images;
  std::vector<const uint64_t*> inputs;
  for (const std::vector<uint64_t>& rows : x) {
    images.push_back(std::make_unique<BeforeForbidden<uint64_t>>(rows));
    inputs.push_back(images.back()->data());
  }

  const bool floats_out = !spec.bits_out || spec.floats_too;
  std::vector<float> want(size_t(floats_out ? pixels * out : 0));
  std::vector<uint64_t> want_bits(
      size_t(spec.bits_out ? pixels * WordsFor(out) : 0));
  std::vector<float> residual_values(static_cast<size_t>(pixels * out));
  for (float& value : residual_values) {
    value = 9.0f * RandomConstant(random, true);
  }
  const BeforeForbidden<float> residual(residual_values);
  reference::BinaryConv(shape, spec.format, inputs.data(), weight.data(),
                        spec.epilogue,
                        {.y = floats_out ? want.data() : nullptr,
                         .y_bits = spec.bits_out ? want_bits.data() : nullptr,
                         .residual = residual.data()});

  const BgemmKernels* kernels = GetBgemmKernels(target);
  ASSERT_NE(kernels, nullptr);
  Guarded<std::byte> memory(int64_t(BconvPlanBytes(*kernels, spec)));
  const BconvPlan plan =
      MakeBconvPlan(*kernels, spec, weight.data(), memory.data());
  Guarded<float> y(int64_t(want.size()));
  Guarded<uint64_t> y_bits(int64_t(want_bits.size()));
  for (const BconvPart& part : RandomParts(random, shape)) {
    Guarded<std::byte> scratch(int64_t(BconvScratchBytes(plan, part.pixels)));
    RunBconv(*kernels, plan, part, inputs.data(),
             {.y = floats_out ? y.data() : nullptr,
              .y_bits = spec.bits_out ? y_bits.data() : nullptr,
              .residual = residual.data()},
             scratch.data());
    ASSERT_TRUE(scratch.GuardsIntact());
  }
  EXPECT_TRUE(memory.GuardsIntact());
  ExpectSame(y, want);
  ExpectSame(y_bits, want_bits);
}

}  // namespace bqengine::kernels

#endif  // TESTS_KERNELS_BINARY_TEST_UTIL_H_
