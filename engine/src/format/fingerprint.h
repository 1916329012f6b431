#ifndef ENGINE_SRC_FORMAT_FINGERPRINT_H_
#define ENGINE_SRC_FORMAT_FINGERPRINT_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

namespace bqengine {

// 64-bit FNV-1a as 16 hexadecimal digits. Finds accidents, not attacks.
class Fingerprint {
 public:
  void Add(std::span<const std::byte> bytes) {
    constexpr uint64_t kPrime = 0x100000001B3;
    uint64_t hash = hash_;
    for (std::byte b : bytes) hash = (hash ^ static_cast<uint64_t>(b)) * kPrime;
    hash_ = hash;
  }

  std::string Text() const {
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx",
                  static_cast<unsigned long long>(hash_));
    return text;
  }

 private:
  uint64_t hash_ = 0xCBF29CE484222325;
};

}  // namespace bqengine

#endif  // ENGINE_SRC_FORMAT_FINGERPRINT_H_
