// Whole files in and out, with errors that name the file.
#ifndef BQENGINE_TOOLS_COMMON_FILE_H_
#define BQENGINE_TOOLS_COMMON_FILE_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bqengine/status.h"

namespace bqengine::tools {

// More than any file these tools have a use for; what is larger is an error and
// not a full memory. What does not tell its size (a pipe, /dev/zero) may have
// less.
inline constexpr uint64_t kMaxFileBytes = uint64_t{4} << 30;
inline constexpr uint64_t kMaxStreamBytes = uint64_t{1} << 30;

// "PATH: WHAT", the form of all errors about files. The messages of the
// operating system come from errno.
Status FileError(StatusCode code, const std::string& path,
                 std::string_view what);
Status SystemError(const std::string& path, std::string_view doing);

// Success if `path` can be opened for reading and is not a directory.
Status CheckReadable(const std::string& path);

// Success if `path` is a folder, else kNotFound or kInvalidArgument.
Status CheckFolder(const std::string& path);

// The whole of a file, or of a pipe until it ends. kNotFound if there is none,
// kInvalidArgument for a directory or more than `max_bytes`, else kIo, also for
// a file that somebody changes meanwhile.
Result<std::vector<uint8_t>> ReadFile(const std::string& path,
                                      uint64_t max_bytes = kMaxFileBytes);

// The first `count` bytes of a file, fewer if it is shorter. A pipe loses them.
Result<std::vector<uint8_t>> ReadStart(const std::string& path, size_t count);

// Takes bytes that go into a file; false ends the writing.
using ByteSink = std::function<bool(const void* data, size_t bytes)>;

// Makes `path` hold what `write` puts into its sink, as files::ReplaceFiles
// does: a failure, the death of the process too, leaves what was there before
// and nothing else; a file that was there passes on its mode. What is not a
// regular file (/dev/null, a pipe) is written to directly. `write` passes on
// the sink's false by returning false. kIo.
Status WriteFile(const std::string& path,
                 const std::function<bool(const ByteSink&)>& write);
Status WriteFile(const std::string& path, std::span<const uint8_t> bytes);
Status WriteFile(const std::string& path, std::string_view text);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_FILE_H_
