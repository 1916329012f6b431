// oneDNN: fp32, and int8 in its fastest form (u8 activations, s8 weights, u8
// out, one scale per output channel). Layouts are of its choice, everything is
// reordered beforehand, and of the primitives that can do a layer the fastest
// is taken.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <stdexcept>
#include <utility>

#include "peers/contender.h"

namespace bqengine::bench {
namespace {

using dnnl::memory;
using DataType = memory::data_type;
using Dims = memory::dims;

// OpenMP of whatever compiler built oneDNN: we are not compiled with it, and
// must not bring in a second one.
template <typename Function>
Function* OpenMp(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

void SetThreads(int threads) {
  static auto* const set = OpenMp<void(int)>("omp_set_num_threads");
  static auto* const get = OpenMp<int()>("omp_get_max_threads");
  if (set != nullptr) set(threads);
  if (set == nullptr ? threads > 1 : get() != threads) {
    throw std::runtime_error("oneDNN has no OpenMP: it cannot be held to " +
                             std::to_string(threads) + " threads");
  }
}

// Ends the helper threads, which otherwise spin.
void EndThreads() {
  constexpr int kSoft = 1;  // omp_pause_soft
  static auto* const pause = OpenMp<int(int)>("omp_pause_resource_all");
  if (pause != nullptr) pause(kSoft);
}

std::string IsaName(dnnl::cpu_isa isa) {
  switch (isa) {
    case dnnl::cpu_isa::sse41:
      return "SSE41";
    case dnnl::cpu_isa::avx:
      return "AVX";
    case dnnl::cpu_isa::avx2:
      return "AVX2";
    case dnnl::cpu_isa::avx2_vnni:
      return "AVX2_VNNI";
    case dnnl::cpu_isa::avx512_core:
      return "AVX512_CORE";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "AVX512_CORE_VNNI";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "AVX512_CORE_BF16";
    case dnnl::cpu_isa::avx512_core_amx:
      return "AVX512_CORE_AMX";
    case dnnl::cpu_isa::all:
      return "ALL";
    default:
      return std::to_string(static_cast<int>(isa));
  }
}

// A layer as oneDNN sees it. Its dimensions have a fixed order (N, C, H, W),
// strides say where they are: ours are channels-last.
struct Problem {
  memory::desc x, weight, bias, y;                // as our data lies
  memory::desc any_x, any_weight, any_y;          // as oneDNN likes
  Dims strides, dilations, pads_begin, pads_end;  // convolutions only
};

memory::desc Any(const memory::desc& desc) {
  return memory::desc(desc.dims(), desc.data_type(), memory::format_tag::any);
}

Problem MakeProblem(const Layer& layer, DataType x, DataType weight,
                    DataType y) {
  const kernels::ConvShape& c = layer.shape;
  const kernels::Window& w = c.window;
  const int64_t in = c.in_channels, out = c.out_channels;
  Problem problem;
  problem.bias = memory::desc({out}, DataType::f32, Dims{1});
  if (layer.is_gemm) {
    problem.x = memory::desc({w.batch, in}, x, Dims{in, 1});
    problem.weight = memory::desc({out, in}, weight, Dims{in, 1});
    problem.y = memory::desc({w.batch, out}, y, Dims{out, 1});
  } else {
    const int64_t group_in = in / c.groups, group_out = out / c.groups;
    const int64_t filter = w.kernel_h * w.kernel_w * group_in;
    problem.x = memory::desc({w.batch, in, w.in_h, w.in_w}, x,
                             Dims{w.in_h * w.in_w * in, 1, w.in_w * in, in});
    problem.y =
        memory::desc({w.batch, out, w.out_h, w.out_w}, y,
                     Dims{w.out_h * w.out_w * out, 1, w.out_w * out, out});
    Dims dims = {group_out, group_in, w.kernel_h, w.kernel_w};
    Dims strides = {filter, 1, w.kernel_w * group_in, group_in};
    if (c.groups > 1) {
      dims.insert(dims.begin(), c.groups);
      strides.insert(strides.begin(), group_out * filter);
    }
    problem.weight = memory::desc(dims, weight, strides);
    problem.strides = {w.stride_h, w.stride_w};
    problem.dilations = {w.dilation_h - 1, w.dilation_w - 1};
    problem.pads_begin = {w.pad_top, w.pad_left};
    problem.pads_end = {w.pad_bottom, w.pad_right};
  }
  problem.any_x = Any(problem.x);
  problem.any_weight = Any(problem.weight);
  problem.any_y = Any(problem.y);
  return problem;
}

// A primitive with what to call it by.
struct Primitive {
  dnnl::primitive primitive;
  memory::desc x, weight, y;
  std::string implementation;
};

template <typename Descriptor>
Primitive Describe(const Descriptor& pd) {
  return {.primitive = dnnl::primitive(pd),
          .x = pd.src_desc(),
          .weight = pd.weights_desc(),
          .y = pd.dst_desc(),
          .implementation = pd.impl_info_str()};
}

Primitive MakeConvolution(const Problem& p, dnnl::algorithm algorithm,
                          const dnnl::primitive_attr& attributes,
                          const dnnl::engine& engine) {
  using dnnl::convolution_forward;
  const convolution_forward::desc desc(
      dnnl::prop_kind::forward_inference, algorithm, p.any_x, p.any_weight,
      p.bias, p.any_y, p.strides, p.dilations, p.pads_begin, p.pads_end);
  return Describe(
      convolution_forward::primitive_desc(desc, attributes, engine));
}

Primitive MakeInnerProduct(const Problem& p,
                           const dnnl::primitive_attr& attributes,
                           const dnnl::engine& engine) {
  using dnnl::inner_product_forward;
  const inner_product_forward::desc desc(dnnl::prop_kind::forward_inference,
                                         p.any_x, p.any_weight, p.bias,
                                         p.any_y);
  return Describe(
      inner_product_forward::primitive_desc(desc, attributes, engine));
}

Dims DenseStrides(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t i = dims.size() - 1; i > 0; --i) {
    strides[i - 1] = strides[i] * dims[i];
  }
  return strides;
}

// Floats in the layout `plain`, under the dimensions that a primitive wants.
// Only those of matrices differ: see MakePrimitives.
memory::desc AsFloat(const memory::desc& plain, const memory::desc& wanted) {
  const dnnl_dim_t* strides = plain.data.format_desc.blocking.strides;
  if (wanted.dims() == plain.dims()) {
    return memory::desc(plain.dims(), DataType::f32,
                        Dims(strides, strides + plain.data.ndims));
  }
  const Dims dims = wanted.dims();  // [O, C, 1, 1], or [1, C, 1, rows]
  Dims image_strides = {strides[0], 1, 1, 1};
  if (dims[0] == 1) image_strides[3] = strides[0];
  return memory::desc(dims, DataType::f32, image_strides);
}

enum class Method { kInt8, kFp32, kFp32Winograd };

// All primitives that may be the fastest.
std::vector<Primitive> MakePrimitives(const Layer& layer, Method method,
                                      const Problem& p,
                                      const dnnl::primitive_attr& attributes,
                                      const dnnl::engine& engine) {
  std::vector<Primitive> primitives;
  const auto add = [&](auto make) {
    try {
      primitives.push_back(make());
    } catch (const dnnl::error&) {
      // It cannot do this layer.
    }
  };
  if (layer.is_gemm && method != Method::kFp32Winograd) {
    add([&] { return MakeInnerProduct(p, attributes, engine); });
    // A convolution of images of one pixel: rows become pixels of one image.
    Problem image = p;
    const int64_t rows = layer.shape.window.batch;
    const int64_t in = layer.shape.in_channels;
    const int64_t out = layer.shape.out_channels;
    image.any_x = memory::desc({1, in, 1, rows}, p.x.data_type(),
                               memory::format_tag::nhwc);
    image.any_y = memory::desc({1, out, 1, rows}, p.y.data_type(),
                               memory::format_tag::nhwc);
    image.any_weight = memory::desc({out, in, 1, 1}, p.weight.data_type(),
                                    memory::format_tag::any);
    image.strides = {1, 1};
    image.dilations = image.pads_begin = image.pads_end = {0, 0};
    add([&] {
      return MakeConvolution(image, dnnl::algorithm::convolution_direct,
                             attributes, engine);
    });
  } else if (!layer.is_gemm) {
    const auto algorithm = method == Method::kFp32Winograd
                               ? dnnl::algorithm::convolution_winograd
                               : dnnl::algorithm::convolution_direct;
    add([&] { return MakeConvolution(p, algorithm, attributes, engine); });
  }
  if (primitives.empty()) {
    throw std::runtime_error("no implementation of this layer");
  }
  return primitives;
}

// How far Winograd's algorithm may be off, in multiply-adds. The matrices of
// F(4x4, 3x3) (arXiv:1509.09308) have norms of 10, 1 and 19, each met twice;
// rounding errors of K terms add up as their root.
float WinogradRounding(const Layer& layer) {
  constexpr float kGrowth = 190.0f * 190.0f;
  const float k = float(layer.weight.size()) / float(layer.mul.size());
  return kGrowth * 0.5f * std::numeric_limits<float>::epsilon() * std::sqrt(k);
}

class OnednnContender : public Contender {
 public:
  OnednnContender(const Layer& layer, Method method, int threads)
      : threads_(threads),
        engine_(dnnl::engine::kind::cpu, 0),
        stream_(engine_),
        int8_(method == Method::kInt8),
        rounding_(method == Method::kFp32Winograd ? WinogradRounding(layer)
                                                  : 0.0f) {
    SetThreads(threads);
    const Problem problem =
        int8_ ? MakeProblem(layer, DataType::u8, DataType::s8, DataType::u8)
              : MakeProblem(layer, DataType::f32, DataType::f32, DataType::f32);
    plain_x_ = problem.x;
    plain_y_ = problem.y;
    dnnl::primitive_attr attributes;
    if (int8_) attributes.set_output_scales(1 << 1, layer.mul);
    double best_us = std::numeric_limits<double>::infinity();
    for (Primitive& primitive :
         MakePrimitives(layer, method, problem, attributes, engine_)) {
      Bound bound = Bind(layer, problem, std::move(primitive));
      const double us = ShortestTime(bound);
      if (us < best_us) {
        best_us = us;
        bound_ = std::move(bound);
      }
    }
  }

