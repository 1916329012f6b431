// Binary values with straight-through gradients: what the chain rule cannot
// say about a step, these functions make up. All work on float tensors of any
// shape, take NaN for the smaller value, and may be called from any thread.
#ifndef BQTRAIN_ESTIMATORS_H_
#define BQTRAIN_ESTIMATORS_H_

#include <torch/torch.h>

#include <limits>

namespace bqtrain {

inline constexpr double kNoWindow = std::numeric_limits<double>::infinity();

// y = 1 where x >= threshold, else `low` (-1 or 0); both broadcast to the shape
// of y, as in torch. With g the gradient of y and d = x - threshold:
//
//   dx = g * I[abs(d) <= window]      dthreshold = -sum of dx
//
// and dx, too, is summed where x was broadcast.
//
// sign(x) of BinaryNet (arXiv:1602.02830, eq. 4) is low -1, threshold 0, window
// 1. ABC-Net's A = 2 * I[clip(x + v, 0, 1) >= 0.5] - 1 (arXiv:1711.11294) is
// low -1, threshold 0.5 - v, window 0.5: its gradient is g where 0 <= x + v <=
// 1. With kNoWindow the gradient passes unchanged (ABC-Net's B_m).
torch::Tensor Threshold(const torch::Tensor& x, const torch::Tensor& threshold,
                        double low, double window);

// sign(x): Threshold(x, 0, -1, 1).
torch::Tensor Sign(const torch::Tensor& x);

// +1 with probability clip((x + 1) / 2, 0, 1), else -1 (arXiv:1511.00363, eq.
// 2), by torch's default random generator. dx = g * I[abs(x) <= 1].
torch::Tensor StochasticSign(const torch::Tensor& x);

}  // namespace bqtrain

#endif  // BQTRAIN_ESTIMATORS_H_
