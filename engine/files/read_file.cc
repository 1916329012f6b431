#include "files/read_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <system_error>
#include <thread>

#include "files/descriptor.h"

namespace bqengine::files {
namespace {

constexpr std::align_val_t kAlignment{64};

bool IsBefore(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}
bool IsSame(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

// Without O_NONBLOCK, opening a pipe would wait for its other end.
Descriptor OpenForReading(const std::string& path) {
  return Descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

void Deallocate(std::span<const std::byte> bytes) {
  ::operator delete(const_cast<std::byte*>(bytes.data()), kAlignment);
}
void Unmap(std::span<const std::byte> bytes) {
  if (!bytes.empty()) {
    munmap(const_cast<std::byte*>(bytes.data()), bytes.size());
  }
}

Status ReadAll(const std::string& path, int descriptor, std::byte* to,
               size_t bytes) {
  while (bytes > 0) {
    const ssize_t got = read(descriptor, to, bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(path, "cannot be read", errno);
    if (got == 0) return Status();  // cut just now, as its stamp will tell
    to += got;
    bytes -= static_cast<size_t>(got);
  }
  return Status();
}

// Tries again where a file changed under the reader's hands: one that takes the
// place of another (ReplaceFiles) touches the old one, too, and is whole
// itself.
constexpr int kMostTries = 10;
constexpr auto kPause = std::chrono::milliseconds(2);

Status Changed(const std::string& path) {
  return Status(StatusCode::kIo,
                path + ": was changed while it was read; try again");
}

}  // namespace

Status SystemError(const std::string& path, const char* what, int code) {
  const bool missing = code == ENOENT || code == ENOTDIR;
  return Status(
      missing          ? StatusCode::kNotFound
      : code == ENOMEM ? StatusCode::kOutOfMemory
                       : StatusCode::kIo,
      path + ": " + what + ": " + std::generic_category().message(code));
}

Status CheckRegular(const std::string& path, const struct stat& info) {
  if (S_ISDIR(info.st_mode)) {
    return Status(StatusCode::kIo, path + ": is a folder, not a file");
  }
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kIo, path + ": is not a regular file");
  }
  return Status();
}

Result<Stamp> Stamp::Take(const std::string& path, int descriptor) {
  // The clock moves every 1 to 10 ms. That of another machine may be ahead for
  // good; then a change goes unseen if it comes in one tick with that before.
  constexpr int kMostTicks = 20;
  Stamp stamp;
  for (int i = 0; i < kMostTicks; ++i) {
    timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);  // that file systems use
    if (fstat(descriptor, &stamp.info_) != 0) {
      return SystemError(path, "cannot be read", errno);
    }
    if (IsBefore(stamp.info_.st_ctim, now)) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return stamp;
}

bool Stamp::IsUnchanged(int descriptor) const {
  struct stat now;
  return fstat(descriptor, &now) == 0 && now.st_dev == info_.st_dev &&
         now.st_ino == info_.st_ino && now.st_size == info_.st_size &&
         IsSame(now.st_mtim, info_.st_mtim) &&
         IsSame(now.st_ctim, info_.st_ctim);
}

Result<std::shared_ptr<const Contents>> Contents::Read(
    const std::string& path, const AcceptSize& accept) {
  for (int i = 0; i < kMostTries; ++i) {
    if (i > 0) std::this_thread::sleep_for(kPause);
    const Descriptor file = OpenForReading(path);
    if (file.get() < 0) return SystemError(path, "cannot be opened", errno);
    auto stamp = Stamp::Take(path, file.get());
    if (!stamp.ok()) return stamp.status();
    if (Status s = CheckRegular(path, stamp->info()); !s.ok()) return s;
    if (Status s = accept(stamp->bytes()); !s.ok()) return s;
    std::byte* memory = nullptr;
    auto contents = Allocate(stamp->bytes(), &memory);
    Status s = ReadAll(path, file.get(), memory, stamp->bytes());
    if (!s.ok()) return s;
    if (stamp->IsUnchanged(file.get())) return contents;
  }
  return Changed(path);
}

Result<std::shared_ptr<const Contents>> Contents::Map(
    const std::string& path, const AcceptSize& accept) {
  const Descriptor file = OpenForReading(path);
  if (file.get() < 0) return SystemError(path, "cannot be opened", errno);
  struct stat info;
  if (fstat(file.get(), &info) != 0) {
    return SystemError(path, "cannot be read", errno);
  }
  if (Status s = CheckRegular(path, info); !s.ok()) return s;
  const auto bytes = static_cast<uint64_t>(info.st_size);
  if (Status s = accept(bytes); !s.ok()) return s;
  if (bytes == 0) return Copy({});  // nothing can be mapped
  const std::shared_ptr<Contents> contents(new Contents(Unmap));
  void* data = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) return SystemError(path, "cannot be mapped", errno);
  contents->bytes_ = {static_cast<const std::byte*>(data), bytes};
  return std::shared_ptr<const Contents>(contents);
}

std::shared_ptr<const Contents> Contents::Copy(
    std::span<const std::byte> bytes) {
  std::byte* memory = nullptr;
  auto contents = Allocate(bytes.size(), &memory);
  if (!bytes.empty()) std::memcpy(memory, bytes.data(), bytes.size());
  return contents;
}

std::shared_ptr<const Contents> Contents::Allocate(size_t bytes,
                                                   std::byte** memory) {
  const std::shared_ptr<Contents> contents(new Contents(Deallocate));
  *memory = static_cast<std::byte*>(::operator new(bytes, kAlignment));
  contents->bytes_ = {*memory, bytes};
  return contents;
}

}  // namespace bqengine::files