  void SetInput(const LayerInput& input) override {
    Fill(int8_ ? input.unsigned_x : input.x, plain_x_, bound_->x);
  }
  void Run() override { Execute(*bound_); }
  void Rest() override {
    if (threads_ > 1) EndThreads();
  }
  std::string Implementation() const override {
    return bound_->primitive.implementation;
  }

  Answer Output() override {
    const memory::desc as_float = AsFloat(plain_y_, bound_->primitive.y);
    std::vector<float> y(as_float.get_size() / sizeof(float));
    Reorder(bound_->y, memory(as_float, engine_, y.data()));
    if (!int8_) return {.values = std::move(y), .rounding = rounding_};
    return {.values = std::move(y),
            .of_unsigned = true,
            .step = 1,
            .lowest = 0,
            .highest = 255};
  }

 private:
  // A primitive with its operands, in its layouts.
  struct Bound {
    Primitive primitive;
    memory x, weight, bias, y;
    std::vector<dnnl_exec_arg_t> arguments;
  };

  void Reorder(memory from, memory to) {
    dnnl::reorder(from, to).execute(stream_, from, to);
    stream_.wait();
  }

  // `values`, in our layout, converted to what the primitive wants.
  void Fill(const std::vector<float>& values, const memory::desc& plain,
            const memory& to) {
    const memory::desc wanted = to.get_desc();
    const memory from(AsFloat(plain, wanted), engine_,
                      const_cast<float*>(values.data()));
    // By way of oneDNN's own plain layout: some of its formats (Winograd's) can
    // only be made from that.
    memory dense(
        memory::desc(wanted.dims(), DataType::f32, DenseStrides(wanted.dims())),
        engine_);
    Reorder(from, dense);
    Reorder(dense, to);
  }

