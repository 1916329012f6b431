// A graph node as backends see it (bqengine/backend.h).
#ifndef ENGINE_SRC_RUNTIME_BACKEND_NODE_H_
#define ENGINE_SRC_RUNTIME_BACKEND_NODE_H_

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "bqengine/backend.h"
#include "graph/op_schema.h"

namespace bqengine {

// Owns the C structs. Refers to the node, its graph and `tensors`, by name,
// which must outlive it; the structs point into this object, so it cannot be
// copied.
class BackendNode {
 public:
  BackendNode(const NodeContext& context,
              const std::map<std::string, TensorInfo>& tensors);
  BackendNode(const BackendNode&) = delete;
  BackendNode& operator=(const BackendNode&) = delete;

  const bqe_node& get() const { return node_; }

 private:
  const bqe_tensor* AddTensor(const std::string& name, const TensorInfo& info);
  void AddAttribute(const std::string& name, const Attribute& value);
  void AddConstant(const std::string& role, const std::string& name,
                   const Constant& constant);

  // Deques: elements keep their addresses.
  std::deque<bqe_tensor> tensors_;
  std::deque<bqe_attribute> attributes_;
  std::deque<bqe_constant> constants_;
  std::vector<const bqe_tensor*> inputs_, outputs_;
  std::vector<const bqe_attribute*> attribute_list_;
  std::vector<const bqe_constant*> constant_list_;
  bqe_node node_;
};

}  // namespace bqengine

#endif  // ENGINE_SRC_RUNTIME_BACKEND_NODE_H_
