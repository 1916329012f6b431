#include "common/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

namespace bqengine::tools {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  // Some file systems report a full disk only here.
  bool Close() { return close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

Result<Descriptor> OpenForReading(const std::string& path,
                                  struct stat* status) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 || fstat(file.get(), status) != 0) {
    return SystemError(path, "cannot open");
  }
  if (S_ISDIR(status->st_mode)) {
    return FileError(StatusCode::kInvalidArgument, path,
                     "is a directory, not a file");
  }
  return file;
}

// Appends up to `count` bytes to `bytes`; fewer at the end of the file.
Status ReadUpTo(const std::string& path, const Descriptor& file, uint64_t count,
                std::vector<uint8_t>* bytes) {
  constexpr uint64_t kStep = uint64_t{1} << 20;
  while (count > 0) {
    const size_t old_size = bytes->size();
    bytes->resize(old_size + std::min(count, kStep));
    ssize_t got;
    do {
      got =
          read(file.get(), bytes->data() + old_size, bytes->size() - old_size);
    } while (got < 0 && errno == EINTR);
    bytes->resize(old_size + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0) return SystemError(path, "cannot read");
    if (got == 0) break;
    count -= static_cast<uint64_t>(got);
  }
  return Status();
}

bool WriteAll(int fd, const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = write(fd, next, bytes);
    if (written < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    next += written;
    bytes -= static_cast<size_t>(written);
  }
  return true;
}

// A new file next to `target`, its name in `temporary`. O_EXCL: never through
// somebody else's file or link; a name that a killed process has left behind is
// passed over.
Descriptor CreateBeside(const std::string& target, std::string* temporary) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    *temporary = target + ".tmp" + std::to_string(getpid()) + "-" +
                 std::to_string(attempt);
    const int fd =
        open(temporary->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return Descriptor(fd);
  }
  return Descriptor(-1);
}

// Where a symbolic link leads, so that renaming replaces the file and not the
// link; the path itself if it is none or leads nowhere yet.
std::string ResolveLinks(const std::string& path) {
  const std::unique_ptr<char, decltype(&free)> resolved(
      realpath(path.c_str(), nullptr), &free);
  return resolved ? std::string(resolved.get()) : path;
}

}  // namespace

Status FileError(StatusCode code, const std::string& path,
                 std::string_view what) {
  return Status(code, path + ": " + std::string(what));
}

Status SystemError(const std::string& path, std::string_view doing) {
  const int error = errno;
  const StatusCode code = error == ENOENT || error == ENOTDIR
                              ? StatusCode::kNotFound
                              : StatusCode::kIo;
  return FileError(code, path,
                   std::string(doing) + " (" + std::strerror(error) + ")");
}

Status CheckReadable(const std::string& path) {
  struct stat status;
  return OpenForReading(path, &status).status();
}

Status CheckFolder(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    return FileError(StatusCode::kNotFound, path, "no such folder");
  }
  if (!fs::is_directory(status)) {
    return FileError(StatusCode::kInvalidArgument, path, "is not a folder");
  }
  return Status();
}

Result<std::vector<uint8_t>> ReadFile(const std::string& path,
                                      uint64_t max_bytes) {
  struct stat status;
  const Result<Descriptor> file = OpenForReading(path, &status);
  if (!file.ok()) return file.status();
  std::vector<uint8_t> bytes;
  if (S_ISREG(status.st_mode)) {
    bytes.reserve(std::min(static_cast<uint64_t>(status.st_size), max_bytes) +
                  1);
  } else {
    max_bytes = std::min(max_bytes, kMaxStreamBytes);
  }
  // One byte more than allowed tells a file that is too large.
  const Status read = ReadUpTo(path, *file, max_bytes + 1, &bytes);
  if (!read.ok()) return read;
  if (bytes.size() > max_bytes) {
    return FileError(StatusCode::kInvalidArgument, path,
                     "is larger than " + std::to_string(max_bytes) + " bytes");
  }
  return bytes;
}

Result<std::vector<uint8_t>> ReadStart(const std::string& path, size_t count) {
  struct stat status;
  const Result<Descriptor> file = OpenForReading(path, &status);
  if (!file.ok()) return file.status();
  std::vector<uint8_t> bytes;
  const Status read = ReadUpTo(path, *file, count, &bytes);
  if (!read.ok()) return read;
  return bytes;
}

Status WriteFile(const std::string& path,
                 const std::function<bool(const ByteSink&)>& write) {
  struct stat status;
  const bool exists = stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) {
    return FileError(StatusCode::kIo, path, "is a directory, cannot write");
  }
  const bool direct = exists && !S_ISREG(status.st_mode);
  const std::string target = ResolveLinks(path);
  std::string temporary = path;
  Descriptor file = direct
                        ? Descriptor(open(path.c_str(), O_WRONLY | O_CLOEXEC))
                        : CreateBeside(target, &temporary);
  if (file.get() < 0) {
    return FileError(
        StatusCode::kIo, path,
        std::string("cannot write (") + std::strerror(errno) + ")");
  }
  errno = 0;
  const bool written = write([&file](const void* data, size_t bytes) {
    return WriteAll(file.get(), data, bytes);
  });
  if (written && file.Close() &&
      (direct || rename(temporary.c_str(), target.c_str()) == 0)) {
    return Status();
  }
  const int error = errno;
  if (!direct) unlink(temporary.c_str());
  return FileError(StatusCode::kIo, path,
                   std::string("cannot write (") + std::strerror(error) + ")");
}

Status WriteFile(const std::string& path, std::span<const uint8_t> bytes) {
  return WriteFile(path, [bytes](const ByteSink& sink) {
    return sink(bytes.data(), bytes.size());
  });
}

Status WriteFile(const std::string& path, std::string_view text) {
  return WriteFile(path, [text](const ByteSink& sink) {
    return sink(text.data(), text.size());
  });
}

}  // namespace bqengine::tools
