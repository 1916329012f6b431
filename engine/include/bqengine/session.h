// Running a model.
//
//   auto model = bqengine::Model::Load("lenet.json");
//   if (!model.ok()) ...
//   auto session = bqengine::Session::Create(*model);
//   if (!session.ok()) ...
//   std::vector<float> image(28 * 28), scores(10);
//   bqengine::Status status = session->Run(image, scores);
#ifndef BQENGINE_SESSION_H_
#define BQENGINE_SESSION_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bqengine/export.h"
#include "bqengine/model.h"
#include "bqengine/status.h"

namespace bqengine {

struct SessionOptions {
  // Threads that share the work of one run, the calling one included.
  // 0: one per core, which is also the most that are used.
  int threads = 1;

  // The largest batch a run may have. Memory is reserved for it at once.
  int64_t max_batch = 1;

  // The most bytes of that memory (Session::arena_bytes). A model that needs
  // more is kOutOfMemory, naming the node that needs most.
  uint64_t max_arena_bytes = uint64_t{1} << 30;

  // Name of a backend ("reference", "cpu:avx2") or of a family ("cpu": its best
  // usable member). It takes every node it supports; the rest go to the best
  // backend that does. Empty: the environment variable BQENGINE_BACKEND, or if
  // that is not set the best backend, node by node.
  std::string backend = {};

  // False runs the graph node by node as it is written (for tests); signs of
  // accumulators switch where exact arithmetic says in both (exact_chain.h).
  bool optimize = true;

  // Measure each node in each run; see Session::profile.
  bool profile = false;
};

struct InputView {
  const void* data;
  size_t bytes;
};
struct OutputView {
  void* data;
  size_t bytes;
};

// One node's share of the runs so far.
struct NodeProfile {
  std::string name = {};
  std::string op = {};
  std::string backend = {};
  std::string output_shape = {};  // of one item: "28x28x32"
  double macs = 0;  // multiply-adds in the last run; 0 if not a product
  double last_start_us = 0;  // from the start of the last run
  double last_us = 0;        // in the last run
  double total_us = 0;       // over all runs
  int64_t runs = 0;
};

// Owns the memory of a run. A session may be used by one thread at a time;
// make one per thread, they share the weights. It keeps its model alive.
//
// Create and Run compute in the default floating-point mode (round to nearest,
// subnormals kept) on every thread, whatever mode the caller has set, and leave
// the caller its own.
class BQENGINE_API Session {
 public:
  // kInvalidArgument for a bad option or unknown backend, kUnsupported if a
  // node fits no backend, kOutOfMemory.
  static Result<Session> Create(const Model& model,
                                const SessionOptions& options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Runs `batch` (1 to max_batch) items. One view per input and output, in the
  // order of the model; memory is the caller's, aligned to its element (float
  // 4 bytes, packed words 8, integers 1), exactly batch items long,
  // channels-last, outputs overlapping neither inputs nor each other. Bits
  // beyond the ends of an input's packed rows must be zero. Else
  // kInvalidArgument that names the tensor, and outputs stay as they are.
  // Allocates nothing with one thread. After another error outputs are
  // undefined; the session can be used again.
  Status Run(int64_t batch, std::span<const InputView> inputs,
             std::span<const OutputView> outputs);

  // The same for one float input and one float output; the batch follows from
  // the sizes.
  Status Run(std::span<const float> input, std::span<float> output);

  const Model& model() const;
  int threads() const;  // that are used: see SessionOptions::threads

  // The backend that does most of the nodes: "cpu:avx512-popcnt".
  const std::string& backend() const;

  // One entry per node in order of execution; times are zero unless
  // options.profile was set. The next run changes them.
  const std::vector<NodeProfile>& profile() const;

  // Bytes of activations and scratch memory reserved for max_batch.
  size_t arena_bytes() const;

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bqengine

#endif  // BQENGINE_SESSION_H_
