// Files as the format needs them: read whole, mapped, and written so that a
// reader sees the old contents or the new and nothing between. All messages
// start with the file's name. POSIX.
#ifndef ENGINE_SRC_FORMAT_FILE_H_
#define ENGINE_SRC_FORMAT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "bqengine/status.h"

namespace bqengine {

// kNotFound, kIo (not a regular file, not readable), kInvalidModel (empty, or
// larger than max_bytes).
Result<std::string> ReadFile(const std::string& path, size_t max_bytes);

// The bytes of a file, mapped for reading.
class MappedFile {
 public:
  // kNotFound, kIo, kInvalidModel if it is empty.
  static Result<std::shared_ptr<const MappedFile>> Open(
      const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

// 64-bit FNV-1a as 16 hexadecimal digits. Finds accidents, not attacks.
class Fingerprint {
 public:
  void Add(std::span<const std::byte> bytes);
  std::string Text() const;

 private:
  uint64_t hash_ = 0xCBF29CE484222325;
};

// A new file under a temporary name in the folder of its target. It is removed
// unless Rename succeeded. After a failed call only destruction is allowed.
class TemporaryFile {
 public:
  static Result<TemporaryFile> Create(const std::string& target);
  TemporaryFile(TemporaryFile&& other) noexcept;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile();

  Status Write(std::span<const std::byte> bytes);
  // Brings the contents to the disk.
  Status Close();
  // Takes the place of the target. Close must have succeeded.
  Status Rename();

  const Fingerprint& fingerprint() const { return fingerprint_; }

 private:
  TemporaryFile(std::string target, std::string name, int descriptor)
      : target_(std::move(target)),
        name_(std::move(name)),
        descriptor_(descriptor) {}

  std::string target_;
  std::string name_;  // empty once renamed
  int descriptor_;    // -1 once closed
  Fingerprint fingerprint_;
};

// A second name for a file, so that it can be put back. If there is no file, or
// the file system knows no second names, Restore does what is left to do:
// removes what now stands there, or nothing.
class Backup {
 public:
  explicit Backup(const std::string& path);
  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;
  ~Backup();  // removes the second name

  void Restore();

 private:
  std::string path_;
  std::string name_;  // empty if there is no second name
  bool existed_;
};

// Brings renames in the folder of `path` to the disk, as far as it can be done.
void SyncFolderOf(const std::string& path);

}  // namespace bqengine

#endif  // ENGINE_SRC_FORMAT_FILE_H_
