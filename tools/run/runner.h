// A model in a session, with buffers for its outputs and a clock.
#ifndef BQENGINE_TOOLS_RUN_RUNNER_H_
#define BQENGINE_TOOLS_RUN_RUNNER_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bqengine/model.h"
#include "bqengine/session.h"
#include "bqengine/status.h"
#include "bqengine/variant.h"
#include "run/interference.h"
#include "run/options.h"

namespace bqengine::run {

// The values of an input for all items, channels-last: float32, or the bytes of
// int8 or uint8.
using Values = Variant<std::vector<float>, std::vector<uint8_t>>;

// Says on standard error that fewer threads are used than were asked for, if
// so.
void NoteThreads(int requested, int used);

class Runner {
 public:
  // Threads, backend and profiling as the options say. kUnsupported if an input
  // of the model takes bits.
  static Result<Runner> Create(const Model& model, const Options& options,
                               int64_t max_batch);

  // Runs items [first, first + batch) of `inputs`, one for each input of the
  // model and of its type.
  Status Run(int64_t first, int64_t batch, std::span<const Values> inputs);

  // Runs the batches of the first `count` items in turn, as Run does, until at
  // least three runs and `least_us` are done, or half a second is over; then
  // forgets their times. Page faults and cold caches belong to the
  // start of a program, not to an item. Returns the number of runs.
  Result<int64_t> WarmUp(int64_t count, double least_us,
                         std::span<const Values> inputs);

  // Output `i` of the last run, channels-last; bits as -1, 0 and +1, integers
  // as floats.
  std::span<const float> output(size_t i) const;

  // Of the last run.
  double last_us() const { return last_us_; }

  // Of each run with a full batch since the warm-up.
  const std::vector<double>& run_us() const { return run_us_; }

  // CPU time of all threads in one of these, on average.
  double cpu_us() const;

  // What others did in the meantime.
  Interference interference() const {
    return InterferenceBetween(usage_, UsageNow());
  }

  // For each layer its time in each of these runs; empty unless the options ask
  // for a profile.
  const std::vector<std::vector<double>>& layer_us() const { return layer_us_; }

  // Session::profile with the times of the run whose time is nearest to the
  // median of run_us, of the first of those: a run as they are, where the last
  // one may have been interrupted.
  std::vector<NodeProfile> TypicalRun() const;

  int64_t last_batch() const { return last_batch_; }

  int64_t max_batch() const { return max_batch_; }
  const Session& session() const { return session_; }
  const Model& model() const { return session_.model(); }

 private:
  struct Output {
    TensorInfo info;
    size_t item_bytes;
    size_t item_elements;
    std::vector<uint64_t> memory;  // words for their alignment
    std::vector<float> values;     // of bits and integers only
  };

  explicit Runner(Session session) : session_(std::move(session)) {}
  void KeepLayerTimes();
  void ExpandBits(Output* output) const;
  void ExpandIntegers(Output* output) const;

  Session session_;
  int64_t max_batch_ = 1;
  std::vector<size_t> input_item_elements_;
  std::vector<Output> outputs_;
  std::vector<InputView> input_views_;
  std::vector<OutputView> output_views_;
  std::vector<double> run_us_;
  double total_cpu_us_ = 0;  // of these runs
  std::vector<std::vector<double>> layer_us_;
  std::vector<std::vector<double>> layer_start_us_;
  Usage usage_;  // before these runs
  bool profile_ = false;
  double last_us_ = 0;
  int64_t last_batch_ = 0;
};

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_RUNNER_H_
