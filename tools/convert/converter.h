// The walk over an ONNX graph. Each supported op has a method that adds to the
// bqengine graph and says what became of the node's first output.
#ifndef BQENGINE_TOOLS_CONVERT_CONVERTER_H_
#define BQENGINE_TOOLS_CONVERT_CONVERTER_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "array.h"
#include "convert.h"
#include "fold.h"
#include "graph_builder.h"
#include "source_model.h"

namespace bqengine::convert {

// Geometry of a convolution or pool, in bqengine's order of attributes.
struct Window {
  std::vector<int64_t> kernel, strides, pads, dilations;
  bool ceil_mode = false;
  int64_t out_height = 0, out_width = 0;
};

// What Conv, Gemm and MatMul have in common.
struct Product {
  bool conv = false;
  Window window;               // if conv
  int64_t group = 1;           // if conv
  Shape weight_shape;          // without the dimension of bases
  std::vector<float> weights;  // in the order of memory
  std::vector<float> bias;     // per output channel; empty if there is none
  Shape out_shape;             // as ONNX sees it
  std::vector<int> out_perm;
};

class Converter {
 public:
  Converter(const SourceModel& model, const ConvertOptions& options)
      : model_(model), options_(options) {}
  Result<Conversion> Run();

 private:
  using Handler = void (Converter::*)(const SourceNode&);
  static const std::map<std::string, Handler>& Handlers();

  // converter.cc: the walk.
  void AddInputs();
  void AddOutputs();
  std::set<const SourceNode*> ReachableNodes() const;
  void Visit(const SourceNode& node);
  bool FoldNode(const SourceNode& node);
  void Convert(const SourceNode& node);
  void CheckDeclared(const std::string& tensor, const Shape& shape) const;
  void Note(const std::string& text);

  // Inputs of a node.
  bool IsConstant(const SourceNode& node, size_t i) const;
  const Array* Constant(const SourceNode& node, size_t i) const;  // or nullptr
  const Array& RequiredConstant(const SourceNode& node, size_t i) const;
  const Value& Raw(const SourceNode& node, size_t i) const;  // as it is
  Value Settled(const SourceNode& node, size_t i);  // without pending padding
  Value Float(const SourceNode& node, size_t i);
  FoldInputs ConstantInputs(const SourceNode& node) const;

  // The result of a node.
  void Set(const SourceNode& node, Value value);
  // Emits a node that changes neither shape nor order.
  Value Emitted(const SourceNode& node, const std::string& op, const Value& in,
                std::map<std::string, bqengine::Constant> constants = {},
                std::map<std::string, Attribute> attributes = {});

  // convert_product.cc
  void Conv(const SourceNode& node);
  void Gemm(const SourceNode& node);
  void MatMul(const SourceNode& node);
  void MatrixProduct(const SourceNode& node, const Value& in,
                     const Array& weight, bool transposed, float alpha,
                     std::vector<float> bias);
  void EmitProduct(const SourceNode& node, Product product, Value in);

  // convert_window.cc
  Window ReadWindow(const SourceNode& node, const Shape& in,
                    const std::vector<int64_t>& kernel) const;
  void Pool(const SourceNode& node);
  void GlobalPool(const SourceNode& node);
  void Pad(const SourceNode& node);
  void EmitPool(const SourceNode& node, bool max, const Value& in,
                const Window& window);

  // convert_sign.cc
  bool MapSteps(const SourceNode& node);
  void SetStep(const SourceNode& node, const Value& in, StepFunction step);
  void Binarize(const SourceNode& node);
  void Compare(const SourceNode& node);
  void Logic(const SourceNode& node);
  void Where(const SourceNode& node);

  // convert_elementwise.cc
  void Arithmetic(const SourceNode& node);
  void TwoActivations(const SourceNode& node);
  void Negate(const SourceNode& node);
  void Activation(const SourceNode& node);
  void BatchNormalization(const SourceNode& node);
  void PassThrough(const SourceNode& node);
  Value WithConstant(const std::string& op, const Value& in,
                     const Array& constant, const std::string& name);
  Array Reciprocals(const SourceNode& node, const Array& divisors);

  // convert_layout.cc
  void Reshape(const SourceNode& node);
  void Flatten(const SourceNode& node);
  void Squeeze(const SourceNode& node);
  void Unsqueeze(const SourceNode& node);
  void Transpose(const SourceNode& node);
  void Concat(const SourceNode& node);
  bool AsBitsAlike(std::vector<Value>* parts);
  void Softmax(const SourceNode& node);
  void ReduceMean(const SourceNode& node);

  const SourceModel& model_;
  const ConvertOptions& options_;
  GraphBuilder builder_;
  Conversion result_;
  std::map<std::string, Array> arrays_;  // folded constants
  std::map<std::string, Value> values_;  // activations
  std::set<std::string> failed_;         // tensors of nodes with an error
  std::vector<std::string> errors_;
  std::set<std::string> noted_;
  int64_t fold_budget_ = 0;  // elements of folded constants still to be had
  int64_t lift_budget_ = int64_t{1} << 28;  // evaluations for GiveCommonSource
};

// The constant in the order of `value`'s memory: one entry, or one for each
// innermost element; nothing if it varies in another way. `elements`, if given,
// gets one entry per element of an item then.
std::optional<std::vector<float>> ChannelConstant(
    const Array& constant, const Value& value,
    std::vector<float>* elements = nullptr);

bqengine::Constant FloatVector(const std::vector<float>& values);

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_CONVERTER_H_
