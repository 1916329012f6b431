#include "tests/support/allocation_failure.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace bqengine::testing {
namespace {

constexpr int64_t kNever = INT64_MAX;

std::atomic<int64_t> g_left{kNever};  // allocations up to the one that fails
std::atomic<bool> g_threw{false};
std::atomic<bool> g_gave_null{false};
std::atomic<int64_t> g_live{0};

void* Allocate(size_t bytes, size_t alignment) {
  if (g_left.load(std::memory_order_relaxed) != kNever &&
      g_left.fetch_sub(1) == 1) {
    return nullptr;
  }
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory =
      alignment <= alignof(std::max_align_t)
          ? std::malloc(bytes == 0 ? 1 : bytes)
          : std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (memory != nullptr) g_live.fetch_add(1);
  return memory;
}

void* AllocateOrThrow(size_t bytes, size_t alignment) {
  void* memory = Allocate(bytes, alignment);
  if (memory == nullptr) {
    g_threw.store(true);
    throw std::bad_alloc();
  }
  return memory;
}

void* AllocateOrNull(size_t bytes, size_t alignment) {
  void* memory = Allocate(bytes, alignment);
  if (memory == nullptr) g_gave_null.store(true);
  return memory;
}

void Free(void* memory) {
  if (memory == nullptr) return;
  g_live.fetch_sub(1);
  std::free(memory);
}

constexpr size_t kPlain = alignof(std::max_align_t);

}  // namespace

AllocationFailure::AllocationFailure(int64_t n) {
  g_threw.store(false);
  g_gave_null.store(false);
  g_left.store(n);
}
AllocationFailure::~AllocationFailure() { g_left.store(kNever); }
bool AllocationFailure::threw() const { return g_threw.load(); }
bool AllocationFailure::gave_null() const { return g_gave_null.load(); }

int64_t LiveAllocations() { return g_live.load(); }

}  // namespace bqengine::testing

// All forms: those that call others by default would do so by the library.
using namespace bqengine::testing;  // NOLINT
using std::align_val_t;
void* operator new(size_t n) { return AllocateOrThrow(n, kPlain); }
void* operator new(size_t n, align_val_t a) {
  return AllocateOrThrow(n, size_t(a));
}
void* operator new(size_t n, const std::nothrow_t&) noexcept {
  return AllocateOrNull(n, kPlain);
}
void* operator new(size_t n, align_val_t a, const std::nothrow_t&) noexcept {
  return AllocateOrNull(n, size_t(a));
}
void* operator new[](size_t n) { return AllocateOrThrow(n, kPlain); }
void* operator new[](size_t n, align_val_t a) {
  return AllocateOrThrow(n, size_t(a));
}
void* operator new[](size_t n, const std::nothrow_t&) noexcept {
  return AllocateOrNull(n, kPlain);
}
void* operator new[](size_t n, align_val_t a, const std::nothrow_t&) noexcept {
  return AllocateOrNull(n, size_t(a));
}
void operator delete(void* p) noexcept { Free(p); }
void operator delete(void* p, size_t) noexcept { Free(p); }
void operator delete(void* p, align_val_t) noexcept { Free(p); }
void operator delete(void* p, size_t, align_val_t) noexcept { Free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { Free(p); }
void operator delete(void* p, align_val_t, const std::nothrow_t&) noexcept {
  Free(p);
}
void operator delete[](void* p) noexcept { Free(p); }
void operator delete[](void* p, size_t) noexcept { Free(p); }
void operator delete[](void* p, align_val_t) noexcept { Free(p); }
void operator delete[](void* p, size_t, align_val_t) noexcept { Free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { Free(p); }
void operator delete[](void* p, align_val_t, const std::nothrow_t&) noexcept {
  Free(p);
}
