// Memory for packed weights.
#ifndef BACKENDS_CPU_ALIGNED_ARRAY_H_
#define BACKENDS_CPU_ALIGNED_ARRAY_H_

#include <cstdint>
#include <memory>
#include <new>

namespace bqengine::backends::cpu {

template <typename T>
struct AlignedDelete {
  void operator()(T* memory) const {
    ::operator delete(memory, std::align_val_t(64));
  }
};

// Starts at a cache line; not initialized.
template <typename T>
using AlignedArray = std::unique_ptr<T[], AlignedDelete<T>>;

template <typename T>
AlignedArray<T> NewAlignedArray(int64_t count) {
  return AlignedArray<T>(static_cast<T*>(
      ::operator new(size_t(count) * sizeof(T), std::align_val_t(64))));
}

}  // namespace bqengine::backends::cpu

#endif  // BACKENDS_CPU_ALIGNED_ARRAY_H_
