// Instruction sets that the kernels are compiled for.
//
// Each kernel header declares a struct of function pointers and a function
// `const XKernels* GetXKernels(Target)`; callers choose a target once, when a
// node is compiled, and keep the pointer. There is no global switch: two
// targets can be used side by side in one process.
#ifndef KERNELS_TARGETS_H_
#define KERNELS_TARGETS_H_

#include <span>

namespace bqengine::kernels {

enum class Target {
  kSse4,          // SSE4.2 and popcnt
  kAvx2,          // AVX2, FMA, BMI2
  kAvx512,        // AVX-512 F, BW, DQ, VL
  kAvx512Popcnt,  // and VPOPCNTDQ, BITALG, VBMI, VNNI (Ice Lake, Zen 4)
  kNeon,          // AArch64 Advanced SIMD
};

// As in names of backends, tests and benchmarks: "avx512-popcnt".
const char* TargetName(Target target);
// For people: "AVX-512 with vector popcount".
const char* TargetDescription(Target target);

// What this build contains, worst first, whether or not this machine has it.
std::span<const Target> CompiledTargets();

// True if this processor and operating system can run it.
bool IsUsable(Target target);

}  // namespace bqengine::kernels

#endif  // KERNELS_TARGETS_H_
