// Straight-through gradients against their formulas, written out as loops.
// Values lie on a grid of 1/8, so that many hit thresholds and ends of windows
// exactly.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "bqtrain/binary_modules.h"
#include "bqtrain/estimators.h"

namespace bqtrain {
namespace {

using torch::Tensor;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// A sum in double, and how far the same in float may be from it.
class Sum {
 public:
  void Add(double term) {
    value_ += term;
    magnitude_ += std::abs(term);
    ++terms_;
  }
  void ExpectNear(const Tensor& actual) const {
    EXPECT_NEAR(actual.item<double>(), value_,
                (terms_ + 4) * FLT_EPSILON * magnitude_);
  }

 private:
  double value_ = 0, magnitude_ = 0;
  int terms_ = 0;
};

Tensor Floats(const std::vector<float>& values) {
  return torch::tensor(values);
}

// Multiples of 1/8 from -2 to 2.
Tensor Grid(torch::IntArrayRef shape) {
  return torch::randint(-16, 17, shape).div(8);
}

double At(const Tensor& x, const std::vector<int64_t>& place) {
  Tensor element = x;
  for (const int64_t i : place) element = element[i];
  return element.item<double>();
}

double SignOf(double x) { return x >= 0 ? 1 : -1; }
double Inside(double x, double window) { return std::abs(x) <= window; }

class Estimators : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(20261123); }
};

// ------------------------------------------------------------------ functions

