// Lays out arrays in one block of memory that the caller provides.
#ifndef KERNELS_SRC_MEMORY_LAYOUT_H_
#define KERNELS_SRC_MEMORY_LAYOUT_H_

#include <cstddef>
#include <cstdint>

namespace bqengine::kernels {

// With a null base it only measures, so that one function can both tell the
// size and hand out the pointers. Each array starts at a cache line.
class MemoryLayout {
 public:
  explicit MemoryLayout(void* base) : base_(static_cast<std::byte*>(base)) {}

  template <typename T>
  T* Take(int64_t count) {
    std::byte* start = base_ == nullptr ? nullptr : base_ + used_;
    used_ += (uint64_t(count) * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T*>(start);
  }
  uint64_t used() const { return used_; }

 private:
  std::byte* base_;
  uint64_t used_ = 0;
};

}  // namespace bqengine::kernels

#endif  // KERNELS_SRC_MEMORY_LAYOUT_H_
