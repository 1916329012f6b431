// A network as data: what a model file holds, and what a program that makes
// networks builds. Nothing here runs; see model.h and session.h.
//
// Conventions, everywhere in bqengine:
// - Activations are channels-last: [batch, height, width, channels] for images,
//   [batch, features] for vectors. shape[0] of an activation is the batch,
//   kBatch (-1) in a graph; a session decides how large it may be.
// - Weights of convolutions are [out, kernel_h, kernel_w, in / group]; of
//   matrix products [out, in]. Binary weights have one more dimension in front,
//   the number of bases (1 unless it is an ABC-Net).
// - Bits: kBipolar holds {-1,+1} and kUnipolar {0,1}; bit 1 is the larger
// value.
//   The innermost dimension is packed, 64 elements to a little-endian uint64_t,
//   lowest bit first, unused high bits zero; each innermost row starts a word.
// - sign(0) = +1; NaN compares false, so it binarizes to the smaller value.
//
// The ops, their attributes and constants: engine/README.md, "Ops".
#ifndef BQENGINE_GRAPH_H_
#define BQENGINE_GRAPH_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bqengine/export.h"
#include "bqengine/status.h"
#include "bqengine/variant.h"

namespace bqengine {

// Integers are for inputs of a graph, and what only moves their values; no
// constant has their type.
enum class DataType {
  kFloat32 = 1,
  kBipolar = 2,
  kUnipolar = 3,
  kInt8 = 4,
  kUint8 = 5
};

// Of a number that a caller may have cast.
constexpr bool IsDataType(DataType type) {
  return type >= DataType::kFloat32 && type <= DataType::kUint8;
}
constexpr bool IsBits(DataType type) {
  return type == DataType::kBipolar || type == DataType::kUnipolar;
}
constexpr bool IsInteger(DataType type) {
  return type == DataType::kInt8 || type == DataType::kUint8;
}

// "float32", "bipolar", "unipolar", "int8", "uint8": as in model files.
BQENGINE_API const char* DataTypeName(DataType type);

using Shape = std::vector<int64_t>;
inline constexpr int64_t kBatch = -1;

struct TensorInfo {
  DataType type = DataType::kFloat32;
  Shape shape;
  bool operator==(const TensorInfo&) const = default;
};

// Number of elements, and of bytes in the layout above. kBatch counts as
// `batch`. kInvalidModel if a dimension is < 1 or the count overflows int64_t.
BQENGINE_API Result<int64_t> ElementCount(const Shape& shape,
                                          int64_t batch = 1);
BQENGINE_API Result<int64_t> ByteCount(const TensorInfo& info,
                                       int64_t batch = 1);

// A tensor whose value belongs to the network. The data is shared and never
// changes; copies are cheap. Nothing is checked here: whatever takes a constant
// says what is wrong with it. A constant without data (data() == nullptr)
// stands in an architecture, which is a graph that has yet to be trained.
//
// Floats and Bits take over what they are given. If there is no memory for the
// few bytes that this needs, the constant has no data and is lost(): whatever
// takes it, or a graph that holds it, returns kOutOfMemory.
class BQENGINE_API Constant {
 public:
  Constant() = default;

  // Only type and shape.
  static Constant Declare(TensorInfo info);
  // values.size() must be the element count of `shape`.
  static Constant Floats(Shape shape, std::vector<float> values);
  // words.size() must be ByteCount / 8; unused high bits must be zero.
  static Constant Bits(DataType type, Shape shape, std::vector<uint64_t> words);
  // Memory that somebody else owns, a mapped file say; `owner` keeps it alive.
  // Aligned to 8 bytes.
  static Constant View(TensorInfo info, const void* data, size_t bytes,
                       std::shared_ptr<const void> owner);

  const TensorInfo& info() const { return info_; }
  DataType type() const { return info_.type; }
  const Shape& shape() const { return info_.shape; }
  const void* data() const { return data_; }  // aligned to 8 bytes
  size_t bytes() const { return bytes_; }
  bool lost() const { return lost_; }

  // The values. Empty if there is no data or the type is another.
  std::span<const float> floats() const;
  std::span<const uint64_t> words() const;

 private:
  template <typename T>
  static Constant Own(TensorInfo info, std::vector<T> values);

  TensorInfo info_;
  const void* data_ = nullptr;
  size_t bytes_ = 0;
  bool lost_ = false;
  std::shared_ptr<const void> owner_;
};

using Attribute = Variant<int64_t, float, std::string, std::vector<int64_t>,
                          std::vector<float>>;

struct Node {
  std::string name;  // unique in the graph
  std::string op;
  std::vector<std::string> inputs;   // tensor names
  std::vector<std::string> outputs;  // tensor names, each made by one node only
  std::map<std::string, std::string> constants;  // role -> name in Graph
  std::map<std::string, Attribute> attributes;
  // Only in architectures: how the node is to be trained. The engine does not
  // interpret it; the keys are bq-train's (tools/train/README.md).
  std::map<std::string, Attribute> training = {};
};

// The order of dimensions in files that hold this tensor (.npy). In memory it
// is always channels-last.
enum class Layout { kNHWC, kNCHW };

// How a picture's pixels (0 to 255) become the input:
//   x[c] = (pixel[c] * scale - mean[c]) / std[c]
// mean and std have one entry, or one per channel. Only for float32: a uint8
// input takes the pixels as they are.
struct Preprocess {
  float scale = 1.0f;
  std::vector<float> mean = {0.0f};
  std::vector<float> std = {1.0f};
  bool operator==(const Preprocess&) const = default;
};

struct GraphInput {
  std::string name;
  TensorInfo info = {};  // shape[0] == kBatch
  Layout layout = Layout::kNHWC;
  Preprocess preprocess = {};
};

struct GraphOutput {
  std::string name;  // of a tensor that a node makes
  Layout layout = Layout::kNHWC;
};

struct Graph {
  std::string name;
  std::string producer;  // the program that wrote it, for people
  std::vector<GraphInput> inputs;
  std::vector<GraphOutput> outputs;
  std::vector<Node> nodes;  // in any order
  std::map<std::string, Constant> constants;
  std::vector<std::string> labels;  // of classes; may be empty
};

// Types and shapes of all activations by tensor name, after checking the whole
// graph: names, ops, attributes, constants, shapes, cycles. What constants have
// of data must be of their size, without NaN and without stray bits. An error
// names the node and its path in the model file
// ("/nodes/3/attributes/strides").
BQENGINE_API Result<std::map<std::string, TensorInfo>> InferShapes(
    const Graph& graph);

}  // namespace bqengine

#endif  // BQENGINE_GRAPH_H_
