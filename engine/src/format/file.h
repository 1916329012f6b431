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

// A new file that is to take the place of another, under a temporary name in
// the folder of its target. It is removed unless ReplaceFiles succeeded. After
// a failed call only destruction is allowed.
class TemporaryFile {
 public:
  // The target is `path` or, if a symbolic link stands there, what it leads to;
  // it need not exist. kIo if it is not a regular file.
  static Result<TemporaryFile> Create(const std::string& path);
  TemporaryFile(TemporaryFile&& other) noexcept;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile();

  Status Write(std::span<const std::byte> bytes);
  // Brings the contents to the disk.
  Status Close();

  const Fingerprint& fingerprint() const { return fingerprint_; }
  // Absolute, without links: the same text for the same file.
  const std::string& target() const { return target_; }

 private:
  friend Status ReplaceFiles(std::span<TemporaryFile* const> files);

  TemporaryFile(std::string path, std::string target, std::string name,
                int descriptor)
      : path_(std::move(path)),
        target_(std::move(target)),
        name_(std::move(name)),
        descriptor_(descriptor) {}

  Status Rename();

  std::string path_;  // for messages
  std::string target_;
  std::string name_;  // empty once renamed
  int descriptor_;    // -1 once closed
  Fingerprint fingerprint_;
};

// Puts the files, all closed, in the places of their targets, in this order. If
// that fails, what was there before is put back. Meanwhile the targets' folders
// are locked (flock), so that no other call, in this process or another, comes
// between; a file system without locks does without. kIo if somebody keeps a
// lock for many seconds.
Status ReplaceFiles(std::span<TemporaryFile* const> files);

}  // namespace bqengine

#endif  // ENGINE_SRC_FORMAT_FILE_H_
