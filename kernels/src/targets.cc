#include "kernels/targets.h"

#include <array>

#include "target_policy.h"

#include <hwy/targets.h>

namespace bqengine::kernels {
namespace {

struct TargetInfo {
  Target target;
  int64_t hwy_target;
  const char* name;
  const char* description;
};

constexpr TargetInfo kTargets[] = {
    {Target::kSse4, HWY_SSE4, "sse4", "SSE4.2"},
    {Target::kAvx2, HWY_AVX2, "avx2", "AVX2"},
    {Target::kAvx512, HWY_AVX3, "avx512", "AVX-512 without vector popcount"},
    {Target::kAvx512Popcnt, HWY_AVX3_DL, "avx512-popcnt",
     "AVX-512 with vector popcount"},
    {Target::kNeon, BQE_HWY_NEON, "neon", "AArch64 NEON"},
};

const TargetInfo& Info(Target target) {
  return kTargets[static_cast<size_t>(target)];
}

#if HWY_ARCH_X86
constexpr std::array kCompiled = {Target::kSse4, Target::kAvx2, Target::kAvx512,
                                  Target::kAvx512Popcnt};
#elif HWY_ARCH_ARM_A64
constexpr std::array kCompiled = {Target::kNeon};
#else
constexpr std::array<Target, 0> kCompiled = {};
#endif

}  // namespace

const char* TargetName(Target target) { return Info(target).name; }
const char* TargetDescription(Target target) {
  return Info(target).description;
}
std::span<const Target> CompiledTargets() { return kCompiled; }

bool IsUsable(Target target) {
  for (Target compiled : kCompiled) {
    if (compiled == target) {
      return (hwy::SupportedTargets() & Info(target).hwy_target) != 0;
    }
  }
  return false;
}

}  // namespace bqengine::kernels
