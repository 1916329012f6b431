// Which targets Highway compiles. Included before any Highway header by every
// source that includes one, so that all of them agree.
#ifndef KERNELS_SRC_TARGET_POLICY_H_
#define KERNELS_SRC_TARGET_POLICY_H_

// Highway before 1.1 leaves this target out unless asked, and no lesser one has
// a vector popcount on x86.
#define HWY_WANT_AVX3_DL 1

#include <hwy/detect_targets.h>

// SSSE3 machines without SSE4 are older than 2008; SVE gives nothing over NEON
// at 128 bits and is not tested on hardware. The baseline that Highway falls
// back to (SCALAR or EMU128) cannot be disabled; kernel sources skip it with
// BQE_KERNEL_TARGET, for the reference backend serves machines that old.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)

// Inside the SIMD region: true where kernels are to be compiled.
#define BQE_KERNEL_TARGET \
  (HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128)

// In the HWY_ONCE block: the pointer `symbol` (of type `const T* const`, an
// object named so in each target's namespace) for a kernels::Target, or null.
#if HWY_ARCH_X86
#define BQE_SELECT_TARGET(target, symbol)          \
  ((target) == Target::kSse4     ? N_SSE4::symbol  \
   : (target) == Target::kAvx2   ? N_AVX2::symbol  \
   : (target) == Target::kAvx512 ? N_AVX3::symbol  \
   : (target) == Target::kAvx512Popcnt ? N_AVX3_DL::symbol : nullptr)
#elif HWY_ARCH_ARM_A64
#define BQE_SELECT_TARGET(target, symbol) \
  ((target) == Target::kNeon ? N_NEON::symbol : nullptr)
#else
#define BQE_SELECT_TARGET(target, symbol) ((void)(target), nullptr)
#endif

#endif  // KERNELS_SRC_TARGET_POLICY_H_
