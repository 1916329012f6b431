// Files read whole, into memory that nobody else can change, and seen not to
// have changed meanwhile. All messages start with the file's name. Linux.
#ifndef BQENGINE_FILES_READ_FILE_H_
#define BQENGINE_FILES_READ_FILE_H_

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "bqengine/status.h"

namespace bqengine::files {

// "PATH: WHAT: No such file or directory": kNotFound if that is what `code`, an
// errno, says, kOutOfMemory if that is, else kIo.
Status SystemError(const std::string& path, const char* what, int code);

// kIo if it is a folder, a pipe or a device.
Status CheckRegular(const std::string& path, const struct stat& info);

// The state of an open file, to tell whether it is changed while it is read.
// Times of files come from a clock that stands still for some milliseconds: of
// a file that was just written, Take waits until its clock has moved on, so
// that the next change gives it another time.
class Stamp {
 public:
  static Result<Stamp> Take(const std::string& path, int descriptor);

  const struct stat& info() const { return info_; }
  uint64_t bytes() const { return static_cast<uint64_t>(info_.st_size); }

  // Whether the file is as it was.
  bool IsUnchanged(int descriptor) const;

 private:
  struct stat info_ = {};
};

// Says whether a file may have so many bytes, before memory is taken for them.
using AcceptSize = std::function<Status(uint64_t bytes)>;

// The bytes of a regular file, or others; aligned to 64 bytes.
class Contents {
 public:
  // kNotFound, kIo (also if the file changes whenever it is read), or what
  // `accept` says. Too little memory throws std::bad_alloc.
  static Result<std::shared_ptr<const Contents>> Read(const std::string& path,
                                                      const AcceptSize& accept);
  // The file itself, mapped into memory. Whoever changes it changes these
  // bytes; whoever cuts it ends this process at the next look at them (SIGBUS).
  static Result<std::shared_ptr<const Contents>> Map(const std::string& path,
                                                     const AcceptSize& accept);
  static std::shared_ptr<const Contents> Copy(std::span<const std::byte> bytes);

  Contents(const Contents&) = delete;
  Contents& operator=(const Contents&) = delete;
  ~Contents() { release_(bytes_); }

  std::span<const std::byte> bytes() const { return bytes_; }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

 private:
  using Release = void (*)(std::span<const std::byte>);
  explicit Contents(Release release) : release_(release) {}
  // Uninitialized, and where to write it.
  static std::shared_ptr<const Contents> Allocate(size_t bytes,
                                                  std::byte** memory);

  std::span<const std::byte> bytes_;
  Release release_;
};

}  // namespace bqengine::files

#endif  // BQENGINE_FILES_READ_FILE_H_
