#include <cmath>
#include <new>

#include "bqengine/quantize.h"
#include "bqtrain/binary_modules.h"
#include "bqtrain/estimators.h"

namespace bqtrain {
namespace {

using torch::Tensor;

// Values in the shape that broadcasts over [O, ...] or [M, O, ...].
Tensor Broadcast(const Tensor& values, int64_t dimensions) {
  std::vector<int64_t> shape = values.sizes().vec();
  shape.resize(static_cast<size_t>(dimensions), 1);
  return values.view(shape);
}

// Quantizations are checked before: only memory can be missing.
std::vector<float> AbcNetShifts(int64_t bases) {
  auto shifts = bqengine::quantize::AbcNetShifts(bases);
  if (!shifts.ok()) throw std::bad_alloc();
  return *std::move(shifts);
}

// Thresholds of ABC-Net's bases, [M, O, 1, ...]: B_m = sign(W - mean + u_m *
// std) is 1 where W >= mean - u_m * std. Each output channel has its own mean
// and std, through which no gradient goes (the paper's estimator).
Tensor AbcThresholds(const Tensor& weight, const Tensor& shifts) {
  const Tensor flat = weight.detach().flatten(1);
  const Tensor mean = flat.mean(1);
  const Tensor std = flat.std(1, /*unbiased=*/false);
  const Tensor t = mean - shifts.unsqueeze(1) * std;  // [M, O]
  return Broadcast(t, weight.dim() + 1);
}

// Those alpha, [M, O], that minimize for each channel the sum of squares of
// W - sum_m alpha_m * B_m. The small term on the diagonal (which is 1
// otherwise) keeps bases that are equal from making the system singular.
Tensor LeastSquares(const Tensor& weight, const Tensor& bits) {
  const Tensor w = weight.detach().flatten(1);                // [O, K]
  const Tensor b = bits.detach().flatten(2).transpose(0, 1);  // [O, M, K]
  const double k = static_cast<double>(w.size(1));
  const Tensor right = b.matmul(w.unsqueeze(2)) / k;  // [O, M, 1]
  if (b.size(1) == 1) return right.squeeze(2).t();
  const Tensor gram = b.matmul(b.transpose(1, 2)) / k +
                      1e-6 * torch::eye(b.size(1), w.options());
  return torch::linalg_solve(gram.to(torch::kDouble), right.to(torch::kDouble))
      .squeeze(2)
      .t()
      .to(w.scalar_type())
      .contiguous();
}

Tensor MeanAbs(const Tensor& weight) {
  return weight.abs().flatten(1).mean(1).unsqueeze(0);  // [1, O]
}

}  // namespace

Quantization Method(const std::string& name, int64_t weight_bases,
                    int64_t activation_bases) {
  auto quantization = QuantizationOf(name);
  TORCH_CHECK(quantization.ok(), quantization.status().message());
  quantization->weight_bases = weight_bases;
  quantization->activation_bases = activation_bases;
  const bqengine::Status status = Check(*quantization);
  TORCH_CHECK(status.ok(), status.message());
  return *quantization;
}

BinaryLayer::BinaryLayer(const Quantization& quantization,
                         torch::IntArrayRef weight_shape, bool has_bias)
    : quantization_(quantization) {
  const bqengine::Status status = Check(quantization);
  TORCH_CHECK(status.ok(), status.message());
  weight = register_parameter("weight", torch::empty(weight_shape));
  torch::nn::init::kaiming_uniform_(weight, std::sqrt(5.0));
  if (has_bias) {
    bias = register_parameter("bias", torch::zeros({weight_shape[0]}));
  }
  RegisterWeightParameters();
  RegisterActivationParameters();
}

void BinaryLayer::RegisterWeightParameters() {
  const Quantization& q = quantization_;
  if (q.weights == WeightMethod::kAbcNet) {
    weight_shifts = register_parameter(
        "weight_shifts", torch::tensor(AbcNetShifts(q.weight_bases)),
        /*requires_grad=*/q.trained_shifts);
  }
  if (q.weights == WeightMethod::kUnipolar) {
    beta = register_parameter("beta", torch::zeros({1}));
  }
  if (q.weights == WeightMethod::kUnipolar ||
      (q.trained_alpha && (q.weights == WeightMethod::kBwn ||
                           q.weights == WeightMethod::kAbcNet))) {
    alpha = register_parameter("alpha", ComputedAlpha().clone());
  }
}

Tensor BinaryLayer::AbcBits() const {
  return Threshold(weight, AbcThresholds(weight, weight_shifts), -1, kNoWindow);
}

Tensor BinaryLayer::ComputedAlpha() const {
  const torch::NoGradGuard no_grad;
  switch (quantization_.weights) {
    case WeightMethod::kBwn:
      return MeanAbs(weight);
    case WeightMethod::kAbcNet:
      return LeastSquares(weight, AbcBits());
    case WeightMethod::kUnipolar:
      // Outputs of about the size of those that float weights would give.
      return weight.std().view({1}) * 2;
    default:
      return Tensor();
  }
}

void BinaryLayer::ResetAlpha() {
  const torch::NoGradGuard no_grad;
  if (alpha.defined()) alpha.copy_(ComputedAlpha());
}

void BinaryLayer::RegisterActivationParameters() {
  const Quantization& q = quantization_;
  if (q.activations != ActivationMethod::kAbcNet) return;
  // Steps of equal height at thresholds spread evenly over [-1, 1], where most
  // of what a batch norm gives lies.
  std::vector<float> shifts = AbcNetShifts(q.activation_bases);
  for (float& shift : shifts) shift += 0.5f;
  activation_shifts =
      register_parameter("activation_shifts", torch::tensor(shifts),
                         /*requires_grad=*/q.trained_shifts);
  beta = register_parameter(
      "beta", torch::full({q.activation_bases},
                          1.0 / static_cast<double>(q.activation_bases)));
}

Tensor BinaryLayer::forward(const Tensor& x) {
  if (!is_training()) {
    const torch::NoGradGuard no_grad;
    return ForwardExact(x);
  }
  Tensor y = Product(QuantizedInput(x), QuantizedWeight());
  if (quantization_.weights == WeightMethod::kUnipolar) y = y + beta;
  return AddBias(y);
}

Tensor BinaryLayer::QuantizedWeight() const {
  const Quantization& q = quantization_;
  switch (q.weights) {
    case WeightMethod::kFloat:
      return weight;
    case WeightMethod::kBinaryConnect:
      return Sign(weight);
    case WeightMethod::kStochastic:
      return draws_weights_ ? StochasticSign(weight) : Sign(weight);
    case WeightMethod::kBwn: {
      const Tensor scale = alpha.defined() ? alpha : MeanAbs(weight);
      return Broadcast(scale.squeeze(0), weight.dim()) * Sign(weight);
    }
    case WeightMethod::kAbcNet: {
      const Tensor bits = AbcBits();
      const Tensor scale = alpha.defined() ? alpha : LeastSquares(weight, bits);
      return (Broadcast(scale, bits.dim()) * bits).sum(0);
    }
    case WeightMethod::kUnipolar:
      return alpha *
             Threshold(weight, torch::full({1}, quantization_.threshold), 0, 1);
  }
  return weight;
}

BinaryLayer::Bases BinaryLayer::WeightBases() const {
  const torch::NoGradGuard no_grad;
  switch (quantization_.weights) {
    case WeightMethod::kFloat:
      TORCH_CHECK(false, "float weights have no bases");
    case WeightMethod::kBinaryConnect:
    case WeightMethod::kStochastic:
      return {Sign(weight).unsqueeze(0), Tensor()};
    case WeightMethod::kBwn:
      return {Sign(weight).unsqueeze(0),
              alpha.defined() ? alpha : MeanAbs(weight)};
    case WeightMethod::kAbcNet: {
      const Tensor bits = AbcBits();
      return {bits, alpha.defined() ? alpha : LeastSquares(weight, bits)};
    }
    case WeightMethod::kUnipolar:
      return {Threshold(weight, torch::full({1}, quantization_.threshold), 0, 1)
                  .unsqueeze(0),
              alpha};
  }
  return {};
}

std::vector<float> BinaryLayer::ActivationThresholds() const {
  switch (quantization_.activations) {
    case ActivationMethod::kFloat:
      TORCH_CHECK(false, "float activations have no thresholds");
    case ActivationMethod::kSign:
      return {0.0f};
    case ActivationMethod::kUnipolar:
      return {quantization_.threshold};
    case ActivationMethod::kAbcNet: {
      const Tensor t = (0.5 - activation_shifts.detach()).contiguous();
      return {t.data_ptr<float>(), t.data_ptr<float>() + t.numel()};
    }
  }
  return {};
}

Tensor BinaryLayer::QuantizedInput(const Tensor& x) const {
  switch (quantization_.activations) {
    case ActivationMethod::kFloat:
      return x;
    case ActivationMethod::kSign:
      return Sign(x);
    case ActivationMethod::kUnipolar:
      return Threshold(x, torch::full({1}, quantization_.threshold), 0, 1);
    case ActivationMethod::kAbcNet:
      break;
  }
  const Tensor thresholds = 0.5 - activation_shifts;
  Tensor sum;
  for (int64_t n = 0; n < beta.numel(); ++n) {
    const Tensor term =
        beta[n] * Threshold(x, thresholds.slice(0, n, n + 1), -1, 0.5);
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

// engine/README.md, BinaryConv: s = sum_n beta[n] * (sum_m alpha[m] * acc).
Tensor BinaryLayer::ForwardExact(const Tensor& x) const {
  if (quantization_.is_float()) return AddBias(Product(x, weight));
  const Bases bases = WeightBases();
  std::vector<Tensor> inputs;
  if (quantization_.activations == ActivationMethod::kFloat) {
    inputs.push_back(x);
  } else {
    const bool unipolar =
        quantization_.activations == ActivationMethod::kUnipolar;
    std::vector<Tensor> thresholds = settled_thresholds_;
    if (thresholds.empty()) {
      for (const float t : ActivationThresholds()) {
        thresholds.push_back(torch::full({1}, t));
      }
    }
    for (const Tensor& threshold : thresholds) {
      const Tensor bits =
          x.ge(PerChannel(threshold.to(x.device()))).to(x.scalar_type());
      inputs.push_back(unipolar ? bits : bits * 2 - 1);
    }
  }
  const bool scaled_inputs =
      quantization_.activations == ActivationMethod::kAbcNet;
  Tensor sum;
  for (size_t n = 0; n < inputs.size(); ++n) {
    Tensor inner;
    for (int64_t m = 0; m < bases.bits.size(0); ++m) {
      Tensor term = Product(inputs[n], bases.bits[m]);
      if (bases.alpha.defined()) {
        const Tensor scale =
            bases.alpha.dim() == 2 ? bases.alpha[m] : bases.alpha;
        term = term * PerChannel(scale);
      }
      inner = inner.defined() ? inner + term : term;
    }
    if (scaled_inputs) inner = inner * beta[static_cast<int64_t>(n)];
    sum = sum.defined() ? sum + inner : inner;
  }
  const Tensor shift = OutputShift();
  return shift.defined() ? sum + PerChannel(shift) : sum;
}

Tensor BinaryLayer::OutputShift() const {
  const torch::NoGradGuard no_grad;
  if (quantization_.weights != WeightMethod::kUnipolar) return bias;
  return bias.defined() ? bias + beta : beta.expand({weight.size(0)});
}

Tensor BinaryLayer::PerChannel(const Tensor& values) const {
  return weight.dim() == 4 ? values.view({-1, 1, 1}) : values;
}

Tensor BinaryLayer::AddBias(const Tensor& y) const {
  return bias.defined() ? y + PerChannel(bias) : y;
}

void BinaryLayer::ClipWeights() {
  if (!quantization_.clips_weights()) return;
  const torch::NoGradGuard no_grad;
  weight.clamp_(-1, 1);
}

}  // namespace bqtrain
