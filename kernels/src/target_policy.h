// Which targets Highway compiles. Included before any Highway header by every
// source that includes one, so that all of them agree.
#ifndef KERNELS_SRC_TARGET_POLICY_H_
#define KERNELS_SRC_TARGET_POLICY_H_

// Highway before 1.1 leaves this target out unless asked, and no lesser one has
// a vector popcount on x86.
#define HWY_WANT_AVX3_DL 1

#include <hwy/detect_targets.h>

// Targets that newer versions of Highway add above ours. What they have, our
// kernels do not use.
#ifdef HWY_AVX3_ZEN4
#define BQE_NEWER_X86_TARGETS (HWY_AVX3_ZEN4 | HWY_AVX3_SPR)
#else
#define BQE_NEWER_X86_TARGETS 0
#endif
#ifdef HWY_AVX10_2
#define BQE_NEWEST_X86_TARGETS HWY_AVX10_2
#else
#define BQE_NEWEST_X86_TARGETS 0
#endif
#ifdef HWY_NEON_BF16
#define BQE_NEWER_ARM_TARGETS HWY_NEON_BF16
#else
#define BQE_NEWER_ARM_TARGETS 0
#endif

// They also divide NEON in two. Without AES it is what every AArch64 processor
// has, and enough.
#if defined(HWY_NEON_WITHOUT_AES) && HWY_STATIC_TARGET == HWY_NEON_WITHOUT_AES
#define BQE_HWY_NEON HWY_NEON_WITHOUT_AES
#define BQE_NAMESPACE_NEON N_NEON_WITHOUT_AES
#define BQE_OTHER_NEON HWY_NEON
#else
#define BQE_HWY_NEON HWY_NEON
#define BQE_NAMESPACE_NEON N_NEON
#define BQE_OTHER_NEON 0
#endif

// SSSE3 machines without SSE4 are older than 2008; SVE gives nothing over NEON
// at 128 bits and is not tested on hardware. The baseline that Highway falls
// back to (SCALAR, EMU128 or SSE2) cannot be disabled; kernel sources skip it
// with BQE_KERNEL_TARGET, for the reference backend serves machines that old.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS                                                \
  (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 |            \
   BQE_NEWER_X86_TARGETS | BQE_NEWEST_X86_TARGETS | BQE_NEWER_ARM_TARGETS | \
   BQE_OTHER_NEON)

// Inside the SIMD region: true where kernels are to be compiled.
#define BQE_KERNEL_TARGET                                 \
  (HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 ||    \
   HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || \
   HWY_TARGET == BQE_HWY_NEON)

// Where they are not, the attributes that Highway pushes meet no function.
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpragma-clang-attribute"
#endif

// In the HWY_ONCE block: the pointer `symbol` (of type `const T* const`, an
// object named so in each target's namespace) for a kernels::Target, or null.
#if HWY_ARCH_X86
#define BQE_SELECT_TARGET(target, symbol)                  \
  ((target) == Target::kSse4           ? N_SSE4::symbol    \
   : (target) == Target::kAvx2         ? N_AVX2::symbol    \
   : (target) == Target::kAvx512       ? N_AVX3::symbol    \
   : (target) == Target::kAvx512Popcnt ? N_AVX3_DL::symbol \
                                       : nullptr)
#elif HWY_ARCH_ARM_A64
#define BQE_SELECT_TARGET(target, symbol) \
  ((target) == Target::kNeon ? BQE_NAMESPACE_NEON::symbol : nullptr)
#else
#define BQE_SELECT_TARGET(target, symbol) ((void)(target), nullptr)
#endif

#endif  // KERNELS_SRC_TARGET_POLICY_H_
