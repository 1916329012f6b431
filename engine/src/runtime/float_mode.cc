#include "runtime/float_mode.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace bqengine {

#if defined(__aarch64__)

// fesetenv leaves some bits of FPCR as they are, default NaNs among them.
namespace {

uint64_t ReadFpcr() {
  uint64_t value;
  asm volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}
void WriteFpcr(uint64_t value) {
  asm volatile("msr fpcr, %0" : : "r"(value) : "memory");
}

}  // namespace

DefaultFloatMode::DefaultFloatMode() : callers_(ReadFpcr()) {
  was_default_ = callers_ == 0;
  if (!was_default_) WriteFpcr(0);
}

DefaultFloatMode::~DefaultFloatMode() {
  if (ReadFpcr() != callers_) WriteFpcr(callers_);
}

#else

namespace {

#if defined(__x86_64__)

constexpr unsigned kDefaultMxcsr = 0x1f80;
constexpr unsigned kMxcsrFlags = 0x3f;  // of exceptions so far: not a mode
constexpr unsigned short kDefaultX87Control = 0x37f;

// Of the x87 unit, too: long double computes there, and the C library reads its
// rounding mode.
bool IsDefault() {
  unsigned short x87_control;
  asm volatile("fnstcw %0" : "=m"(x87_control));
  return (_mm_getcsr() & ~kMxcsrFlags) == kDefaultMxcsr &&
         x87_control == kDefaultX87Control;
}

void SetDefault() {
  std::fesetenv(FE_DFL_ENV);
  _mm_setcsr(kDefaultMxcsr);  // not every C library thinks of flush-to-zero
}

#else

// The C library cannot tell flush-to-zero.
bool IsDefault() { return false; }
void SetDefault() { std::fesetenv(FE_DFL_ENV); }

#endif

}  // namespace

DefaultFloatMode::DefaultFloatMode() : was_default_(IsDefault()) {
  if (was_default_) return;
  std::fegetenv(&callers_);
  SetDefault();
}

DefaultFloatMode::~DefaultFloatMode() {
  if (!was_default_) {
    std::fesetenv(&callers_);
  } else if (!IsDefault()) {
    SetDefault();
  }
}

#endif

}  // namespace bqengine
