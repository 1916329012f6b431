#include "shapes.h"

#include <charconv>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace bqengine::bench {
namespace {

using kernels::BconvSpec;

struct Options {
  int64_t out = 0;  // 0: as many as there are inputs
  int64_t stride = 1, dilation = 1, groups = 1;
  int64_t bases = 1;  // of the weights, and as many of the activations
};

// A square kernel, padded so that stride 1 keeps the size of the image. A
// matrix product has one pixel and as many images as rows.
BconvSpec MakeSpec(int64_t batch, int64_t height, int64_t width, int64_t in,
                   int64_t kernel, const Options& options, bool bits_out) {
  const int64_t pad = (kernel - 1) * options.dilation / 2;
  const auto outputs = [&](int64_t inputs) {
    const int64_t reach = options.dilation * (kernel - 1) + 1;
    return (inputs + 2 * pad - reach) / options.stride + 1;
  };
  return {.shape = {.window = {.batch = batch,
                               .in_h = height,
                               .in_w = width,
                               .out_h = outputs(height),
                               .out_w = outputs(width),
                               .kernel_h = kernel,
                               .kernel_w = kernel,
                               .stride_h = options.stride,
                               .stride_w = options.stride,
                               .dilation_h = options.dilation,
                               .dilation_w = options.dilation,
                               .pad_top = pad,
                               .pad_left = pad,
                               .pad_bottom = pad,
                               .pad_right = pad},
                    .in_channels = in,
                    .out_channels = options.out,
                    .groups = options.groups},
          .format = {},
          .epilogue = {.weight_bases = options.bases,
                       .activation_bases = options.bases},
          .bits_out = bits_out};
}

// Reads a whole number from 1 to 2^20; false if `text` is something else.
bool ParseSize(const std::string& text, int64_t& size) {
  constexpr int64_t kMaxSize = 1 << 20;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, size);
  return error == std::errc() && stop == end && size >= 1 && size <= kMaxSize;
}

// Reads `key=size`.
bool ParseOption(const std::string& word, Options& options) {
  const size_t equals = word.find('=');
  if (equals == std::string::npos) return false;
  const std::string key = word.substr(0, equals);
  int64_t* const size = key == "out"        ? &options.out
                        : key == "stride"   ? &options.stride
                        : key == "dilation" ? &options.dilation
                        : key == "groups"   ? &options.groups
                        : key == "bases"    ? &options.bases
                                            : nullptr;
  return size != nullptr && ParseSize(word.substr(equals + 1), *size);
}

// What a name says beyond height, width and channels: "-128s2".
std::string OptionsName(const Options& options, int64_t in) {
  std::string name;
  if (options.out != in) name += "-" + std::to_string(options.out);
  if (options.stride > 1) name += "s" + std::to_string(options.stride);
  if (options.dilation > 1) name += "d" + std::to_string(options.dilation);
  if (options.groups > 1) name += "g" + std::to_string(options.groups);
  if (options.bases > 1) name += "b" + std::to_string(options.bases);
  return name;
}

// The block of ReActNet (arXiv:2003.03488): a residual, a PReLU between two
// shifts, and both the floats and their signs. Who measures it brings the
// constants.
void MakeBlock(BconvSpec& spec) {
  using kernels::PostOp;
  spec.bits_out = spec.floats_too = true;
  spec.epilogue.post_steps = 4;
  spec.epilogue.post[0] = {.op = PostOp::kResidual};
  spec.epilogue.post[1] = {.op = PostOp::kAdd};
  spec.epilogue.post[2] = {.op = PostOp::kPRelu};
  spec.epilogue.post[3] = {.op = PostOp::kAdd};
}

bool ParseShape(const std::string& line, BenchmarkShape& shape) {
  std::istringstream words(line);
  std::string op;
  std::vector<int64_t> sizes;
  Options options;
  words >> op;
  for (std::string word; words >> word;) {
    int64_t size = 0;
    if (ParseSize(word, size)) {
      sizes.push_back(size);
    } else if (!ParseOption(word, options)) {
      return false;
    }
  }

  const bool bits = op.ends_with("_bits");
  const bool block = op.ends_with("_block");
  std::ostringstream name;
  if ((op == "bgemm" || op == "bgemm_bits") && sizes.size() == 3) {
    shape.spec = MakeSpec(sizes[0], 1, 1, sizes[2], 1, {.out = sizes[1]}, bits);
    name << op << "/" << sizes[0] << "x" << sizes[1] << "x" << sizes[2];
  } else if ((op == "bconv" || op == "bconv_bits" || op == "bconv_block") &&
             sizes.size() == 4) {
    const int64_t in = sizes[2], kernel = sizes[3];
    if (options.out == 0) options.out = in;
    if (in % options.groups != 0 || options.out % options.groups != 0) {
      return false;
    }
    shape.spec = MakeSpec(1, sizes[0], sizes[1], in, kernel, options, bits);
    if (shape.spec.shape.window.out_h < 1 ||
        shape.spec.shape.window.out_w < 1) {
      return false;
    }
    if (block) MakeBlock(shape.spec);
    name << "bconv" << kernel << "x" << kernel << op.substr(5) << "/"
         << sizes[0] << "x" << sizes[1] << "x" << in
         << OptionsName(options, in);
  } else {
    return false;
  }
  shape.name = name.str();
  return true;
}

// Of one axis.
int64_t TapsInside(int64_t in, int64_t out, int64_t kernel, int64_t stride,
                   int64_t dilation, int64_t pad) {
  int64_t taps = 0;
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t k = 0; k < kernel; ++k) {
      const int64_t i = o * stride - pad + k * dilation;
      taps += i >= 0 && i < in ? 1 : 0;
    }
  }
  return taps;
}

}  // namespace

int64_t TapsInside(const kernels::Window& w) {
  return w.batch *
         TapsInside(w.in_h, w.out_h, w.kernel_h, w.stride_h, w.dilation_h,
                    w.pad_top) *
         TapsInside(w.in_w, w.out_w, w.kernel_w, w.stride_w, w.dilation_w,
                    w.pad_left);
}

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
