#include "format/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <list>
#include <map>
#include <system_error>
#include <thread>
#include <utility>

namespace bqengine {
namespace {

Status SystemError(const std::string& path, const char* what, int code) {
  const bool missing = code == ENOENT || code == ENOTDIR;
  return Status(
      missing ? StatusCode::kNotFound : StatusCode::kIo,
      path + ": " + what + ": " + std::generic_category().message(code));
}

// Closes at the end of a scope.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  int get() const { return value_; }

 private:
  int value_;
};

Status CheckRegular(const std::string& path, const struct stat& info) {
  if (S_ISDIR(info.st_mode)) {
    return Status(StatusCode::kIo, path + ": is a folder, not a file");
  }
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kIo, path + ": is not a regular file");
  }
  return Status();
}

// The size of a regular file that is not empty.
Result<size_t> FileSize(const std::string& path, int descriptor) {
  struct stat info;
  if (fstat(descriptor, &info) != 0) {
    return SystemError(path, "cannot be read", errno);
  }
  if (Status s = CheckRegular(path, info); !s.ok()) return s;
  if (info.st_size <= 0) {
    return Status(StatusCode::kInvalidModel, path + ": is empty");
  }
  return static_cast<size_t>(info.st_size);
}

// Without O_NONBLOCK, opening a pipe would wait for its other end.
int OpenForReading(const std::string& path) {
  return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

// Makes something under a new name in `folder`, by make(name), which returns
// false with errno as system calls do. A run that was killed may have left
// files behind, so a name that is taken is no error. Empty, with errno, if
// nothing could be made.
template <typename Make>
std::string MakeUnderNewName(const std::filesystem::path& folder,
                             const Make& make) {
  static std::atomic<uint64_t> counter{0};
  constexpr int kMostTries = 1000;
  for (int i = 0; i < kMostTries; ++i) {
    std::string name = folder / (".bqengine-" + std::to_string(getpid()) + "-" +
                                 std::to_string(counter++) + ".tmp");
    if (make(name)) return name;
    if (errno != EEXIST) break;
  }
  return "";
}

// Where writing to `path` would lead: absolute, and without links.
Result<std::string> FollowLinks(const std::string& path) {
  constexpr int kMostLinks = 40;  // as Linux
  std::filesystem::path target(path);
  for (int i = 0; i < kMostLinks; ++i) {
    std::error_code error;
    const auto folder = std::filesystem::canonical(
        target.has_parent_path() ? target.parent_path() : ".", error);
    if (error) return SystemError(path, "cannot be written", error.value());
    target = folder / target.filename();
    struct stat info;
    if (lstat(target.c_str(), &info) != 0) {
      if (errno == ENOENT) return target.string();
      return SystemError(path, "cannot be written", errno);
    }
    if (!S_ISLNK(info.st_mode)) {
      if (Status s = CheckRegular(path, info); !s.ok()) return s;
      return target.string();
    }
    target = folder / std::filesystem::read_symlink(target, error);
    if (error) return SystemError(path, "cannot be written", error.value());
  }
  return SystemError(path, "cannot be written", ELOOP);
}

// Keeps other calls of ReplaceFiles out of a folder until it is destroyed.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder)
      : descriptor_(OpenFolder(folder)) {}

  // False if somebody else does not give up the lock. Some network file systems
  // know no locks of folders; that counts as locked.
  bool Wait() const {
    constexpr int kMostTries = 10000;
    constexpr auto kPause = std::chrono::milliseconds(1);
    for (int i = 0; i < kMostTries; ++i) {
      if (flock(descriptor_.get(), LOCK_EX | LOCK_NB) == 0) return true;
      if (errno != EWOULDBLOCK && errno != EINTR) return true;
      std::this_thread::sleep_for(kPause);
    }
    return false;
  }

  // Brings renames in the folder to the disk, as far as it can be done.
  void Sync() const {
    if (descriptor_.get() >= 0) fsync(descriptor_.get());
  }

 private:
  static int OpenFolder(const std::string& folder) {
    return open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  Descriptor descriptor_;  // closing it unlocks
};

// A second name for a file, so that it can be put back. If there is no file, or
// the file system knows no second names, Restore does what is left to do:
// removes what now stands there, or nothing.
class Backup {
 public:
  explicit Backup(const std::string& path)
      : path_(path),
        name_(MakeUnderNewName(std::filesystem::path(path).parent_path(),
                               [&path](const std::string& name) {
                                 return link(path.c_str(), name.c_str()) == 0;
                               })),
        existed_(access(path.c_str(), F_OK) == 0) {}
  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;
  // Removes the second name.
  ~Backup() {
    if (!name_.empty()) unlink(name_.c_str());
  }

  void Restore() {
    if (!name_.empty()) {
      if (rename(name_.c_str(), path_.c_str()) == 0) name_.clear();
    } else if (!existed_) {
      unlink(path_.c_str());
    }
  }

 private:
  std::string path_;
  std::string name_;  // empty if there is no second name
  bool existed_;
};

}  // namespace

