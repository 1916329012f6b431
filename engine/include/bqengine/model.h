// Models: a graph that has been checked, with its weights, ready to run.
#ifndef BQENGINE_MODEL_H_
#define BQENGINE_MODEL_H_

#include <memory>
#include <string>

#include "bqengine/export.h"
#include "bqengine/graph.h"
#include "bqengine/status.h"

namespace bqengine {

// A handle to an immutable model; copies share it. Safe to use from any number
// of threads; any number of sessions may run one model at once and share its
// packed weights.
class BQENGINE_API Model {
 public:
  // Reads model.json, and the .safetensors file that it names from the same
  // folder (memory-mapped: do not change it while the model is in use).
  // kNotFound, kIo, or kInvalidModel naming file, node and JSON path. An
  // architecture (a file without weights) is kInvalidModel here; read it with
  // ReadGraph.
  static Result<Model> Load(const std::string& path);

  // Checks a graph made by a program. Every constant must have data.
  static Result<Model> FromGraph(Graph graph);

  const Graph& graph() const;

  // Types and shapes of inputs and outputs, in the order of the graph.
  size_t num_inputs() const;
  size_t num_outputs() const;
  const std::string& input_name(size_t i) const;
  const std::string& output_name(size_t i) const;
  const TensorInfo& input(size_t i) const;
  const TensorInfo& output(size_t i) const;

 private:
  friend class Session;
  struct Impl;
  explicit Model(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

// Reads a model file without requiring weights: also an architecture. Checked
// as by Load.
BQENGINE_API Result<Graph> ReadGraph(const std::string& path);

// Writes `path`, which must end in .json, and, if any constant has data too
// large to stand inline, a file beside it with .safetensors instead of .json.
// The same graph gives the same bytes. Both files are written under temporary
// names and renamed at the end, weights first: a failure leaves what was there
// before. Where a symbolic link stands, the file that it leads to is written.
BQENGINE_API Status WriteGraph(const Graph& graph, const std::string& path);

// Applies the passes that make a graph faster without changing what it means
// (engine/README.md, "Passes"). A session does this by itself; tools that write
// models do it to store the result.
BQENGINE_API Result<Graph> OptimizeGraph(const Graph& graph);

// Gives signs of accumulators thresholds at which float arithmetic switches
// where the exact value of what stands between does (exact_chain.h); all else
// stays as it is. Sessions and OptimizeGraph do this by themselves; whoever
// evaluates a graph by other means asks here.
BQENGINE_API Result<Graph> SettleGraph(const Graph& graph);

}  // namespace bqengine

#endif  // BQENGINE_MODEL_H_
