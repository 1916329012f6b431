// A graph made ready for one choice of backends: kernels with their packed
// weights, in order. Immutable, and shared by all sessions that made the same
// choice.
#ifndef ENGINE_SRC_RUNTIME_PROGRAM_H_
#define ENGINE_SRC_RUNTIME_PROGRAM_H_

#include <memory>
#include <string>
#include <vector>

#include "bqengine/backend.h"
#include "bqengine/graph.h"
#include "graph/graph_analysis.h"
#include "runtime/backend_border.h"

namespace bqengine {

// Where a tensor's memory comes from.
enum class Storage { kGraphInput, kGraphOutput, kArena };

// One piece of memory of a run. Tensors that are views of each other share it.
struct Buffer {
  TensorInfo info;
  Storage storage;
  size_t position;     // among the graph's inputs or outputs; unused for kArena
  int64_t first_step;  // that writes it; -1 for graph inputs
  int64_t last_step;   // that reads it
};

struct Step {
  const NodeContext* node;
  std::string backend;
  KernelPtr kernel;
  std::vector<size_t> inputs, outputs;  // into Program::buffers
  std::string output_shape;             // without the batch: "28x28x32"
  double macs_per_item;                 // multiply-adds; 0 if not a product
};

class Program {
 public:
  // kUnsupported if no backend takes a node; errors of passes and backends.
  static Result<std::shared_ptr<const Program>> Compile(
      const Graph& graph, const std::vector<const bqe_backend*>& backends,
      bool optimize);

  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  const std::vector<Step>& steps() const { return steps_; }
  const std::vector<Buffer>& buffers() const { return buffers_; }

 private:
  explicit Program(Graph graph) : graph_(std::move(graph)) {}
  Status AddSteps(const std::vector<const bqe_backend*>& backends);
  Status AddStep(const NodeContext& node,
                 const std::vector<const bqe_backend*>& backends);
  bool IsView(const NodeContext& node) const;
  size_t AddBuffer(const std::string& tensor, Storage storage, size_t position);
  size_t AddOutputBuffer(const std::string& tensor);

  // The order of destruction matters: kernels may point into the graph's
  // constants.
  Graph graph_;
  CheckedGraph checked_;  // refers to graph_
  std::map<std::string, size_t> buffer_of_;
  std::vector<Buffer> buffers_;
  std::vector<Step> steps_;
};

}  // namespace bqengine

#endif  // ENGINE_SRC_RUNTIME_PROGRAM_H_
