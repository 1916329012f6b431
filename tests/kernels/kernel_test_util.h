// What the tests of the SIMD kernels share: usable targets, guarded buffers and
// comparisons.
#ifndef TESTS_KERNELS_KERNEL_TEST_UTIL_H_
#define TESTS_KERNELS_KERNEL_TEST_UTIL_H_

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/targets.h"

namespace bqengine::kernels {

inline std::vector<Target> UsableTargets() {
  std::vector<Target> targets;
  for (Target target : CompiledTargets()) {
    if (IsUsable(target)) targets.push_back(target);
  }
  return targets;
}

// Names of parametrised tests: letters, digits and underscores only.
inline std::string TargetTestName(const testing::TestParamInfo<Target>& info) {
  std::string name = TargetName(info.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

using Random = std::mt19937_64;

inline int64_t Uniform(Random& random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}
inline bool OneIn(Random& random, int64_t n) {
  return Uniform(random, 1, n) == 1;
}

// An array aligned to a cache line, with guard bytes before and behind it and
// junk inside, so that a kernel that writes too much, or relies on what it
// finds, is seen.
template <typename T>
class Guarded {
 public:
  explicit Guarded(int64_t count) : count_(size_t(count)) {
    memory_.reset(static_cast<uint8_t*>(
        ::operator new(Bytes() + 2 * kGuard, std::align_val_t(64))));
    std::memset(memory_.get(), kJunk, Bytes() + 2 * kGuard);
  }
  T* data() { return reinterpret_cast<T*>(memory_.get() + kGuard); }
  const T* data() const {
    return reinterpret_cast<const T*>(memory_.get() + kGuard);
  }
  size_t size() const { return count_; }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }

  bool GuardsIntact() const {
    for (size_t i = 0; i < kGuard; ++i) {
      if (memory_[i] != kJunk || memory_[kGuard + Bytes() + i] != kJunk) {
        return false;
      }
    }
    return true;
  }

 private:
  static constexpr size_t kGuard = 256;
  static constexpr uint8_t kJunk = 0xA5;
  struct Free {
    void operator()(uint8_t* memory) const {
      ::operator delete(memory, std::align_val_t(64));
    }
  };
  size_t Bytes() const { return count_ * sizeof(T); }
  size_t count_;
  std::unique_ptr<uint8_t[], Free> memory_;
};

// An array that ends where memory begins that nobody may touch, so that a
// kernel that reads too much does not live to tell.
template <typename T>
class BeforeForbidden {
 public:
  explicit BeforeForbidden(const std::vector<T>& values) {
    const size_t page = size_t(sysconf(_SC_PAGESIZE));
    const size_t bytes = values.size() * sizeof(T);
    const size_t readable = (bytes + page - 1) / page * page;
    mapped_ = readable + page;
    memory_ =
        static_cast<uint8_t*>(mmap(nullptr, mapped_, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    if (mprotect(memory_ + readable, page, PROT_NONE) != 0) std::abort();
    data_ = reinterpret_cast<T*>(memory_ + readable - bytes);
    std::copy(values.begin(), values.end(), data_);
  }
  BeforeForbidden(const BeforeForbidden&) = delete;
  BeforeForbidden& operator=(const BeforeForbidden&) = delete;
  ~BeforeForbidden() { munmap(memory_, mapped_); }
  const T* data() const { return data_; }

 private:
  uint8_t* memory_;
  size_t mapped_;
  T* data_;
};

// Every bit the same; a NaN only has to be a NaN.
inline bool SameFloat(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

template <typename T>
void ExpectSame(const Guarded<T>& got, const std::vector<T>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    if constexpr (std::is_same_v<T, float>) {
      ASSERT_TRUE(SameFloat(got[i], want[i]))
          << "at " << i << ": " << got[i] << ", not " << want[i];
    } else {
      ASSERT_EQ(got[i], want[i]) << "at word " << i;
    }
  }
  EXPECT_TRUE(got.GuardsIntact());
}

}  // namespace bqengine::kernels

#endif  // TESTS_KERNELS_KERNEL_TEST_UTIL_H_
