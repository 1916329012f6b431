#ifndef BQENGINE_FILES_DESCRIPTOR_H_
#define BQENGINE_FILES_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace bqengine::files {

// An open file, or none (-1). Closes at the end of its life.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept
      : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }

  int get() const { return value_; }

  // False with errno: some file systems report a full disk only here.
  bool Close() { return close(std::exchange(value_, -1)) == 0; }

 private:
  int value_;
};

}  // namespace bqengine::files

#endif  // BQENGINE_FILES_DESCRIPTOR_H_
