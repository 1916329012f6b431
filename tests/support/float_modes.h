// Floating-point modes that a host may have set, for tests.
#ifndef TESTS_SUPPORT_FLOAT_MODES_H_
#define TESTS_SUPPORT_FLOAT_MODES_H_

#include <cfenv>
#include <cstdint>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace bqengine::testing {

// Everything of the calling thread's mode that the machine has, without the
// flags of exceptions.
inline uint64_t FloatMode() {
#if defined(__x86_64__)
  unsigned short x87;
  asm volatile("fnstcw %0" : "=m"(x87));
  return uint64_t{x87} << 32 | (_mm_getcsr() & ~0x3fu);
#elif defined(__aarch64__)
  uint64_t fpcr;
  asm volatile("mrs %0, fpcr" : "=r"(fpcr));
  return fpcr;
#else
  return static_cast<uint64_t>(std::fegetround());
#endif
}

struct HostMode {
  std::string name;
  int rounding;
  bool flush = false;  // subnormals to zero, inputs and results
  bool trap = false;   // on inexact results, of which every run has some

  void Set() const {
    std::fesetround(rounding);
#if defined(__x86_64__)
    if (flush) _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined(__aarch64__)
    if (flush) asm volatile("msr fpcr, %0" : : "r"(FloatMode() | 1u << 24));
#endif
#if defined(__GLIBC__)
    if (trap) feenableexcept(FE_ALL_EXCEPT);
#endif
  }
};

inline std::vector<HostMode> HostModes() {
  return {{"up", FE_UPWARD},
          {"down", FE_DOWNWARD},
          {"to zero", FE_TOWARDZERO},
          {"flush", FE_TONEAREST, true},
          {"flush, down", FE_DOWNWARD, true},
          {"trap", FE_TONEAREST, false, true}};
}

// What `body` gives in that mode, and whether the mode was the same after it.
// The test itself goes on in the mode that it had.
template <typename Body>
auto InMode(const HostMode& mode, bool* kept, const Body& body) {
  std::fenv_t before;
  std::fegetenv(&before);
  mode.Set();
  const uint64_t set = FloatMode();
  auto result = body();
  *kept = FloatMode() == set;
  std::fesetenv(&before);
  return result;
}

}  // namespace bqengine::testing

#endif  // TESTS_SUPPORT_FLOAT_MODES_H_