Result<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  const Descriptor file(OpenForReading(path));
  if (file.get() < 0) return SystemError(path, "cannot be opened", errno);
  auto size = FileSize(path, file.get());
  if (!size.ok()) return size.status();
  if (*size > max_bytes) {
    return Status(StatusCode::kInvalidModel,
                  path + ": has " + std::to_string(*size) +
                      " bytes, more than the " + std::to_string(max_bytes) +
                      " that a model's JSON may have");
  }
  std::string text(*size, '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got =
        read(file.get(), text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(path, "cannot be read", errno);
    if (got == 0) break;  // somebody cut it just now
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

Result<std::shared_ptr<const MappedFile>> MappedFile::Open(
    const std::string& path) {
  const Descriptor file(OpenForReading(path));
  if (file.get() < 0) return SystemError(path, "cannot be opened", errno);
  auto size = FileSize(path, file.get());
  if (!size.ok()) return size.status();
  void* data = mmap(nullptr, *size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) return SystemError(path, "cannot be mapped", errno);
  return std::shared_ptr<const MappedFile>(
      new MappedFile({static_cast<const std::byte*>(data), *size}));
}

MappedFile::~MappedFile() {
  munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void Fingerprint::Add(std::span<const std::byte> bytes) {
  constexpr uint64_t kPrime = 0x100000001B3;
  uint64_t hash = hash_;
  for (std::byte b : bytes) hash = (hash ^ static_cast<uint64_t>(b)) * kPrime;
  hash_ = hash;
}

std::string Fingerprint::Text() const {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx",
                static_cast<unsigned long long>(hash_));
  return text;
}

Result<TemporaryFile> TemporaryFile::Create(const std::string& path) {
  auto target = FollowLinks(path);
  if (!target.ok()) return target.status();
  int descriptor = -1;
  std::string name = MakeUnderNewName(
      std::filesystem::path(*target).parent_path(),
      [&descriptor](const std::string& name) {
        descriptor =
            open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        return descriptor >= 0;
      });
  if (descriptor < 0) {
    return SystemError(path, "no temporary file can be made beside it", errno);
  }
  return TemporaryFile(path, *std::move(target), std::move(name), descriptor);
}

TemporaryFile::TemporaryFile(TemporaryFile&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      name_(std::exchange(other.name_, "")),
      descriptor_(std::exchange(other.descriptor_, -1)),
      fingerprint_(other.fingerprint_) {}

TemporaryFile::~TemporaryFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!name_.empty()) unlink(name_.c_str());
}

Status TemporaryFile::Write(std::span<const std::byte> bytes) {
  fingerprint_.Add(bytes);
  while (!bytes.empty()) {
    const ssize_t done = write(descriptor_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return SystemError(path_, "cannot be written", errno);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
  return Status();
}

Status TemporaryFile::Close() {
  if (fsync(descriptor_) != 0) {
    return SystemError(path_, "cannot be written", errno);
  }
  if (close(std::exchange(descriptor_, -1)) != 0) {
    return SystemError(path_, "cannot be written", errno);
  }
  return Status();
}

Status TemporaryFile::Rename() {
  if (rename(name_.c_str(), target_.c_str()) != 0) {
    return SystemError(path_, "cannot be replaced", errno);
  }
  name_.clear();
  return Status();
}

Status ReplaceFiles(std::span<TemporaryFile* const> files) {
  // In the order of their names: two calls never wait for each other.
  std::map<std::string, FolderLock> locks;
  for (const TemporaryFile* file : files) {
    const auto folder = std::filesystem::path(file->target_).parent_path();
    locks.try_emplace(folder, folder);
  }
  for (const auto& [folder, lock] : locks) {
    if (!lock.Wait()) {
      return Status(StatusCode::kIo, files[0]->path_ +
                                         ": cannot be written: another program "
                                         "keeps the folder locked");
    }
  }
  std::list<Backup> backups;
  for (TemporaryFile* file : files) {
    backups.emplace_back(file->target_);
    if (Status s = file->Rename(); !s.ok()) {
      backups.pop_back();  // nothing happened to this one
      for (Backup& backup : backups) backup.Restore();
      return s;
    }
  }
  for (const auto& [folder, lock] : locks) lock.Sync();
  return Status();
}

}  // namespace bqengine
