// Files written so that a reader sees the old contents or the new and nothing
// between, and that nothing else is left, whenever the writer dies. All
// messages start with the file's name. Linux.
#ifndef BQENGINE_FILES_REPLACE_FILES_H_
#define BQENGINE_FILES_REPLACE_FILES_H_

#include <cstddef>
#include <span>
#include <string>

#include "bqengine/status.h"
#include "files/descriptor.h"

namespace bqengine::files {

// A new file that is to take the place of another, in the folder of its target.
// It goes away unless ReplaceFiles succeeded. After a failed call only
// destruction is allowed.
//
// It has no name until ReplaceFiles gives it one (O_TMPFILE), so that it dies
// with its writer. Where a file system knows no such files it has a temporary
// name from the start, and a lock (flock) that says that its writer lives.
class TemporaryFile {
 public:
  enum class Name { kLate, kAtOnce };  // the second for tests of such systems

  // The target is `path` or, if a symbolic link stands there, what it leads to;
  // it need not exist. If it does, the new file takes over its mode and, where
  // the system allows it, its owner and group. kNotFound if there is no such
  // folder, kIo if it is not a regular file or nothing can be written there.
  static Result<TemporaryFile> Create(const std::string& path,
                                      Name name = Name::kLate);
  TemporaryFile(TemporaryFile&& other) noexcept;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile();

  // Also of more than a limit on the size of files allows: kIo.
  Status Write(std::span<const std::byte> bytes);
  // Brings the contents to the disk; nothing more is written.
  Status Finish();

  // Absolute, without links: the same text for the same file.
  const std::string& target() const { return target_; }

 private:
  friend Status ReplaceFiles(std::span<TemporaryFile* const> files);

  TemporaryFile(std::string path, std::string target, std::string name,
                Descriptor descriptor)
      : path_(std::move(path)),
        target_(std::move(target)),
        name_(std::move(name)),
        descriptor_(std::move(descriptor)) {}

  Status GetName();
  bool Rename();  // false with errno

  std::string path_;  // for messages
  std::string target_;
  std::string name_;  // empty before it has one, and once it is the target's
  Descriptor descriptor_;
};

// Puts the files, all finished, in the places of their targets, in this order.
// If that fails, what was there before is put back. Meanwhile the targets'
// folders are locked (flock), so that no other call, in this process or
// another, comes between; a file system without locks does without. Removes the
// temporary names that writers who died have left there. kIo if somebody keeps
// a lock for many seconds.
Status ReplaceFiles(std::span<TemporaryFile* const> files);

}  // namespace bqengine::files

#endif  // BQENGINE_FILES_REPLACE_FILES_H_
