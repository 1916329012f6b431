// Convolutions and dense layers with binary weights, and often activations, as
// modules in the manner of torch::nn.
//
//   bqtrain::BinaryConv2d conv(bqtrain::BinaryConv2dOptions(32, 64, 3)
//       .padding(1).quantization(bqtrain::Method("bnn")));
//   torch::Tensor y = conv(x);
//
// While training, forward() computes with the quantized weights and gives
// straight-through gradients (estimators.h) to the real ones. In evaluation
// (eval()) it computes, operation for operation, what the exported network
// will: exact sums of bits first, then alpha, beta and bias; it gives no
// gradients then, not even to x.
#ifndef BQTRAIN_BINARY_MODULES_H_
#define BQTRAIN_BINARY_MODULES_H_

#include <torch/torch.h>

#include <string>
#include <vector>

#include "bqtrain/quantization.h"

namespace bqtrain {

// QuantizationOf(name) with numbers of bases; throws c10::Error if that is
// nothing, as torch's own options do.
Quantization Method(const std::string& name, int64_t weight_bases = 1,
                    int64_t activation_bases = 1);

// What both layers share. The members are torch parameters, or undefined where
// the method has none.
class BinaryLayer : public torch::nn::Module {
 public:
  // The real weights: [O, C / groups, KH, KW] or [O, K], as torch's layers.
  torch::Tensor weight;
  torch::Tensor bias;  // [O]
  // kBwn and kAbcNet, if trained_alpha: [M, O]. kUnipolar: [1].
  torch::Tensor alpha;
  // What the papers call beta. kAbcNet activations: the scales beta_n, [N].
  // kUnipolar weights: [1], added to all outputs.
  torch::Tensor beta;
  torch::Tensor weight_shifts;      // kAbcNet: u_m, [M]
  torch::Tensor activation_shifts;  // kAbcNet: v_n, [N]

  const Quantization& quantization() const { return quantization_; }

  // x is [B, C, H, W], or [.., K].
  torch::Tensor forward(const torch::Tensor& x);

  // What the network will keep of the weights, without gradients:
  //   W[o, ...] ~ sum_m alpha[m][o] * bits[m][o, ...]
  // bits is [M, O, ...] of -1 and 1 (kUnipolar: 0 and 1), alpha [M, O], [1] or
  // undefined (1). Not for float weights.
  struct Bases {
    torch::Tensor bits;
    torch::Tensor alpha;
  };
  Bases WeightBases() const;

  // What is added to each output channel in the end: the bias and kUnipolar's
  // beta. [O], or undefined (0).
  torch::Tensor OutputShift() const;

  // The weights that forward() computes with while training (drawn anew by each
  // call for kStochastic), [O, ...].
  torch::Tensor QuantizedWeight() const;

  // Bit n of an activation x is x >= thresholds[n]. Not for float activations.
  std::vector<float> ActivationThresholds() const;

  // Thresholds that evaluation compares with instead, one for each base n: [1],
  // or one for each channel of x. Empty: those above. A Network sets them, so
  // that signs switch where they do in the engine (bqengine/exact_chain.h).
  void set_settled_thresholds(std::vector<torch::Tensor> thresholds) {
    settled_thresholds_ = std::move(thresholds);
  }

  // While off, kStochastic computes with sign(W) in training, too: evaluation
  // does, so the running means of batch norms have to be taken over such
  // outputs. On at first.
  void set_draws_weights(bool draws) { draws_weights_ = draws; }

  // Makes alpha, where it is a parameter, what the weights as they are ask for:
  // after other weights have been put in.
  void ResetAlpha();

  // To be called after each step of the optimizer, as the papers do: keeps
  // weights in [-1, 1] if the method asks for it.
  void ClipWeights();

 protected:
  BinaryLayer(const Quantization& quantization, torch::IntArrayRef weight_shape,
              bool bias);

 private:
  // The layer's product with given inputs and weights, without bias.
  virtual torch::Tensor Product(const torch::Tensor& x,
                                const torch::Tensor& w) const = 0;

  void RegisterWeightParameters();
  torch::Tensor AbcBits() const;  // B_m, [M, O, ...], with gradients
  torch::Tensor ComputedAlpha() const;
  void RegisterActivationParameters();
  torch::Tensor QuantizedInput(const torch::Tensor& x) const;
  torch::Tensor ForwardExact(const torch::Tensor& x) const;
  torch::Tensor AddBias(const torch::Tensor& y) const;
  // A per-channel tensor ([O] or [1]) in the shape that meets outputs.
  torch::Tensor PerChannel(const torch::Tensor& values) const;

  Quantization quantization_;
  bool draws_weights_ = true;
  std::vector<torch::Tensor> settled_thresholds_;
};

struct BinaryConv2dOptions {
  BinaryConv2dOptions(int64_t in_channels, int64_t out_channels,
                      torch::ExpandingArray<2> kernel_size)
      : in_channels_(in_channels),
        out_channels_(out_channels),
        kernel_size_(kernel_size) {}
  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(torch::ExpandingArray<2>, kernel_size);
  TORCH_ARG(torch::ExpandingArray<2>, stride) = 1;
  // Top, left, bottom, right; one number for all. Padding is 0, also between
  // activations of -1 and 1: it adds nothing.
  TORCH_ARG(torch::ExpandingArray<4>, padding) = 0;
  TORCH_ARG(torch::ExpandingArray<2>, dilation) = 1;
  TORCH_ARG(int64_t, groups) = 1;
  TORCH_ARG(bool, bias) = true;
  TORCH_ARG(Quantization, quantization);
};

class BinaryConv2dImpl : public BinaryLayer {
 public:
  explicit BinaryConv2dImpl(const BinaryConv2dOptions& options);
  void pretty_print(std::ostream& stream) const override;
  const BinaryConv2dOptions options;

 private:
  torch::Tensor Product(const torch::Tensor& x,
                        const torch::Tensor& w) const override;
};
TORCH_MODULE(BinaryConv2d);

struct BinaryLinearOptions {
  BinaryLinearOptions(int64_t in_features, int64_t out_features)
      : in_features_(in_features), out_features_(out_features) {}
  TORCH_ARG(int64_t, in_features);
  TORCH_ARG(int64_t, out_features);
  TORCH_ARG(bool, bias) = true;
  TORCH_ARG(Quantization, quantization);
};

class BinaryLinearImpl : public BinaryLayer {
 public:
  explicit BinaryLinearImpl(const BinaryLinearOptions& options);
  void pretty_print(std::ostream& stream) const override;
  const BinaryLinearOptions options;

 private:
  torch::Tensor Product(const torch::Tensor& x,
                        const torch::Tensor& w) const override;
};
TORCH_MODULE(BinaryLinear);

}  // namespace bqtrain

#endif  // BQTRAIN_BINARY_MODULES_H_