  memory Operand(const std::vector<float>& values, const memory::desc& plain,
                 const memory::desc& wanted) {
    memory to(wanted, engine_);
    Fill(values, plain, to);
    return to;
  }

  Bound Bind(const Layer& layer, const Problem& problem, Primitive primitive) {
    std::vector<float> weight = layer.weight, add = layer.add;
    if (int8_) {
      // Biases are added before the scales.
      for (size_t o = 0; o < add.size(); ++o) add[o] /= layer.mul[o];
    } else {
      const size_t filter = weight.size() / add.size();
      for (size_t i = 0; i < weight.size(); ++i) {
        weight[i] *= layer.mul[i / filter];
      }
    }
    Bound bound = {.primitive = std::move(primitive),
                   .x = {},
                   .weight = {},
                   .bias = {},
                   .y = {},
                   .arguments = {}};
    // Of the primitives the fastest is found with this.
    const LayerInput& input = layer.inputs[0];
    bound.x = Operand(int8_ ? input.unsigned_x : input.x, problem.x,
                      bound.primitive.x);
    bound.weight = Operand(weight, problem.weight, bound.primitive.weight);
    bound.bias = Operand(add, problem.bias, problem.bias);
    bound.y = memory(bound.primitive.y, engine_);
    bound.arguments = {{DNNL_ARG_SRC, bound.x.get()},
                       {DNNL_ARG_WEIGHTS, bound.weight.get()},
                       {DNNL_ARG_BIAS, bound.bias.get()},
                       {DNNL_ARG_DST, bound.y.get()}};
    return bound;
  }

