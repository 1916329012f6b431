#include "bqengine/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace bqengine::quantize {
namespace {

using Floats = std::vector<float>;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

Floats RandomNormal(uint32_t seed, size_t count) {
  std::mt19937 random(seed);
  std::normal_distribution<float> distribution(0.1f, 0.7f);
  Floats values(count);
  for (float& value : values) value = distribution(random);
  return values;
}

template <typename T>
void ExpectInvalid(const Result<T>& result, const std::string& part) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(result.status().message().find(part), std::string::npos)
      << result.status().message();
}

double SquaredError(const Floats& w, const Floats& q) {
  double sum = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    sum += (double(w[i]) - q[i]) * (double(w[i]) - q[i]);
  }
  return sum;
}

// ------------------------------------------------------------------ threshold

// The worked example of thresholded unipolar weights.
TEST(QuantizeUnipolar, WorkedExample) {
  const Floats x = {0.3f, -0.7f, 0.5f}, w = {0.2f, -0.4f, 0.6f};
  const auto bits = Binarize(w, 0.0f, DataType::kUnipolar);
  ASSERT_TRUE(bits.ok());
  EXPECT_EQ(*bits, (Floats{1, 0, 1}));

  Floats product;
  for (size_t i = 0; i < x.size(); ++i) product.push_back(x[i] * (*bits)[i]);
  EXPECT_EQ(product, (Floats{0.3f, 0.0f, 0.5f}));

  const auto output = ScaleAndShift(product, 0.8f, 0.1f);
  ASSERT_TRUE(output.ok());
  ASSERT_EQ(output->size(), 3u);
  // To within the rounding of one product and one sum below 1.
  EXPECT_NEAR((*output)[0], 0.34f, 6e-8);
  EXPECT_NEAR((*output)[1], 0.1f, 6e-8);
  EXPECT_NEAR((*output)[2], 0.5f, 6e-8);
}

TEST(QuantizeBinarize, ValuesInBothEncodings) {
  const Floats x = {0.0f, -0.0f, -1.0f, 2.0f, kNaN, kInf, -kInf};
  EXPECT_EQ(*Binarize(x, 0, DataType::kBipolar),
            (Floats{1, 1, -1, 1, -1, 1, -1}));
  EXPECT_EQ(*Binarize(x, 0, DataType::kUnipolar),
            (Floats{1, 1, 0, 1, 0, 1, 0}));
  EXPECT_EQ(*Binarize(x, 2, DataType::kUnipolar),
            (Floats{0, 0, 0, 1, 0, 1, 0}));
  EXPECT_EQ(*Binarize(x, kInf, DataType::kUnipolar),
            (Floats{0, 0, 0, 0, 0, 1, 0}));
}

TEST(QuantizeBinarize, PackedRowsStartAtWords) {
  Floats x(2 * 65, -1.0f);
  x[0] = x[64] = x[65 + 1] = x[65 + 63] = 1.0f;
  const auto bits = BinarizeToBits(x, {2, 65}, 0.5f, DataType::kUnipolar);
  ASSERT_TRUE(bits.ok());
  EXPECT_EQ(bits->info(), (TensorInfo{DataType::kUnipolar, {2, 65}}));
  const std::vector<uint64_t> words(bits->words().begin(), bits->words().end());
  EXPECT_EQ(words, (std::vector<uint64_t>{1, 1, (uint64_t{1} << 63) | 2, 0}));
}

TEST(QuantizeBinarize, UnpackGivesBackWhatWasPacked) {
  for (int64_t columns : {1, 3, 63, 64, 65, 129}) {
    const Floats x = RandomNormal(uint32_t(columns), size_t(3 * columns));
    SCOPED_TRACE("seed and columns " + std::to_string(columns));
    for (DataType type : {DataType::kBipolar, DataType::kUnipolar}) {
      const auto bits = BinarizeToBits(x, {3, columns}, 0.25f, type);
      ASSERT_TRUE(bits.ok());
      const auto values = Unpack(*bits);
      ASSERT_TRUE(values.ok());
      EXPECT_EQ(*values, *Binarize(x, 0.25f, type));
    }
  }
}