TEST_F(Estimators, SignPassesGradientsUpToOne) {
  const float above = std::nextafter(1.0f, 2.0f);
  const Tensor x =
      Floats({-kInf, -above, -1, -0.5f, -0.0f, 0, 0.5f, 1, above, kInf, kNan})
          .requires_grad_();
  const Tensor y = Sign(x);
  EXPECT_TRUE(y.equal(Floats({-1, -1, -1, -1, 1, 1, 1, 1, 1, 1, -1})));
  y.backward(Floats({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_TRUE(x.grad().equal(Floats({0, 0, 3, 4, 5, 6, 7, 8, 0, 0, 0})))
      << x.grad();
}

TEST_F(Estimators, ThresholdIsTakenOffFirst) {
  const Tensor x =
      Floats({0.25f, 0.5f, 0.75f, 1, 1.25f, kNan}).requires_grad_();
  const Tensor t = Floats({0.75f}).requires_grad_();
  const Tensor y = Threshold(x, t, 0, 0.25);
  EXPECT_TRUE(y.equal(Floats({0, 0, 1, 1, 1, 0})));
  y.backward(Floats({1, 2, 4, 8, 16, 32}));
  EXPECT_TRUE(x.grad().equal(Floats({0, 2, 4, 8, 0, 0}))) << x.grad();
  EXPECT_TRUE(t.grad().equal(Floats({-14}))) << t.grad();
}

TEST_F(Estimators, WithoutWindowAllGradientsPass) {
  const Tensor x = Floats({-kInf, -100, 0, 100, kInf, kNan}).requires_grad_();
  const Tensor t = Floats({3}).requires_grad_();
  const Tensor y = Threshold(x, t, -1, kNoWindow);
  EXPECT_TRUE(y.equal(Floats({-1, -1, -1, 1, 1, -1})));
  y.backward(Floats({1, 2, 4, 8, 16, 32}));
  EXPECT_TRUE(x.grad().equal(Floats({1, 2, 4, 8, 16, 32}))) << x.grad();
  EXPECT_TRUE(t.grad().equal(Floats({-63}))) << t.grad();
}

// Thresholds of all shapes that broadcast to x.
TEST_F(Estimators, BroadcastThresholdsSumTheirGradients) {
  const std::vector<std::vector<int64_t>> shapes = {
      {1}, {4}, {3, 1}, {3, 4}, {2, 1, 1}, {2, 3, 1}, {1, 1, 4}, {2, 3, 4}};
  for (const auto& shape : shapes) {
    for (const double window : {0.5, 1.0, kNoWindow}) {
      SCOPED_TRACE(::testing::PrintToString(shape));
      const Tensor x = Grid({2, 3, 4}).requires_grad_();
      const Tensor t = Grid(shape).requires_grad_();
      const Tensor g = Grid({2, 3, 4});
      const Tensor y = Threshold(x, t, -1, window);
      y.backward(g);

      const Tensor wide = t.detach().expand({2, 3, 4});
      const Tensor place =
          torch::arange(t.numel()).view(shape).expand({2, 3, 4});
      std::vector<double> dt(static_cast<size_t>(t.numel()));
      for (int64_t i = 0; i < 2; ++i) {
        for (int64_t j = 0; j < 3; ++j) {
          for (int64_t k = 0; k < 4; ++k) {
            const double d = At(x, {i, j, k}) - At(wide, {i, j, k});
            const double dx = At(g, {i, j, k}) * Inside(d, window);
            EXPECT_EQ(At(y, {i, j, k}), d >= 0 ? 1 : -1);
            EXPECT_EQ(At(x.grad(), {i, j, k}), dx);
            dt[static_cast<size_t>(place[i][j][k].item<int64_t>())] -= dx;
          }
        }
      }
      ASSERT_TRUE(t.grad().sizes() == t.sizes());
      for (int64_t n = 0; n < t.numel(); ++n) {
        EXPECT_EQ(At(t.grad().flatten(), {n}), dt[static_cast<size_t>(n)]);
      }
    }
  }
}

TEST_F(Estimators, StochasticSignHasItsProbability) {
  constexpr int64_t kDraws = 40000;
  const std::vector<float> values = {-kInf, -2,    -1,   -0.9f, -0.5f, -0.01f,
                                     0,     0.25f, 0.5f, 0.99f, 1,     kInf};
  for (const float value : values) {
    SCOPED_TRACE(value);
    const Tensor y = StochasticSign(torch::full({kDraws}, value));
    EXPECT_TRUE(y.abs().eq(1).all().item<bool>());
    const double p = std::clamp((double{value} + 1) / 2, 0.0, 1.0);
    // Five deviations of a binomial: once in two million runs, were the seed
    // not fixed. Exact where p is 0 or 1.
    const double bound = 5 * std::sqrt(p * (1 - p) / kDraws);
    EXPECT_NEAR(y.gt(0).to(torch::kDouble).mean().item<double>(), p, bound);
  }
  EXPECT_TRUE(
      StochasticSign(torch::full({100}, kNan)).eq(-1).all().item<bool>());
}

TEST_F(Estimators, StochasticSignPassesGradientsUpToOne) {
  const float above = std::nextafter(1.0f, 2.0f);
  const Tensor x =
      Floats({-kInf, -above, -1, 0, 0.5f, 1, above, kNan}).requires_grad_();
  StochasticSign(x).backward(Floats({1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_TRUE(x.grad().equal(Floats({0, 0, 3, 4, 5, 6, 0, 0}))) << x.grad();
}

TEST_F(Estimators, StochasticSignIsRepeatedByTheSeed) {
  const Tensor x = Grid({1000});
  torch::manual_seed(5);
  const Tensor first = StochasticSign(x);
  const Tensor second = StochasticSign(x);
  torch::manual_seed(5);
  EXPECT_TRUE(first.equal(StochasticSign(x)));
  EXPECT_FALSE(first.equal(second));
}

// ---------------------------------------------------- weights: [O, K] = [3,
// 10]

constexpr int64_t kOut = 3, kIn = 10;

BinaryLinear Layer(const Quantization& quantization) {
  BinaryLinear layer(BinaryLinearOptions(kIn, kOut).quantization(quantization));
  const torch::NoGradGuard no_grad;
  layer->weight.copy_(Grid({kOut, kIn}));
  return layer;
}

// Gradient of sum(g * QuantizedWeight()) for each parameter.
void BackwardThroughWeights(BinaryLinear& layer, const Tensor& g) {
  layer->train();
  layer->QuantizedWeight().backward(g);
}

double MeanAbs(const Tensor& w, int64_t o) {
  double sum = 0;
  for (int64_t i = 0; i < kIn; ++i) sum += std::abs(At(w, {o, i}));
  return sum / kIn;
}

TEST_F(Estimators, BinaryConnect) {
  for (const char* method : {"binaryconnect", "binaryconnect-stochastic"}) {
    BinaryLinear layer = Layer(Method(method));
    const Tensor w = layer->weight, g = Grid({kOut, kIn});
    BackwardThroughWeights(layer, g);
    for (int64_t o = 0; o < kOut; ++o) {
      for (int64_t i = 0; i < kIn; ++i) {
        EXPECT_EQ(At(w.grad(), {o, i}),
                  At(g, {o, i}) * Inside(At(w, {o, i}), 1));
      }
    }
  }
}

// alpha = mean(abs(W)) of an output channel depends on all of its weights.
TEST_F(Estimators, BwnWithComputedAlpha) {
  BinaryLinear layer = Layer(Method("bwn"));
  const Tensor w = layer->weight, g = Grid({kOut, kIn});
  {
    const torch::NoGradGuard no_grad;
    w[0][0] = 1;
    w[0][1] = -1;
    w[0][2] = 1.5;
  }
  BackwardThroughWeights(layer, g);
  for (int64_t o = 0; o < kOut; ++o) {
    const double alpha = MeanAbs(w, o);
    for (int64_t i = 0; i < kIn; ++i) {
      const double wi = At(w, {o, i});
      Sum sum;
      sum.Add(At(g, {o, i}) * alpha * Inside(wi, 1));
      // d abs(w) / dw is 0 at 0, as torch has it.
      const double slope = wi == 0 ? 0 : SignOf(wi);
      for (int64_t j = 0; j < kIn; ++j) {
        sum.Add(slope / kIn * At(g, {o, j}) * SignOf(At(w, {o, j})));
      }
      sum.ExpectNear(w.grad()[o][i]);
    }
  }
}

TEST_F(Estimators, BwnWithTrainedAlpha) {
  Quantization quantization = Method("bwn");
  quantization.trained_alpha = true;
  BinaryLinear layer = Layer(quantization);
  const Tensor w = layer->weight, g = Grid({kOut, kIn});
  BackwardThroughWeights(layer, g);
  ASSERT_TRUE(layer->alpha.sizes() == torch::IntArrayRef({1, kOut}));
  for (int64_t o = 0; o < kOut; ++o) {
    Sum dalpha;
    for (int64_t i = 0; i < kIn; ++i) {
      const double wi = At(w, {o, i});
      Sum dw;
      dw.Add(At(g, {o, i}) * At(layer->alpha, {0, o}) * Inside(wi, 1));
      dw.ExpectNear(w.grad()[o][i]);
      dalpha.Add(At(g, {o, i}) * SignOf(wi));
    }
    dalpha.ExpectNear(layer->alpha.grad()[0][o]);
  }
}

// B_m = sign(W - mean + u_m * std): the gradient goes to W and u_m through each
// B_m, and through nothing else.
void CheckAbcNet(bool trained_alpha) {
  constexpr int64_t kBases = 3;
  Quantization quantization = Method("abcnet", kBases, 1);
  quantization.trained_alpha = trained_alpha;
  BinaryLinear layer = Layer(quantization);
  const Tensor w = layer->weight, g = Grid({kOut, kIn});
  const Tensor alpha = layer->WeightBases().alpha;
  BackwardThroughWeights(layer, g);
  std::vector<Sum> dshift(kBases);
  for (int64_t o = 0; o < kOut; ++o) {
    double mean = 0, square = 0;
    for (int64_t i = 0; i < kIn; ++i) mean += At(w, {o, i}) / kIn;
    for (int64_t i = 0; i < kIn; ++i) {
      square += std::pow(At(w, {o, i}) - mean, 2) / kIn;
    }
    const double std = std::sqrt(square);
    std::vector<Sum> dalpha(kBases);
    for (int64_t i = 0; i < kIn; ++i) {
      Sum dw;
      for (int64_t m = 0; m < kBases; ++m) {
        const double shift = At(layer->weight_shifts, {m});
        const double term = At(alpha, {m, o}) * At(g, {o, i});
        dw.Add(term);
        dshift[static_cast<size_t>(m)].Add(std * term);
        dalpha[static_cast<size_t>(m)].Add(
            At(g, {o, i}) * SignOf(At(w, {o, i}) - mean + shift * std));
      }
      dw.ExpectNear(w.grad()[o][i]);
    }
    for (int64_t m = 0; trained_alpha && m < kBases; ++m) {
      dalpha[static_cast<size_t>(m)].ExpectNear(layer->alpha.grad()[m][o]);
    }
  }
  for (int64_t m = 0; m < kBases; ++m) {
    dshift[static_cast<size_t>(m)].ExpectNear(layer->weight_shifts.grad()[m]);
  }
}

TEST_F(Estimators, AbcNetWithComputedAlpha) { CheckAbcNet(false); }
TEST_F(Estimators, AbcNetWithTrainedAlpha) { CheckAbcNet(true); }

TEST_F(Estimators, FixedShiftsGetNoGradient) {
  Quantization quantization = Method("abcnet", 3, 3);
  quantization.trained_shifts = false;
  BinaryLinear layer = Layer(quantization);
  layer->train();
  layer->forward(Grid({2, kIn})).sum().backward();
  EXPECT_FALSE(layer->weight_shifts.grad().defined());
  EXPECT_FALSE(layer->activation_shifts.grad().defined());
  EXPECT_TRUE(layer->beta.grad().defined());
}

// ------------------------------------- activations, through a layer: [B, K] in

constexpr int64_t kItems = 4;

struct Gradients {
  Tensor x;   // with its gradient
  Tensor g;   // of the outputs, [B, O]
  Tensor da;  // of the quantized activations, [B, K]: g times weights
};

Gradients BackwardThroughLayer(BinaryLinear& layer) {
  Gradients result;
  result.x = Grid({kItems, kIn}).requires_grad_();
  result.g = Grid({kItems, kOut});
  layer->train();
  layer->forward(result.x).backward(result.g);
  const Tensor w = layer->QuantizedWeight().detach();
  result.da = torch::zeros({kItems, kIn}, torch::kDouble);
  for (int64_t b = 0; b < kItems; ++b) {
    for (int64_t k = 0; k < kIn; ++k) {
      double sum = 0;
      for (int64_t o = 0; o < kOut; ++o) {
        sum += At(result.g, {b, o}) * At(w, {o, k});
      }
      result.da[b][k] = sum;
    }
  }
  return result;
}

// Calls `visit` with each place of [B, K].
void ForEachInput(const std::function<void(int64_t, int64_t)>& visit) {
  for (int64_t b = 0; b < kItems; ++b) {
    for (int64_t k = 0; k < kIn; ++k) visit(b, k);
  }
}

TEST_F(Estimators, SignsOfActivations) {
  for (const char* method : {"bnn", "xnor"}) {
    BinaryLinear layer = Layer(Method(method));
    const Gradients r = BackwardThroughLayer(layer);
    ForEachInput([&](int64_t b, int64_t k) {
      EXPECT_NEAR(At(r.x.grad(), {b, k}),
                  At(r.da, {b, k}) * Inside(At(r.x, {b, k}), 1), 1e-5);
    });
  }
}

// A_n = 2 * I[clip(x + v_n, 0, 1) >= 0.5] - 1, summed with beta_n.
TEST_F(Estimators, AbcNetActivations) {
  constexpr int64_t kBases = 3;
  BinaryLinear layer = Layer(Method("abcnet", 2, kBases));
  {
    const torch::NoGradGuard no_grad;
    layer->beta.copy_(Floats({0.5f, 0.25f, 0.75f}));
    layer->activation_shifts.copy_(Floats({-0.25f, 0.5f, 1}));
  }
  const Gradients r = BackwardThroughLayer(layer);
  std::vector<Sum> dbeta(kBases), dshift(kBases);
  int at_ends = 0;
  ForEachInput([&](int64_t b, int64_t k) {
    const double da = At(r.da, {b, k});
    double slope = 0;
    for (int64_t n = 0; n < kBases; ++n) {
      const double shifted =
          At(r.x, {b, k}) + At(layer->activation_shifts, {n});
      const double inside = shifted >= 0 && shifted <= 1;
      at_ends += shifted == 0 || shifted == 1;
      const double bit = 2 * (std::clamp(shifted, 0.0, 1.0) >= 0.5) - 1;
      slope += At(layer->beta, {n}) * inside;
      dbeta[static_cast<size_t>(n)].Add(da * bit);
      dshift[static_cast<size_t>(n)].Add(da * At(layer->beta, {n}) * inside);
    }
    EXPECT_NEAR(At(r.x.grad(), {b, k}), da * slope, 1e-5);
  });
  EXPECT_GT(at_ends, 0);
  for (int64_t n = 0; n < kBases; ++n) {
    dbeta[static_cast<size_t>(n)].ExpectNear(layer->beta.grad()[n]);
    dshift[static_cast<size_t>(n)].ExpectNear(
        layer->activation_shifts.grad()[n]);
  }
}

// O = alpha * O_b + beta, O_b a sum of products of {0,1}.
TEST_F(Estimators, Unipolar) {
  Quantization quantization = Method("unipolar");
  quantization.threshold = 0.25f;
  BinaryLinear layer = Layer(quantization);
  const Gradients r = BackwardThroughLayer(layer);
  const double alpha = At(layer->alpha, {0});
  const Tensor& w = layer->weight;
  const auto bit = [](double x) { return x >= 0.25; };
  ForEachInput([&](int64_t b, int64_t k) {
    EXPECT_NEAR(At(r.x.grad(), {b, k}),
                At(r.da, {b, k}) * Inside(At(r.x, {b, k}) - 0.25, 1), 1e-5);
  });
  Sum dalpha, dbeta;
  for (int64_t o = 0; o < kOut; ++o) {
    for (int64_t b = 0; b < kItems; ++b) dbeta.Add(At(r.g, {b, o}));
    for (int64_t k = 0; k < kIn; ++k) {
      Sum dw;
      for (int64_t b = 0; b < kItems; ++b) {
        const double g = At(r.g, {b, o}) * bit(At(r.x, {b, k}));
        dw.Add(g * alpha * Inside(At(w, {o, k}) - 0.25, 1));
        dalpha.Add(g * bit(At(w, {o, k})));
      }
      dw.ExpectNear(w.grad()[o][k]);
    }
  }
  dalpha.ExpectNear(layer->alpha.grad()[0]);
  dbeta.ExpectNear(layer->beta.grad()[0]);
}

}  // namespace
}  // namespace bqtrain