  // Through the C interface: the C++ one builds a map at each call.
  void Execute(const Bound& bound) {
    if (dnnl_primitive_execute(bound.primitive.primitive.get(), stream_.get(),
                               int(bound.arguments.size()),
                               bound.arguments.data()) != dnnl_success) {
      throw std::runtime_error("oneDNN failed to run");
    }
  }

  // The quickest of a few runs.
  double ShortestTime(const Bound& bound) {
    using Clock = std::chrono::steady_clock;
    constexpr int kRuns = 10;
    double best_us = std::numeric_limits<double>::infinity();
    for (int i = 0; i < kRuns; ++i) {
      const Clock::time_point start = Clock::now();
      Execute(bound);
      const std::chrono::duration<double, std::micro> took =
          Clock::now() - start;
      best_us = std::min(best_us, took.count());
    }
    return best_us;
  }

  int threads_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  bool int8_;
  float rounding_;
  memory::desc plain_x_, plain_y_;
  std::optional<Bound> bound_;
};

Column MakeColumn(Method method, const std::string& key,
                  const std::string& heading) {
  return {.key = key,
          .heading = heading,
          .make = [method](const Layer& layer,
                           int threads) -> std::unique_ptr<Contender> {
            try {
              return std::make_unique<OnednnContender>(layer, method, threads);
            } catch (const dnnl::error& error) {
              throw std::runtime_error(std::string("oneDNN: ") + error.what());
            }
          }};
}

}  // namespace

void AddOnednn(Engines& engines) {
  const dnnl::version_t* version = dnnl::version();
  engines.onednn = std::to_string(version->major) + "." +
                   std::to_string(version->minor) + "." +
                   std::to_string(version->patch);
  engines.onednn_isa = IsaName(dnnl::get_effective_cpu_isa());
  engines.columns.push_back(
      MakeColumn(Method::kInt8, "onednn_int8_us", "oneDNN int8"));
  engines.columns.push_back(
      MakeColumn(Method::kFp32, "onednn_fp32_us", "oneDNN fp32"));
  engines.columns.push_back(MakeColumn(
      Method::kFp32Winograd, "onednn_fp32_winograd_us", "oneDNN Winograd"));
}

}  // namespace bqengine::bench
