#include "kernels/elementwise.h"

#include <cstdint>

#include "target_policy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "elementwise.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

template <bool kMul, bool kAdd>
void AffineRows(int64_t rows, int64_t channels, const float* HWY_RESTRICT x,
                const float* HWY_RESTRICT mul, const float* HWY_RESTRICT add,
                float* HWY_RESTRICT y) {
  for (; rows > 0; --rows, x += channels, y += channels) {
    ForEachVector(channels, [&](auto d, int64_t c) HWY_ATTR {
      auto value = hn::LoadU(d, x + c);
      if constexpr (kMul) value = hn::Mul(value, hn::LoadU(d, mul + c));
      if constexpr (kAdd) value = hn::Add(value, hn::LoadU(d, add + c));
      hn::StoreU(value, d, y + c);
    });
  }
}

void Affine(int64_t rows, int64_t channels, const float* x, const float* mul,
            const float* add, float* y) {
  if (mul != nullptr && add != nullptr) {
    AffineRows<true, true>(rows, channels, x, mul, add, y);
  } else if (mul != nullptr) {
    AffineRows<true, false>(rows, channels, x, mul, add, y);
  } else if (add != nullptr) {
    AffineRows<false, true>(rows, channels, x, mul, add, y);
  } else {
    AffineRows<false, false>(rows, channels, x, mul, add, y);
  }
}

void PRelu(int64_t rows, int64_t channels, const float* HWY_RESTRICT x,
           const float* HWY_RESTRICT slope, float* HWY_RESTRICT y) {
  for (; rows > 0; --rows, x += channels, y += channels) {
    ForEachVector(channels, [&](auto d, int64_t c) HWY_ATTR {
      const auto value = hn::LoadU(d, x + c);
      const auto scaled = hn::Mul(hn::LoadU(d, slope + c), value);
      const auto negative = hn::Lt(value, hn::Zero(d));
      hn::StoreU(hn::IfThenElse(negative, scaled, value), d, y + c);
    });
  }
}

void AddTensors(int64_t count, const float* HWY_RESTRICT a,
                const float* HWY_RESTRICT b, float* HWY_RESTRICT y) {
  ForEachVector(count, [&](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Add(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, y + i);
  });
}

void MulTensors(int64_t count, const float* HWY_RESTRICT a,
                const float* HWY_RESTRICT b, float* HWY_RESTRICT y) {
  ForEachVector(count, [&](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Mul(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, y + i);
  });
}

// Comparisons and selections instead of Min and Max, which do not keep a NaN on
// every target.

void Relu(int64_t count, const float* HWY_RESTRICT x, float* HWY_RESTRICT y) {
  ForEachVector(count, [&](auto d, int64_t i) HWY_ATTR {
    const auto value = hn::LoadU(d, x + i);
    const auto negative = hn::Lt(value, hn::Zero(d));
    hn::StoreU(hn::IfThenZeroElse(negative, value), d, y + i);
  });
}

void Clip(int64_t count, float min, float max, const float* HWY_RESTRICT x,
          float* HWY_RESTRICT y) {
  ForEachVector(count, [&](auto d, int64_t i) HWY_ATTR {
    const auto low = hn::Set(d, min);
    const auto high = hn::Set(d, max);
    auto value = hn::LoadU(d, x + i);
    value = hn::IfThenElse(hn::Lt(value, low), low, value);
    value = hn::IfThenElse(hn::Gt(value, high), high, value);
    hn::StoreU(value, d, y + i);
  });
}

void Floor(int64_t count, const float* HWY_RESTRICT x, float* HWY_RESTRICT y) {
  ForEachVector(count, [&](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Floor(hn::LoadU(d, x + i)), d, y + i);
  });
}

const ElementwiseKernels kTable = {
    .affine = Affine,
    .prelu = PRelu,
    .add = AddTensors,
    .mul = MulTensors,
    .relu = Relu,
    .clip = Clip,
    .floor = Floor,
};
const ElementwiseKernels* const kElementwise = &kTable;

}  // namespace
#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bqengine::kernels {

const ElementwiseKernels* GetElementwiseKernels(Target target) {
  return BQE_SELECT_TARGET(target, kElementwise);
}

}  // namespace bqengine::kernels
#endif  // HWY_ONCE
