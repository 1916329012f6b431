#ifndef BQENGINE_FILES_WRITE_ALL_H_
#define BQENGINE_FILES_WRITE_ALL_H_

#include <cstddef>
#include <span>

namespace bqengine::files {

// False with errno. A write beyond the limit on the size of files (ulimit -f)
// is an error like others (EFBIG) and no signal, whatever the host does with
// SIGXFSZ.
bool WriteAll(int descriptor, std::span<const std::byte> bytes);

}  // namespace bqengine::files

#endif  // BQENGINE_FILES_WRITE_ALL_H_
