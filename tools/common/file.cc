#include "common/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>

#include "files/descriptor.h"
#include "files/read_file.h"
#include "files/replace_files.h"
#include "files/write_all.h"

namespace bqengine::tools {
namespace {

using files::Descriptor;

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

std::span<const std::byte> AsBytes(const void* data, size_t bytes) {
  return {static_cast<const std::byte*>(data), bytes};
}

Status CannotWrite(const std::string& path, int error) {
  return FileError(StatusCode::kIo, path,
                   std::string("cannot be written: ") +
                       (error == 0 ? "no reason given" : std::strerror(error)));
}

// Into a device or a pipe.
Status WriteThrough(const std::string& path,
                    const std::function<bool(const ByteSink&)>& write) {
  Descriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) return CannotWrite(path, errno);
  errno = 0;
  const bool written = write([&file](const void* data, size_t bytes) {
    return files::WriteAll(file.get(), AsBytes(data, bytes));
  });
  return written && file.Close() ? Status() : CannotWrite(path, errno);
}

Status Replace(const std::string& path,
               const std::function<bool(const ByteSink&)>& write) {
  auto file = files::TemporaryFile::Create(path);
  if (!file.ok()) return file.status();
  Status status;
  const bool written = write([&](const void* data, size_t bytes) {
    status = file->Write(AsBytes(data, bytes));
    return status.ok();
  });
  if (!status.ok()) return status;
  if (!written) return CannotWrite(path, 0);
  if (Status s = file->Finish(); !s.ok()) return s;
  files::TemporaryFile* const all[] = {&*file};
  return files::ReplaceFiles(all);
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
  std::optional<files::Stamp> stamp;  // a pipe has none
  if (S_ISREG(status.st_mode)) {
    const auto taken = files::Stamp::Take(path, file->get());
    if (!taken.ok()) return taken.status();
    stamp = *taken;
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
  if (stamp && !stamp->IsUnchanged(file->get())) {
    return FileError(StatusCode::kIo, path,
                     "was changed while it was read; try again");
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
  const bool is_folder = exists && S_ISDIR(status.st_mode);
  if (exists && !is_folder && !S_ISREG(status.st_mode)) {
    return WriteThrough(path, write);
  }
  const Status replaced = Replace(path, write);
  if (replaced.ok()) return replaced;
  return Status(StatusCode::kIo, replaced.message());
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
