// Tensors and texts in one file, in the safetensors format
// (https://github.com/huggingface/safetensors). LibTorch's own files are
// programs: reading one that somebody else made would run it.
#ifndef BQENGINE_TOOLS_TRAIN_COMMAND_TENSOR_FILE_H_
#define BQENGINE_TOOLS_TRAIN_COMMAND_TENSOR_FILE_H_

#include <torch/torch.h>

#include <map>
#include <string>

#include "bqengine/status.h"

namespace bqengine::train {

struct TensorFile {
  std::map<std::string, std::string> texts;      // the format's metadata
  std::map<std::string, torch::Tensor> tensors;  // float32, int64 or uint8
};

// The file appears complete or not at all.
Status WriteTensorFile(const std::string& path, const TensorFile& file);

// kInvalidArgument, naming the file, for what is no such file, or damaged; no
// size in it is believed. The tensors own their values.
Result<TensorFile> ReadTensorFile(const std::string& path);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_COMMAND_TENSOR_FILE_H_
