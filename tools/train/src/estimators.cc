#include "bqtrain/estimators.h"

#include <ATen/ExpandUtils.h>

namespace bqtrain {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// I[abs(x - threshold) <= window] * gradient
Tensor InWindow(const Tensor& gradient, const Tensor& distance, double window) {
  if (window == kNoWindow) return gradient;
  // A distance of NaN is in no window.
  return gradient.masked_fill((distance.abs() <= window).logical_not(), 0);
}

class ThresholdFunction : public torch::autograd::Function<ThresholdFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x,
                        const Tensor& threshold, double low, double window) {
    context->save_for_backward({x, threshold});
    context->saved_data["window"] = window;
    return x.ge(threshold).to(x.scalar_type()).mul_(1 - low).add_(low);
  }

  static variable_list backward(AutogradContext* context,
                                const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor distance = saved[0] - saved[1];
    const Tensor dx = InWindow(gradients[0], distance,
                               context->saved_data["window"].toDouble());
    Tensor dthreshold;
    if (context->needs_input_grad(1)) {
      dthreshold = at::sum_to(-dx, saved[1].sizes());
    }
    return {dx, dthreshold, Tensor(), Tensor()};
  }
};

class StochasticSignFunction
    : public torch::autograd::Function<StochasticSignFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x) {
    context->save_for_backward({x});
    const Tensor probability = ((x + 1) / 2).clamp(0, 1);
    return torch::rand_like(x)
        .lt(probability)
        .to(x.scalar_type())
        .mul_(2)
        .sub_(1);
  }

  static variable_list backward(AutogradContext* context,
                                const variable_list& gradients) {
    return {InWindow(gradients[0], context->get_saved_variables()[0], 1)};
  }
};

}  // namespace

Tensor Threshold(const Tensor& x, const Tensor& threshold, double low,
                 double window) {
  return ThresholdFunction::apply(x, threshold, low, window);
}

Tensor Sign(const Tensor& x) {
  return Threshold(x, torch::zeros({1}, x.options()), -1, 1);
}

Tensor StochasticSign(const Tensor& x) {
  return StochasticSignFunction::apply(x);
}

}  // namespace bqtrain
