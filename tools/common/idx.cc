#include "common/idx.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "common/file.h"
#include "files/descriptor.h"
#include "files/read_file.h"

namespace bqengine::tools {
namespace {

// 0, 0, type (8: unsigned byte), number of dimensions.
constexpr uint32_t kLabelsMagic = 0x0801;  // 2049
constexpr uint32_t kImagesMagic = 0x0803;  // 2051

// zlib's gzFile reads plain files as they are, and unpacks the others.
class GzReader {
 public:
  static Result<GzReader> Open(const std::string& path) {
    const Status readable = CheckReadable(path);
    if (!readable.ok()) return readable;
    files::Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (descriptor.get() < 0) return SystemError(path, "cannot open");
    const auto stamp = files::Stamp::Take(path, descriptor.get());
    if (!stamp.ok()) return stamp.status();
    errno = 0;
    const int its_own = fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 0);
    const gzFile file = gzdopen(its_own, "rb");
    if (file == nullptr && its_own >= 0) close(its_own);
    if (file == nullptr) return SystemError(path, "cannot open");
    return GzReader(path, file, std::move(descriptor), *stamp);
  }

  // Call it at the end: a pipe has no state to compare.
  Status CheckUnchanged() const {
    if (!S_ISREG(stamp_.info().st_mode)) return Status();
    if (stamp_.IsUnchanged(descriptor_.get())) return Status();
    return FileError(StatusCode::kIo, path_,
                     "was changed while it was read; try again");
  }

  // Reads up to `bytes`; fewer at the end of the file.
  Result<size_t> Read(uint8_t* to, size_t bytes) {
    size_t total = 0;
    while (total < bytes) {
      constexpr size_t kMost = size_t{1} << 30;  // gzread counts in unsigned
      errno = 0;
      const int got =
          gzread(file_.get(), to + total,
                 static_cast<unsigned>(std::min(bytes - total, kMost)));
      if (got < 0) return ReadError();
      if (got == 0) break;
      total += static_cast<size_t>(got);
    }
    // A gzip stream that stops in the middle ends like a file, with this.
    int error = Z_OK;
    gzerror(file_.get(), &error);
    if (error != Z_OK && total < bytes) return ReadError();
    return total;
  }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  GzReader(std::string path, gzFile file, files::Descriptor descriptor,
           const files::Stamp& stamp)
      : path_(std::move(path)),
        file_(file),
        descriptor_(std::move(descriptor)),
        stamp_(stamp) {}

  Status ReadError() {
    int error = Z_OK;
    const std::string message = gzerror(file_.get(), &error);
    if (error == Z_ERRNO) return SystemError(path_, "cannot read");
    if (error == Z_BUF_ERROR) {
      return FileError(StatusCode::kInvalidArgument, path_,
                       "gzip data is truncated");
    }
    return FileError(StatusCode::kInvalidArgument, path_,
                     "gzip data is damaged");
  }

  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
  files::Descriptor descriptor_;
  files::Stamp stamp_;
};

struct IdxData {
  std::vector<int64_t> dimensions;
  std::vector<uint8_t> values;
};

Status Broken(const std::string& path, const std::string& what) {
  return FileError(StatusCode::kInvalidArgument, path, what);
}

uint32_t BigEndian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 |
         uint32_t{bytes[2]} << 8 | uint32_t{bytes[3]};
}

Status ReadHeader(const std::string& path, GzReader& reader, uint32_t magic,
                  std::vector<int64_t>* dimensions) {
  uint8_t header[4 + 3 * 4];
  Result<size_t> got = reader.Read(header, 4);
  if (!got.ok()) return got.status();
  if (*got == 0) return Broken(path, "is empty");
  if (*got < 4) return Broken(path, "idx header is truncated");
  if (BigEndian(header) != magic) {
    return Broken(
        path, "magic number is " + std::to_string(BigEndian(header)) +
                  ", expected " + std::to_string(magic) +
                  (magic == kImagesMagic ? " (idx images)" : " (idx labels)"));
  }
  const size_t rank = magic & 0xff;
  got = reader.Read(header + 4, rank * 4);
  if (!got.ok()) return got.status();
  if (*got < rank * 4) return Broken(path, "idx header is truncated");
  for (size_t i = 0; i < rank; ++i) {
    dimensions->push_back(BigEndian(header + 4 + 4 * i));
    if (dimensions->back() == 0) {
      return Broken(path,
                    i == 0 ? "holds no entries" : "pictures have no size");
    }
  }
  return Status();
}

// Reads all entries, and makes sure that the file ends with them (only there
// does gzip compare its checksum).
Result<IdxData> ReadIdx(const std::string& path, uint32_t magic) {
  Result<GzReader> reader = GzReader::Open(path);
  if (!reader.ok()) return reader.status();
  IdxData idx;
  const Status header = ReadHeader(path, *reader, magic, &idx.dimensions);
  if (!header.ok()) return header;

  uint64_t size = 1;
  for (const int64_t dimension : idx.dimensions) {
    if (__builtin_mul_overflow(size, static_cast<uint64_t>(dimension), &size) ||
        size > kMaxFileBytes) {
      return Broken(path, "declares more data than " +
                              std::to_string(kMaxFileBytes) + " bytes");
    }
  }

  // Memory grows with what is really there, not with what the header says.
  constexpr uint64_t kStep = uint64_t{8} << 20;
  while (idx.values.size() < size) {
    const size_t begin = idx.values.size();
    idx.values.resize(begin + std::min(size - begin, kStep));
    const size_t wanted = idx.values.size() - begin;
    const Result<size_t> got = reader->Read(idx.values.data() + begin, wanted);
    if (!got.ok()) return got.status();
    if (*got < wanted) {
      return Broken(path, "is truncated: the header declares " +
                              std::to_string(size) + " bytes, there are " +
                              std::to_string(begin + *got));
    }
  }
  uint8_t extra;
  const Result<size_t> got = reader->Read(&extra, 1);
  if (!got.ok()) return got.status();
  if (*got != 0) {
    return Broken(path, "has more data than the " + std::to_string(size) +
                            " bytes that its header declares");
  }
  if (Status s = reader->CheckUnchanged(); !s.ok()) return s;
  return idx;
}

}  // namespace

Result<PixelBatch> ReadIdxImages(const std::string& path) {
  Result<IdxData> idx = ReadIdx(path, kImagesMagic);
  if (!idx.ok()) return idx.status();
  return PixelBatch{idx->dimensions[0], idx->dimensions[1], idx->dimensions[2],
                    1, std::move(idx->values)};
}

Result<std::vector<uint8_t>> ReadIdxLabels(const std::string& path) {
  Result<IdxData> idx = ReadIdx(path, kLabelsMagic);
  if (!idx.ok()) return idx.status();
  return std::move(idx->values);
}

}  // namespace bqengine::tools
