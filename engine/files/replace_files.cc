#include "files/replace_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <list>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "files/read_file.h"
#include "files/write_all.h"

namespace bqengine::files {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNameStart = ".bqengine-";
constexpr std::string_view kNameEnd = ".tmp";

// Makes something under a new name in `folder`, by make(name), which returns
// false with errno as system calls do. A name that is taken is no error. Empty,
// with errno, if nothing could be made.
template <typename Make>
std::string MakeUnderNewName(const fs::path& folder, const Make& make) {
  static std::atomic<uint64_t> counter{0};
  constexpr int kMostTries = 1000;
  for (int i = 0; i < kMostTries; ++i) {
    std::string name =
        folder / (std::string(kNameStart) + std::to_string(getpid()) + "-" +
                  std::to_string(counter++) + std::string(kNameEnd));
    if (make(name)) return name;
    if (errno != EEXIST) break;
  }
  return "";
}

// Whether the function above may have made it.
bool IsTemporaryName(std::string_view name) {
  if (!name.starts_with(kNameStart) || !name.ends_with(kNameEnd)) return false;
  name.remove_prefix(kNameStart.size());
  if (name.size() <= kNameEnd.size()) return false;
  name.remove_suffix(kNameEnd.size());
  const size_t dash = name.find('-');
  if (dash == std::string_view::npos) return false;
  const auto is_number = [](std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
      return c >= '0' && c <= '9';
    });
  };
  return is_number(name.substr(0, dash)) && is_number(name.substr(dash + 1));
}

// Whose writer lives is locked. Of a file system without locks nothing is
// removed.
void RemoveIfLeftOver(const char* name) {
  const Descriptor file(
      open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info;
  if (file.get() >= 0 && fstat(file.get(), &info) == 0 &&
      S_ISREG(info.st_mode) && flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
    unlink(name);  // while it is locked: a writer may have just made it
  }
}

// Where writing would lead, and what stands there.
struct Target {
  std::string path;  // absolute, and without links
  std::optional<struct stat> old;
};

Result<Target> FollowLinks(const std::string& path) {
  constexpr int kMostLinks = 40;  // as Linux
  fs::path target(path);
  for (int i = 0; i < kMostLinks; ++i) {
    std::error_code error;
    const auto folder = fs::canonical(
        target.has_parent_path() ? target.parent_path() : ".", error);
    if (error) return SystemError(path, "cannot be written", error.value());
    target = folder / target.filename();
    struct stat info;
    if (lstat(target.c_str(), &info) != 0) {
      if (errno == ENOENT) return Target{target.string(), std::nullopt};
      return SystemError(path, "cannot be written", errno);
    }
    if (!S_ISLNK(info.st_mode)) {
      if (Status s = CheckRegular(path, info); !s.ok()) return s;
      return Target{target.string(), info};
    }
    target = folder / fs::read_symlink(target, error);
    if (error) return SystemError(path, "cannot be written", error.value());
  }
  return SystemError(path, "cannot be written", ELOOP);
}

std::string ProcName(int descriptor) {
  return "/proc/self/fd/" + std::to_string(descriptor);
}

// None, if the file system knows no such files or they could not be named
// later.
Descriptor CreateWithoutName(const fs::path& folder, mode_t mode) {
  Descriptor file(open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode));
  const bool can_be_named =
      file.get() >= 0 && access(ProcName(file.get()).c_str(), F_OK) == 0;
  return can_be_named ? std::move(file) : Descriptor(-1);
}

// Locked. Somebody who cleans up may have found it before it was.
Descriptor CreateWithName(const fs::path& folder, mode_t mode,
                          std::string* name) {
  Descriptor file(-1);
  *name = MakeUnderNewName(folder, [&file, mode](const std::string& name) {
    file = Descriptor(
        open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (file.get() < 0) return false;
    struct stat info;
    const bool is_gone = flock(file.get(), LOCK_EX) == 0 &&
                         fstat(file.get(), &info) == 0 && info.st_nlink == 0;
    if (is_gone) errno = EEXIST;
    return !is_gone;
  });
  return file;
}

// What cannot be kept is not: who replaces the file of another is its owner
// then. Where that gives the file another group, that may do no more than
// everybody.
void KeepOwnerAndMode(int descriptor, const struct stat& old) {
  mode_t mode = old.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO);
  if (fchown(descriptor, old.st_uid, old.st_gid) != 0 &&
      fchown(descriptor, static_cast<uid_t>(-1), old.st_gid) != 0) {
    mode &= ~static_cast<mode_t>(S_IRWXG) | (mode & S_IRWXO) << 3;
  }
  [[maybe_unused]] const int kept = fchmod(descriptor, mode);
}

