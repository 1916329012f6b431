// Models: a graph that has been checked, with its weights, ready to run.
#ifndef BQENGINE_MODEL_H_
#define BQENGINE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "bqengine/export.h"
#include "bqengine/graph.h"
#include "bqengine/status.h"

namespace bqengine {

// What a model may ask for, and how it is read. A model that asks for more is
// kOutOfMemory, naming what does, how much it is, and the option, before any
// memory is taken for it: some hundred bytes of JSON can ask for all there is.
struct ModelOptions {
  // The most elements of one tensor: of an activation in one item of a batch,
  // of a constant that has no data yet. 2^27 floats are half a gigabyte.
  uint64_t max_tensor_elements = uint64_t{1} << 27;

  // The most bytes of the weights file.
  uint64_t max_weight_bytes = uint64_t{1} << 31;

  // True maps the weights file into memory in place of reading it: it starts
  // faster, and processes share the memory. But then the file must not change
  // while the model or a graph of it is in use: whoever writes into it changes
  // what the model answers, without an error, and whoever cuts it ends this
  // process (SIGBUS). Replacing it by another file of the name is no change.
  bool map_weights = false;
};

// A handle to an immutable model; copies share it. Safe to use from any number
// of threads; any number of sessions may run one model at once and share its
// packed weights.
class BQENGINE_API Model {
 public:
  // Reads model.json, and the .safetensors file that it names from the same
  // folder, into memory of its own: what becomes of the files later does not
  // matter. kNotFound, kIo (also of a file that others write just now), or
  // kInvalidModel naming file, node and JSON path. An architecture (a file
  // without weights) is kInvalidModel here; read it with ReadGraph.
  static Result<Model> Load(const std::string& path,
                            const ModelOptions& options = {});

  // The same of the contents of the two files: `json` and, if it names a
  // weights file, `weights`, else empty. Both are copied and may go when this
  // returns; `weights` needs no alignment. There is nothing to map.
  static Result<Model> LoadFromMemory(std::string_view json,
                                      std::span<const std::byte> weights,
                                      const ModelOptions& options = {});

  // Checks a graph made by a program. Every constant must have data.
  static Result<Model> FromGraph(Graph graph, const ModelOptions& options = {});

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
BQENGINE_API Result<Graph> ReadGraph(const std::string& path,
                                     const ModelOptions& options = {});

// Writes `path`, which must end in .json, and, if any constant has data too
// large to stand inline, a file beside it with .safetensors instead of .json.
// The same graph gives the same bytes. Both files are complete before they take
// their names, weights first: a failure, the death of the process too, leaves
// what was there before and nothing else. Files that were there pass on their
// mode and, where the system allows it, owner and group. Where a symbolic link
// stands, the file that it leads to is written. kIo also if a limit on the size
// of files (SIGXFSZ) or a full disk is in the way.
BQENGINE_API Status WriteGraph(const Graph& graph, const std::string& path);

// Applies the passes that make a graph faster without changing what it means
// (engine/README.md, "Passes"). A session does this by itself; tools that write
// models do it to store the result.
BQENGINE_API Result<Graph> OptimizeGraph(const Graph& graph);

// Gives signs of accumulators thresholds at which float arithmetic switches
// where the exact value of what stands between does (exact_chain.h); what no
// output needs goes, all else stays as it is. Sessions and OptimizeGraph do
// this by themselves; whoever evaluates a graph by other means asks here.
BQENGINE_API Result<Graph> SettleGraph(const Graph& graph);

}  // namespace bqengine

#endif  // BQENGINE_MODEL_H_
