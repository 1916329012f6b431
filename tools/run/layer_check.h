// Comparing what two backends make of each layer of a model.
#ifndef BQENGINE_TOOLS_RUN_LAYER_CHECK_H_
#define BQENGINE_TOOLS_RUN_LAYER_CHECK_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bqengine/model.h"
#include "bqengine/session.h"
#include "bqengine/status.h"

namespace bqengine::run {

// A tensor of a batch, in the layout of sessions.
struct Tensor {
  TensorInfo info = {};
  size_t bytes = 0;
  std::vector<uint64_t> memory = {};  // words for their alignment
};

// One output of one layer, of all items.
struct LayerDifference {
  std::string layer = {}, op = {}, output = {};
  std::string backend = {}, against = {};  // that made the values
  int threads = 1;                         // of the former
  int64_t values = 0;
  int64_t different = 0;       // by more than is allowed
  int64_t unwritten = 0;       // of those; they hold what was there before
  bool dirty_padding = false;  // bits behind the last channel are set

  // Of the value that is off most:
  std::vector<int64_t> index = {};  // channels-last
  double got = 0, wanted = 0;
  double most = 0;     // how far it is off; infinite if one of the two is NaN
  double allowed = 0;  // how far it might be

  bool equal() const { return different == 0 && !dirty_padding; }
};

// Compares layer by layer: each one of the optimized graph runs as a model of
// its own, on `options.backend` and on `against`, on the inputs that `against`
// has made of the layers before it. So the first layer that differs is at
// fault, not one before it. What is made from bits or moves values must be the
// same; sums of floats may differ by what their order can change: the number of
// their terms (and 8, for the steps behind), times the sum of the terms'
// magnitudes in this very place, times the precision of float.
//
// Outputs hold the complement of the right bytes before the compared backend
// runs, so that what it does not write differs.
//
// `inputs`: tensors of the graph's inputs by name, of `batch` items.
Result<std::vector<LayerDifference>> CheckLayers(
    const Graph& graph, const SessionOptions& options,
    const std::string& against, std::map<std::string, Tensor> inputs,
    int64_t batch);

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_LAYER_CHECK_H_
