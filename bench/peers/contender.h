// What is compared: columns of the table, each an engine with a data type.
#ifndef BENCH_PEERS_CONTENDER_H_
#define BENCH_PEERS_CONTENDER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "peers/layer.h"

namespace bqengine::bench {

// One engine's version of one layer: weights prepared, buffers allocated.
class Contender {
 public:
  virtual ~Contender() = default;
  virtual void Run() = 0;

  // Sends the engine's helper threads to sleep. Some spin for many milliseconds
  // to be quick at the next run, on cores that now belong to others.
  virtual void Rest() {}

  // What the last run computed, as [pixels, O] floats, for comparison with
  // others. Empty if its numbers are not those of Layer (int8, bits).
  virtual std::vector<float> Output() { return {}; }

  // Which implementation the engine chose; may be empty.
  virtual std::string Implementation() const { return {}; }
};

struct Column {
  std::string key;      // in JSON: "onednn_int8_us"
  std::string heading;  // in tables: "oneDNN int8"
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