// Keeps other calls of ReplaceFiles out of a folder until it is destroyed.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder)
      : folder_(folder),
        descriptor_(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}

  // False if somebody else does not give up the lock. Some network file systems
  // know no locks of folders; there, all go on without.
  bool Wait() {
    constexpr int kMostTries = 10000;
    constexpr auto kPause = std::chrono::milliseconds(1);
    for (int i = 0; i < kMostTries; ++i) {
      is_locked_ = flock(descriptor_.get(), LOCK_EX | LOCK_NB) == 0;
      if (is_locked_) return true;
      if (errno != EWOULDBLOCK && errno != EINTR) return true;
      std::this_thread::sleep_for(kPause);
    }
    return false;
  }

  // Whoever lives and has a name there has the lock of the folder, or of the
  // file.
  void RemoveLeftovers() const {
    if (!is_locked_) return;
    std::error_code error;
    for (fs::directory_iterator i(folder_, error), end; !error && i != end;
         i.increment(error)) {
      if (IsTemporaryName(i->path().filename().native())) {
        RemoveIfLeftOver(i->path().c_str());
      }
    }
  }

  // Brings renames in the folder to the disk, as far as it can be done.
  void Sync() const {
    if (descriptor_.get() >= 0) fsync(descriptor_.get());
  }

 private:
  std::string folder_;
  Descriptor descriptor_;  // closing it unlocks
  bool is_locked_ = false;
};

// A second name for a file, so that it can be put back. If there is no file, or
// the file system knows no second names, Restore does what is left to do:
// removes what now stands there, or nothing.
class Backup {
 public:
  explicit Backup(const std::string& path)
      : path_(path),
        name_(MakeUnderNewName(fs::path(path).parent_path(),
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

Result<TemporaryFile> TemporaryFile::Create(const std::string& path,
                                            Name when) {
  auto target = FollowLinks(path);
  if (!target.ok()) return target.status();
  const fs::path folder = fs::path(target->path).parent_path();
  // Nobody reads what is to be a private file before it has its mode.
  const mode_t mode = target->old ? S_IRUSR | S_IWUSR : 0666;
  // Made before there is anything to take away again.
  TemporaryFile made(path, std::move(target->path), "", Descriptor(-1));
  Descriptor& file = made.descriptor_;
  if (when == Name::kLate) file = CreateWithoutName(folder, mode);
  if (file.get() < 0) file = CreateWithName(folder, mode, &made.name_);
  if (file.get() < 0) {
    return SystemError(path, "no temporary file can be made beside it", errno);
  }
  if (target->old) KeepOwnerAndMode(file.get(), *target->old);
  return made;
}

TemporaryFile::TemporaryFile(TemporaryFile&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      name_(std::exchange(other.name_, "")),
      descriptor_(std::move(other.descriptor_)) {}

TemporaryFile::~TemporaryFile() {
  if (!name_.empty()) unlink(name_.c_str());
}

Status TemporaryFile::Write(std::span<const std::byte> bytes) {
  if (WriteAll(descriptor_.get(), bytes)) return Status();
  return SystemError(path_, "cannot be written", errno);
}

Status TemporaryFile::Finish() {
  if (fsync(descriptor_.get()) == 0) return Status();
  return SystemError(path_, "cannot be written", errno);
}

Status TemporaryFile::GetName() {
  if (!name_.empty()) return Status();
  name_ = MakeUnderNewName(
      fs::path(target_).parent_path(), [this](const std::string& name) {
        return linkat(AT_FDCWD, ProcName(descriptor_.get()).c_str(), AT_FDCWD,
                      name.c_str(), AT_SYMLINK_FOLLOW) == 0;
      });
  if (!name_.empty()) return Status();
  return SystemError(path_, "cannot be written", errno);
}

bool TemporaryFile::Rename() {
  if (rename(name_.c_str(), target_.c_str()) != 0) return false;
  name_.clear();
  return true;
}

Status ReplaceFiles(std::span<TemporaryFile* const> files) {
  // In the order of their names: two calls never wait for each other.
  std::map<std::string, FolderLock> locks;
  for (const TemporaryFile* file : files) {
    const std::string folder = fs::path(file->target_).parent_path();
    locks.try_emplace(folder, folder);
  }
  for (auto& [folder, lock] : locks) {
    if (!lock.Wait()) {
      return Status(StatusCode::kIo, files[0]->path_ +
                                         ": cannot be written: another program "
                                         "keeps the folder locked");
    }
    lock.RemoveLeftovers();
  }
  // What needs memory comes before the first of them takes its place.
  std::list<Backup> backups;
  for (TemporaryFile* file : files) {
    if (Status s = file->GetName(); !s.ok()) return s;
    backups.emplace_back(file->target_);
  }
  auto backup = backups.begin();
  for (TemporaryFile* file : files) {
    if (!file->Rename()) {
      const int error = errno;
      while (backup != backups.begin()) (--backup)->Restore();
      return SystemError(file->path_, "cannot be replaced", error);
    }
    ++backup;
  }
  for (const auto& [folder, lock] : locks) lock.Sync();
  return Status();
}

}  // namespace bqengine::files
