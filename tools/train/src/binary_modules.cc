#include "bqtrain/binary_modules.h"

namespace bqtrain {
namespace {

namespace F = torch::nn::functional;
using torch::Tensor;

int64_t ChannelsOfGroup(const BinaryConv2dOptions& o) {
  TORCH_CHECK(o.groups() > 0 && o.in_channels() % o.groups() == 0 &&
                  o.out_channels() % o.groups() == 0,
              "channels must be a multiple of groups");
  return o.in_channels() / o.groups();
}

}  // namespace

BinaryConv2dImpl::BinaryConv2dImpl(const BinaryConv2dOptions& o)
    : BinaryLayer(o.quantization(),
                  {o.out_channels(), ChannelsOfGroup(o), (*o.kernel_size())[0],
                   (*o.kernel_size())[1]},
                  o.bias()),
      options(o) {}

Tensor BinaryConv2dImpl::Product(const Tensor& x, const Tensor& w) const {
  const auto& [top, left, bottom, right] = *options.padding();
  const bool even = top == bottom && left == right;
  const Tensor padded =
      even ? x : F::pad(x, F::PadFuncOptions({left, right, top, bottom}));
  const std::vector<int64_t> padding = {even ? top : 0, even ? left : 0};
  return torch::conv2d(padded, w, Tensor(), *options.stride(), padding,
                       *options.dilation(), options.groups());
}

void BinaryConv2dImpl::pretty_print(std::ostream& stream) const {
  stream << "bqtrain::BinaryConv2d(" << options.in_channels() << ", "
         << options.out_channels() << ", kernel_size=" << options.kernel_size()
         << ", weights=" << Name(quantization().weights)
         << ", activations=" << Name(quantization().activations) << ")";
}

BinaryLinearImpl::BinaryLinearImpl(const BinaryLinearOptions& o)
    : BinaryLayer(o.quantization(), {o.out_features(), o.in_features()},
                  o.bias()),
      options(o) {}

Tensor BinaryLinearImpl::Product(const Tensor& x, const Tensor& w) const {
  return torch::linear(x, w);
}

void BinaryLinearImpl::pretty_print(std::ostream& stream) const {
  stream << "bqtrain::BinaryLinear(" << options.in_features() << ", "
         << options.out_features()
         << ", weights=" << Name(quantization().weights)
         << ", activations=" << Name(quantization().activations) << ")";
}

}  // namespace bqtrain
