#include "format/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
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

// The size of a regular file that is not empty.
Result<size_t> FileSize(const std::string& path, int descriptor) {
  struct stat info;
  if (fstat(descriptor, &info) != 0) {
    return SystemError(path, "cannot be read", errno);
  }
  if (S_ISDIR(info.st_mode)) {
    return Status(StatusCode::kIo, path + ": is a folder, not a file");
  }
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kIo, path + ": is not a regular file");
  }
  if (info.st_size <= 0) {
    return Status(StatusCode::kInvalidModel, path + ": is empty");
  }
  return static_cast<size_t>(info.st_size);
}

// Without O_NONBLOCK, opening a pipe would wait for its other end.
int OpenForReading(const std::string& path) {
  return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

// A name in the folder of `path` that nobody else makes.
std::string UniqueName(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  const std::filesystem::path target(path);
  const std::string file = "." + target.filename().string() + "." +
                           std::to_string(getpid()) + "." +
                           std::to_string(counter++) + ".tmp";
  return (target.parent_path() / file).string();
}

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

Result<TemporaryFile> TemporaryFile::Create(const std::string& target) {
  std::string name = UniqueName(target);
  const int descriptor =
      open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) return SystemError(target, "cannot be written", errno);
  return TemporaryFile(target, std::move(name), descriptor);
}

TemporaryFile::TemporaryFile(TemporaryFile&& other) noexcept
    : target_(std::move(other.target_)),
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
    if (done < 0) return SystemError(target_, "cannot be written", errno);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
  return Status();
}

Status TemporaryFile::Close() {
  if (fsync(descriptor_) != 0) {
    return SystemError(target_, "cannot be written", errno);
  }
  if (close(std::exchange(descriptor_, -1)) != 0) {
    return SystemError(target_, "cannot be written", errno);
  }
  return Status();
}

Status TemporaryFile::Rename() {
  if (rename(name_.c_str(), target_.c_str()) != 0) {
    return SystemError(target_, "cannot be replaced", errno);
  }
  name_.clear();
  return Status();
}

Backup::Backup(const std::string& path) : path_(path), name_(UniqueName(path)) {
  existed_ = access(path.c_str(), F_OK) == 0;
  if (link(path.c_str(), name_.c_str()) != 0) name_.clear();
}

Backup::~Backup() {
  if (!name_.empty()) unlink(name_.c_str());
}

void Backup::Restore() {
  if (!name_.empty()) {
    if (rename(name_.c_str(), path_.c_str()) == 0) name_.clear();
  } else if (!existed_) {
    unlink(path_.c_str());
  }
}

void SyncFolderOf(const std::string& path) {
  const std::filesystem::path folder =
      std::filesystem::path(path).parent_path();
  const Descriptor descriptor(open(folder.empty() ? "." : folder.c_str(),
                                   O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() >= 0) fsync(descriptor.get());
}

}  // namespace bqengine
