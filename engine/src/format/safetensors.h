// Weights files in the safetensors format
// (https://github.com/huggingface/safetensors): 8 bytes of header length, a
// JSON header that gives each tensor's type, shape and place, and the data.
// Everything is little-endian.
#ifndef ENGINE_SRC_FORMAT_SAFETENSORS_H_
#define ENGINE_SRC_FORMAT_SAFETENSORS_H_

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/status.h"
#include "files/read_file.h"
#include "files/replace_files.h"

namespace bqengine {

// What a file holds that keeps every rule of the format.
class SafetensorsFile {
 public:
  struct Tensor {
    std::string type;  // "F32" or "U64"; files with others are refused
    Shape shape;       // dimensions >= 1
    std::span<const std::byte> data;  // as long as type and shape say
  };

  // kInvalidModel with a JSON path into the header; `name` is what messages
  // start with. The tensors refer to `contents`.
  static Result<SafetensorsFile> Parse(
      const std::string& name, std::shared_ptr<const files::Contents> contents);

  const std::map<std::string, Tensor>& tensors() const { return tensors_; }

  // Views the tensor `name`, which must be there and have the type and shape
  // that `info` is stored with. Copies only what is not aligned to 8 bytes.
  Constant MakeConstant(const std::string& name, const TensorInfo& info) const;

  // Of the whole file.
  std::string FingerprintText() const;

 private:
  explicit SafetensorsFile(std::shared_ptr<const files::Contents> contents)
      : contents_(std::move(contents)) {}

  std::shared_ptr<const files::Contents> contents_;
  std::map<std::string, Tensor> tensors_;
};

// Writes the constants, which must have data of the right size, under these
// names. The data starts at a multiple of 64 bytes; U64 tensors come first,
// then F32 tensors of an even size, then the others, each sorted by name, so
// that all but some of the last stand at a multiple of 8 (the format allows no
// gaps). Returns the text of what it wrote's fingerprint.
Result<std::string> WriteSafetensors(
    const std::map<std::string, Constant>& constants,
    files::TemporaryFile* file);

}  // namespace bqengine

#endif  // ENGINE_SRC_FORMAT_SAFETENSORS_H_