TEST(QuantizeBinarize, Errors) {
  const Floats x = {1, 2, 3, 4};
  ExpectInvalid(Binarize({}, 0, DataType::kBipolar), "no values");
  ExpectInvalid(Binarize(x, kNaN, DataType::kBipolar), "threshold is NaN");
  ExpectInvalid(Binarize(x, 0, DataType::kFloat32), "bipolar or unipolar");
  ExpectInvalid(BinarizeToBits(x, {2, 3}, 0, DataType::kBipolar),
                "6 elements, but there are 4");
  ExpectInvalid(BinarizeToBits(x, {-1, 4}, 0, DataType::kBipolar),
                "-1 is not a dimension");
  ExpectInvalid(BinarizeToBits(x, {}, 0, DataType::kBipolar), "1 dimensions");
  ExpectInvalid(BinarizeToBits(x, {int64_t{1} << 62, 4}, 0, DataType::kBipolar),
                "");
  ExpectInvalid(Unpack(Constant::Floats({4}, x)), "bipolar or unipolar");
  ExpectInvalid(Unpack(Constant::Declare({DataType::kBipolar, {4}})),
                "no data");
  ExpectInvalid(ScaleAndShift({}, 1, 0), "no values");
  ExpectInvalid(ScaleAndShift(x, kNaN, 0), "alpha");
  ExpectInvalid(ScaleAndShift(x, 1, kInf), "beta");
}

// ------------------------------------------------------------------------ BWN

TEST(QuantizeBwn, ByHand) {
  const Floats w = {1, -2, 3, 0, 0.5f, -0.5f, -0.5f, 0.5f};
  const auto q = Bwn(w, {2, 2, 2});
  ASSERT_TRUE(q.ok());
  EXPECT_EQ(q->weight.info(), (TensorInfo{DataType::kBipolar, {1, 2, 2, 2}}));
  EXPECT_EQ(q->alpha.info(), (TensorInfo{DataType::kFloat32, {1, 2}}));
  EXPECT_EQ(q->alpha.floats()[0], 1.5f);
  EXPECT_EQ(q->alpha.floats()[1], 0.5f);
  EXPECT_EQ(*Reconstruct(*q),
            (Floats{1.5f, -1.5f, 1.5f, 1.5f, 0.5f, -0.5f, -0.5f, 0.5f}));
}

TEST(QuantizeBwn, AlphaIsTheLeastSquaresOptimum) {
  const uint32_t seed = 11;
  SCOPED_TRACE("seed 11");
  const Floats w = RandomNormal(seed, 6 * 50);
  const auto q = Bwn(w, {6, 50});
  ASSERT_TRUE(q.ok());
  const double best = SquaredError(w, *Reconstruct(*q));
  for (float factor : {0.99f, 1.01f}) {
    Floats alpha(q->alpha.floats().begin(), q->alpha.floats().end());
    for (float& value : alpha) value *= factor;
    const Weights other = {q->weight, Constant::Floats({1, 6}, alpha)};
    EXPECT_GT(SquaredError(w, *Reconstruct(other)), best);
  }
}

TEST(QuantizeBwn, Errors) {
  const Floats w = {1, 2, 3, 4};
  ExpectInvalid(Bwn({}, {0, 2}), "no values");
  ExpectInvalid(Bwn(w, {4}), "2 dimensions");
  ExpectInvalid(Bwn(w, {2, 1}), "2 elements, but there are 4");
  ExpectInvalid(Bwn(Floats{1, kNaN}, {1, 2}), "value 1 is NaN");
  ExpectInvalid(Bwn(Floats{-kInf, 1}, {1, 2}), "value 0 is infinite");
}

// -------------------------------------------------------------------- ABC-Net

