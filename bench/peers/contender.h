// What is compared: columns of the table, each an engine with a data type.
#ifndef BENCH_PEERS_CONTENDER_H_
#define BENCH_PEERS_CONTENDER_H_

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "peers/layer.h"

namespace bqengine::bench {

// What an engine made of a layer whose right answer is y (LayerInput).
struct Answer {
  std::vector<float> values;  // [pixels, O], in the units of y
  // They are for LayerInput's unsigned_x.
  bool of_unsigned = false;
  // Bits: +1 where y >= 0, and -1 elsewhere.
  bool signs = false;
  // Integers: the nearest multiple of `step` to y held between the two.
  float step = 0;
  float lowest = -std::numeric_limits<float>::infinity();
  float highest = std::numeric_limits<float>::infinity();
  // Floats of an algorithm that rounds: how far they may be off, in multiply-
  // adds (a value of channel o by rounding * mul[o]). Sums as such do not
  // round, see Layer.
  float rounding = 0;
};

// One engine's version of one layer: weights prepared, buffers allocated.
class Contender {
 public:
  virtual ~Contender() = default;
  // Copies the input to where Run reads it. Comes before the first Run.
  virtual void SetInput(const LayerInput& input) = 0;
  virtual void Run() = 0;

  // Sends the engine's helper threads to sleep. Some spin for many milliseconds
  // to be quick at the next run, on cores that now belong to others.
  virtual void Rest() {}

  // What the last run computed.
  virtual Answer Output() = 0;

  // Which implementation the engine chose; may be empty.
  virtual std::string Implementation() const { return {}; }
};

struct Column {
  std::string key;      // in JSON: "onednn_int8_us"
  std::string heading;  // in tables: "oneDNN int8"
  bool ours = false;
  // Throws std::runtime_error if the engine cannot do it. Empty if the engine
  // is not there.
  std::function<std::unique_ptr<Contender>(const Layer& layer, int threads)>
      make = {};
  std::string missing = {};  // why `make` is empty
};

// What there is to know about the engines, for the table's heading and JSON.
struct Engines {
  std::vector<Column> columns;
  std::string backend;     // of ours
  std::string onednn;      // version; empty if it is not there
  std::string onednn_isa;  // that it is allowed to use
};

// Ours first. Throws std::runtime_error if there is no such backend of ours.
Engines AllEngines(const std::string& backend);

// The parts of AllEngines. Those of a library that the build did not find have
// columns without `make`.
void AddOurs(const std::string& backend, Engines& engines);
void AddOnednn(Engines& engines);
void AddXnnpack(Engines& engines);

}  // namespace bqengine::bench

#endif  // BENCH_PEERS_CONTENDER_H_
