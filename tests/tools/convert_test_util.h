// Makes small ONNX models, converts them, and runs them: what the tests of
// bq-convert share. Everything here is in ONNX's order, NCHW.
#ifndef BQENGINE_TESTS_TOOLS_CONVERT_TEST_UTIL_H_
#define BQENGINE_TESTS_TOOLS_CONVERT_TEST_UTIL_H_

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/status.h"
#include "convert.h"

namespace bqengine::convert {

using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;

struct TestAttribute {
  std::string name;
  std::variant<int64_t, float, std::string, Ints, Floats> value;
};

// An ONNX file in the making. Inputs' first dimension is a symbol unless the
// number given is > 0.
class OnnxFile {
 public:
  explicit OnnxFile(int64_t opset = 13);
  OnnxFile& Input(const std::string& name, const Ints& dims);
  // libonnx wants to know the rank.
  OnnxFile& Output(const std::string& name, int rank = 2);
  OnnxFile& Constant(const std::string& name, const Ints& dims,
                     const Floats& values);
  OnnxFile& Constant(const std::string& name, const Ints& dims,
                     const Ints& values);
  OnnxFile& Node(const std::string& op, const std::vector<std::string>& inputs,
                 const std::string& output,
                 const std::vector<TestAttribute>& attributes = {},
                 const std::string& domain = "");

  std::string Bytes() const;
  const onnx::ModelProto& proto() const { return proto_; }

 private:
  onnx::ModelProto proto_;
};

// A file of the test's own that is gone with the object.
class TestFile {
 public:
  TestFile(const std::string& name, const std::string& bytes);
  ~TestFile();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Through a file, as bq-convert does it.
Result<Conversion> Convert(const OnnxFile& file,
                           const ConvertOptions& options = {});

// The same; fails the test if it does.
Conversion Converted(const OnnxFile& file, const ConvertOptions& options = {});

// How many nodes of the converted graph are of this op.
int CountOps(const Graph& graph, const std::string& op);

// Runs the graph on inputs in ONNX's order and gives the outputs in it, one
// after the other: those of the reference backend, without passes. Runs it on
// every backend, as it is and optimized, and fails the test where one differs by
// more than rounding.
Floats RunGraph(const Graph& graph, const std::vector<Floats>& inputs,
                int64_t batch);

// Random values, the same for the same seed: from [-1, 1], or two numbers.
Floats RandomFloats(size_t count, uint32_t seed);
Floats RandomChoice(size_t count, uint32_t seed, float a, float b);

// Fails unless the two are equal, or within `tolerance` of max(1, |expected|).
void ExpectNear(const Floats& actual, const Floats& expected,
                float tolerance = 0);

// ------------------------------------------------- an evaluation by hand

struct Image {  // [batch, channels, height, width]
  int64_t batch, channels, height, width;
  Floats values;

  float& At(int64_t b, int64_t c, int64_t h, int64_t w) {
    return values[((b * channels + c) * height + h) * width + w];
  }
  float At(int64_t b, int64_t c, int64_t h, int64_t w) const {
    return values[((b * channels + c) * height + h) * width + w];
  }
};

Image MakeImage(int64_t batch, int64_t channels, int64_t height, int64_t width,
                uint32_t seed);
Image Mapped(Image image, float (*function)(float));
// ONNX's Sign, and bqengine's.
inline float SignOf(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f; }
inline float PlusOf(float x) { return x >= 0 ? 1.0f : -1.0f; }
inline float ReluOf(float x) { return x < 0 ? 0.0f : x; }

// pads: top, left, bottom, right, filled with `value`.
Image Padded(const Image& image, const Ints& pads, float value);
struct ConvShape {
  int64_t out_channels = 1, kernel_h = 1, kernel_w = 1;
  int64_t stride = 1, dilation = 1, group = 1;
};
// Weights are [out, in / group, kernel_h, kernel_w]; no padding.
Image Convolved(const Image& image, const Floats& weights,
                const ConvShape& shape, const Floats& bias = {});
Image MaxPooled(const Image& image, int64_t size, int64_t stride);
// rows [batch, k] x weights [k, out]
Floats Multiplied(const Floats& rows, const Floats& weights, int64_t k,
                  int64_t out);

}  // namespace bqengine::convert

#endif  // BQENGINE_TESTS_TOOLS_CONVERT_TEST_UTIL_H_