TEST(QuantizeAbcNet, ShiftsAreEvenlySpaced) {
  EXPECT_EQ(*AbcNetShifts(1), (Floats{0}));
  EXPECT_EQ(*AbcNetShifts(2), (Floats{-1, 1}));
  EXPECT_EQ(*AbcNetShifts(5), (Floats{-1, -0.5f, 0, 0.5f, 1}));
  EXPECT_EQ(AbcNetShifts(0).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(AbcNetShifts(kMaxBases + 1).status().code(),
            StatusCode::kInvalidArgument);
}

// W = [-3, -1, 1, 3]: mean 0, standard deviation sqrt(5). M = 1 is sign(W). For
// M = 2 the thresholds are +-sqrt(5): bases [-,-,-,+] and [-,+,+,+], which are
// orthogonal, with W.B = 6 both, so alpha = 6/4. For M = 3, W is just their sum
// with sign(W).
TEST(QuantizeAbcNet, ByHand) {
  const Floats w = {-3, -1, 1, 3};
  struct Case {
    int64_t bases;
    Floats bits, alpha, sum;
    double error;
  };
  const Case cases[] = {
      {1, {-1, -1, 1, 1}, {2}, {-2, -2, 2, 2}, 4},
      {2, {-1, -1, -1, 1, -1, 1, 1, 1}, {1.5f, 1.5f}, {-3, 0, 0, 3}, 2},
      {3,
       {-1, -1, -1, 1, -1, -1, 1, 1, -1, 1, 1, 1},
       {1, 1, 1},
       {-3, -1, 1, 3},
       0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE("bases " + std::to_string(c.bases));
    const auto q = AbcNet(w, {2, 2}, *AbcNetShifts(c.bases), Scope::kTensor);
    ASSERT_TRUE(q.ok());
    EXPECT_EQ(q->weight.shape(), (Shape{c.bases, 2, 2}));
    EXPECT_EQ(q->alpha.shape(), (Shape{c.bases}));
    EXPECT_EQ(*Unpack(q->weight), c.bits);
    for (size_t m = 0; m < c.alpha.size(); ++m) {
      EXPECT_FLOAT_EQ(q->alpha.floats()[m], c.alpha[m]);
    }
    const auto sum = Reconstruct(*q);
    ASSERT_TRUE(sum.ok());
    for (size_t i = 0; i < w.size(); ++i) {
      EXPECT_NEAR((*sum)[i], c.sum[i], 1e-6);
    }
    const auto error = MeasureError(w, *sum);
    ASSERT_TRUE(error.ok());
    EXPECT_NEAR(error->sum, c.error, 1e-6);
    EXPECT_NEAR(error->mean, c.error / 4, 1e-6);
    EXPECT_NEAR(error->relative, c.error / 8, 1e-6);
  }
}

TEST(QuantizeAbcNet, EachChannelByItself) {
  // The example above, and 5 minus twice it: another mean and deviation.
  const Floats w = {-3, -1, 1, 3, 11, 7, 3, -1};
  const Floats shifts = *AbcNetShifts(2);
  const auto both = AbcNet(w, {2, 4}, shifts, Scope::kChannel);
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both->alpha.shape(), (Shape{2, 2}));
  const auto sum = Reconstruct(*both);
  ASSERT_TRUE(sum.ok());
  for (size_t o = 0; o < 2; ++o) {
    const Floats channel(w.begin() + long(4 * o), w.begin() + long(4 * o + 4));
    const auto one = AbcNet(channel, {1, 4}, shifts, Scope::kTensor);
    ASSERT_TRUE(one.ok());
    const auto alone = Reconstruct(*one);
    ASSERT_TRUE(alone.ok());
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ((*sum)[4 * o + i], (*alone)[i]);
    for (size_t m = 0; m < 2; ++m) {
      EXPECT_EQ(both->alpha.floats()[2 * m + o], one->alpha.floats()[m]);
    }
  }
}

TEST(QuantizeAbcNet, ErrorFallsWithTheNumberOfBases) {
  for (uint32_t seed : {1u, 2u, 3u}) {
    const Floats w = RandomNormal(seed, 32 * 90);
    for (Scope scope : {Scope::kTensor, Scope::kChannel}) {
      double last = 1;
      for (int64_t bases = 1; bases <= 6; ++bases) {
        SCOPED_TRACE("seed " + std::to_string(seed) + " bases " +
                     std::to_string(bases));
        const auto q = AbcNet(w, {32, 90}, *AbcNetShifts(bases), scope);
        ASSERT_TRUE(q.ok());
        const auto error = MeasureError(w, *Reconstruct(*q));
        ASSERT_TRUE(error.ok());
        EXPECT_LT(error->relative, last);
        last = error->relative;
      }
    }
  }
}

TEST(QuantizeAbcNet, AlphaIsTheLeastSquaresOptimum) {
  SCOPED_TRACE("seed 5");
  const Floats w = RandomNormal(5, 8 * 40);
  const auto q = AbcNet(w, {8, 40}, *AbcNetShifts(4), Scope::kTensor);
  ASSERT_TRUE(q.ok());
  const double best = SquaredError(w, *Reconstruct(*q));
  for (size_t m = 0; m < 4; ++m) {
    for (float step : {-0.01f, 0.01f}) {
      Floats alpha(q->alpha.floats().begin(), q->alpha.floats().end());
      alpha[m] += step;
      const Weights other = {q->weight, Constant::Floats({4}, alpha)};
      EXPECT_GT(SquaredError(w, *Reconstruct(other)), best) << "base " << m;
    }
  }
}

TEST(QuantizeAbcNet, EqualWeightsNeedOneBase) {
  for (float value : {0.1f, -0.3f, 0.0f}) {
    const Floats w(300, value);
    const auto q = AbcNet(w, {3, 100}, *AbcNetShifts(3), Scope::kTensor);
    ASSERT_TRUE(q.ok());
    EXPECT_EQ(q->alpha.floats()[0], value);
    EXPECT_EQ(q->alpha.floats()[1], 0.0f);
    EXPECT_EQ(q->alpha.floats()[2], 0.0f);
    EXPECT_EQ(*Reconstruct(*q), w);
  }
}

TEST(QuantizeAbcNet, CollinearBasesGetNoWeight) {
  // Shifts far outside make the bases all -1 and all +1; equal shifts make
  // equal ones; 64 bases on 4 elements cannot all be independent.
  const Floats w = {-3, -1, 1, 3};
  const auto opposite = AbcNet(w, {1, 4}, Floats{-9, 9}, Scope::kTensor);
  ASSERT_TRUE(opposite.ok());
  EXPECT_EQ(*Reconstruct(*opposite), (Floats{0, 0, 0, 0}));
  const auto equal = AbcNet(w, {1, 4}, Floats{0, 0}, Scope::kTensor);
  ASSERT_TRUE(equal.ok());
  EXPECT_EQ(equal->alpha.floats()[0], 2.0f);
  EXPECT_EQ(equal->alpha.floats()[1], 0.0f);
  const auto many = AbcNet(w, {1, 4}, *AbcNetShifts(kMaxBases), Scope::kTensor);
  ASSERT_TRUE(many.ok());
  const auto sum = Reconstruct(*many);
  ASSERT_TRUE(sum.ok());
  for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR((*sum)[i], w[i], 1e-6);
}

TEST(QuantizeAbcNet, Errors) {
  const Floats w = {1, 2, 3, 4};
  const Shape shape = {2, 2};
  ExpectInvalid(AbcNet({}, shape, Floats{0}, Scope::kTensor), "no values");
  ExpectInvalid(AbcNet(w, {2, 3}, Floats{0}, Scope::kTensor), "6 elements");
  ExpectInvalid(AbcNet(Floats{1, 2, kNaN, 4}, shape, Floats{0}, Scope::kTensor),
                "value 2 is NaN");
  ExpectInvalid(AbcNet(w, shape, {}, Scope::kTensor), "shifts");
  ExpectInvalid(AbcNet(w, shape, Floats{kNaN}, Scope::kTensor), "shifts");
  ExpectInvalid(AbcNet(w, shape, Floats(kMaxBases + 1, 0.5f), Scope::kTensor),
                "64 bases");
}

// ------------------------------------------------------- reconstruction, error

TEST(QuantizeReconstruct, UnipolarBits) {
  const Weights weights = {
      Constant::Bits(DataType::kUnipolar, {2, 1, 3}, {0b101, 0b110}),
      Constant::Floats({2}, {2, 10})};
  EXPECT_EQ(*Reconstruct(weights), (Floats{2, 10, 12}));
}

TEST(QuantizeReconstruct, Errors) {
  const Constant bits = Constant::Bits(DataType::kBipolar, {2, 1, 3}, {5, 6});
  ExpectInvalid(Reconstruct({bits, Constant::Floats({3}, {1, 2, 3})}), "alpha");
  ExpectInvalid(Reconstruct({bits, Constant::Floats({2}, {1, kNaN})}), "alpha");
  ExpectInvalid(
      Reconstruct({bits, Constant::Declare({DataType::kFloat32, {2}})}),
      "alpha");
  ExpectInvalid(Reconstruct({Constant::Floats({2, 1}, {1, 2}),
                             Constant::Floats({2}, {1, 2})}),
                "bipolar or unipolar");
  ExpectInvalid(Reconstruct({Constant(), Constant()}), "channels");
}

TEST(QuantizeError, ByHand) {
  const auto error = MeasureError(Floats{1, -2, 5}, Floats{2, -2, 3});
  ASSERT_TRUE(error.ok());
  EXPECT_EQ(error->sum, 3);
  EXPECT_EQ(error->mean, 1);
  EXPECT_EQ(error->relative, 0.375);
}

TEST(QuantizeError, OfNothing) {
  EXPECT_EQ(MeasureError(Floats{0, 0}, Floats{0, 0})->relative, 0);
  EXPECT_EQ(MeasureError(Floats{0, 0}, Floats{0, 1})->relative,
            std::numeric_limits<double>::infinity());
}

TEST(QuantizeError, Errors) {
  ExpectInvalid(MeasureError({}, {}), "no values");
  ExpectInvalid(MeasureError(Floats{1, 2}, Floats{1}), "2 values, but 1");
  ExpectInvalid(MeasureError(Floats{1}, Floats{kNaN}), "value 0 is NaN");
}

// ----------------------------------------------------------------- refinement

TEST(QuantizeRefine, FindsTheBasesOfSumsOfBits) {
  // +-2 +-1, which the shifts -1 and 1 of ABC-Net do not find.
  const Floats w = {-3, -1, 1, 3, 3, 1, -1, -3};
  const Shape shape = {2, 4};
  const auto start = AbcNet(w, shape, *AbcNetShifts(2), Scope::kChannel);
  ASSERT_TRUE(start.ok());
  EXPECT_GT(SquaredError(w, *Reconstruct(*start)), 1);
  const auto refined = Refine(w, shape, *start, 10);
  ASSERT_TRUE(refined.ok()) << refined.status().message();
  EXPECT_NEAR(SquaredError(w, *Reconstruct(*refined)), 0, 1e-10);
  EXPECT_EQ(refined->weight.shape(), start->weight.shape());
  EXPECT_EQ(refined->alpha.shape(), (Shape{2, 2}));
}

TEST(QuantizeRefine, ErrorNeverGrows) {
  const Shape shape = {5, 3, 3, 70};
  const Floats w = RandomNormal(31, 5 * 9 * 70);
  for (const Scope scope : {Scope::kTensor, Scope::kChannel}) {
    for (const int64_t bases : {1, 2, 3, 5, 8}) {
      SCOPED_TRACE(bases);
      const auto start = AbcNet(w, shape, *AbcNetShifts(bases), scope);
      ASSERT_TRUE(start.ok());
      double last = SquaredError(w, *Reconstruct(*start));
      EXPECT_NEAR(SquaredError(w, *Reconstruct(*Refine(w, shape, *start, 0))),
                  last, 1e-6 * last);
      for (const int64_t iterations : {1, 2, 5, 50}) {
        const auto refined = Refine(w, shape, *start, iterations);
        ASSERT_TRUE(refined.ok());
        EXPECT_EQ(refined->alpha.shape(), start->alpha.shape());
        const double error = SquaredError(w, *Reconstruct(*refined));
        EXPECT_LE(error, last * (1 + 1e-6));
        last = error;
      }
      // Lloyd-Max quantizers of normal values: 0.363, 0.117, 0.0345 of the
      // variance with 2, 4 and 8 levels. Ours are symmetric around 0.
      const double bound[] = {0, 0.4, 0.14, 0.05};
      if (bases < 4) {
        EXPECT_LT(last, bound[bases] * SquaredError(w, Floats(w.size())));
      }
    }
  }
}

TEST(QuantizeRefine, BadArguments) {
  const Floats w = RandomNormal(32, 12);
  const Shape shape = {3, 4};
  const auto good = AbcNet(w, shape, *AbcNetShifts(2), Scope::kChannel);
  ASSERT_TRUE(good.ok());
  ExpectInvalid(Refine(w, {3, 5}, *good, 1), "elements");
  ExpectInvalid(Refine(w, {4, 3}, *good, 1), "another shape");
  ExpectInvalid(Refine({}, shape, *good, 1), "no values");
  Floats nan = w;
  nan[1] = kNaN;
  ExpectInvalid(Refine(nan, shape, *good, 1), "value 1 is NaN");
  Weights bad = *good;
  bad.alpha = Constant::Floats({2, 3}, {1, 1, kInf, 1, 1, 1});
  ExpectInvalid(Refine(w, shape, bad, 1), "alpha: value 2 is infinite");
  bad.alpha = Constant::Floats({3}, {1, 1, 1});
  ExpectInvalid(Refine(w, shape, bad, 1), "alpha must be");
  bad = *good;
  bad.weight =
      *BinarizeToBits(Floats(24, 1.0f), {2, 3, 4}, 0, DataType::kUnipolar);
  ExpectInvalid(Refine(w, shape, bad, 1), "bipolar");
  const auto many =
      AbcNet(w, shape, *AbcNetShifts(kMaxRefinedBases + 1), Scope::kChannel);
  ExpectInvalid(Refine(w, shape, *many, 1), "more than 10 bases");
  bad.weight = Constant::Declare(good->weight.info());
  ExpectInvalid(Refine(w, shape, bad, 1), "no data");
}

TEST(QuantizeLeastSquares, SolvesAndLeavesOutWhatIsSpanned) {
  // x = (1, 0, 1), (0, 1, 1); y = 2 x_0 - 3 x_1.
  const std::vector<double> gram = {2, 1, 1, 2}, moments = {1, -4};
  const auto solution = LeastSquares(gram, moments);
  ASSERT_TRUE(solution.ok());
  EXPECT_NEAR((*solution)[0], 2, 1e-12);
  EXPECT_NEAR((*solution)[1], -3, 1e-12);

  const auto spanned =
      LeastSquares(std::vector<double>{4, 4, 4, 4}, std::vector<double>{8, 8});
  ASSERT_TRUE(spanned.ok());
  EXPECT_NEAR((*spanned)[0] + (*spanned)[1], 2, 1e-12);
  EXPECT_EQ((*spanned)[0] * (*spanned)[1], 0);
}

TEST(QuantizeLeastSquares, BadArguments) {
  using Doubles = std::vector<double>;
  ExpectInvalid(LeastSquares(Doubles{}, Doubles{}), "not square");
  ExpectInvalid(LeastSquares(Doubles{1, 2}, Doubles{1, 2}), "not square");
  ExpectInvalid(LeastSquares(Doubles{1}, Doubles{kNaN}), "not finite");
  ExpectInvalid(LeastSquares(Doubles{kInf}, Doubles{1}), "not finite");
}

}  // namespace
}  // namespace bqengine::quantize
