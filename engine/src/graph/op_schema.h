// The table of ops: the one place that says which ops there are, what
// attributes and constants they take, and how the output shape follows. The
// strict reader, shape inference, passes and the hand-over to backends all read
// it. The meaning of each op is in engine/README.md, "Ops".
#ifndef ENGINE_SRC_GRAPH_OP_SCHEMA_H_
#define ENGINE_SRC_GRAPH_OP_SCHEMA_H_

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bqengine/graph.h"

namespace bqengine {

struct AttributeSpec {
  const char* name;
  Attribute default_value;  // its type is the attribute's type
  bool required = false;    // then default_value gives only the type
  // Younger than the backend interface: backends, which refuse what they do not
  // know, get to see it only where it is not the default.
  bool later = false;
};

struct ConstantSpec {
  const char* role;
  bool required;
};

class NodeContext;

struct OpSchema {
  const char* name;
  int min_inputs;
  int max_inputs;  // -1: any number
  std::vector<AttributeSpec> attributes;
  std::vector<ConstantSpec> constants;
  // Checks types, shapes and values, and gives the first output.
  Result<TensorInfo> (*infer)(const NodeContext& node);
  // The second output of a node that has one; null: the op never has. Called
  // after infer, with what that gave.
  Result<TensorInfo> (*infer_second)(const NodeContext& node,
                                     const TensorInfo& first) = nullptr;
};

std::span<const OpSchema> OpSchemas();
const OpSchema* FindOpSchema(std::string_view op);  // null if unknown

// A node with its inputs' types and its attributes completed by defaults.
class NodeContext {
 public:
  // Checks names and types of attributes, roles and number of inputs. `index`
  // is the position in Graph::nodes, for messages. The result refers to the
  // graph; `inputs` are the activations' types in order.
  static Result<NodeContext> Make(const Graph& graph, size_t index,
                                  std::vector<TensorInfo> inputs);

  const Node& node() const { return *node_; }
  const OpSchema& schema() const { return *schema_; }
  const std::vector<TensorInfo>& inputs() const { return inputs_; }
  const TensorInfo& input(size_t i) const { return inputs_[i]; }
  const std::map<std::string, Attribute>& attributes() const {
    return attributes_;
  }
  // Preconditions: the schema has the attribute, with that type.
  int64_t Int(const char* name) const {
    return std::get<int64_t>(attributes_.at(name));
  }
  float Float(const char* name) const {
    return std::get<float>(attributes_.at(name));
  }
  const std::string& String(const char* name) const {
    return std::get<std::string>(attributes_.at(name));
  }
  const std::vector<int64_t>& Ints(const char* name) const {
    return std::get<std::vector<int64_t>>(attributes_.at(name));
  }
  // Null if the node has no constant in that role.
  const Constant* constant(const char* role) const;
  // The attribute differs from its default.
  bool IsSet(const AttributeSpec& spec) const {
    return attributes_.at(spec.name) != spec.default_value;
  }

  // kInvalidModel: "node 'x' (/nodes/3<sub_path>): <message>".
  Status Error(const std::string& sub_path, const std::string& message) const;

 private:
  NodeContext() = default;
  Status CompleteAttributes();
  Status CheckConstants();

  const Graph* graph_ = nullptr;
  const Node* node_ = nullptr;
  const OpSchema* schema_ = nullptr;
  size_t index_ = 0;
  std::vector<TensorInfo> inputs_;
  std::map<std::string, Attribute> attributes_;
};

}  // namespace bqengine

#endif  // ENGINE_SRC_GRAPH_OP_SCHEMA_H_
