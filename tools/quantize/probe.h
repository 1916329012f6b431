// Looking into networks while they run: the values of their tensors on images.
#ifndef BQENGINE_TOOLS_QUANTIZE_PROBE_H_
#define BQENGINE_TOOLS_QUANTIZE_PROBE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/status.h"
#include "common/limits.h"
#include "quantize/images.h"

namespace bqengine::ptq {

// A graph, and a second one that takes the same input, side by side in one
// graph: so that one run tells how their tensors differ.
class Twins {
 public:
  // The nodes of `first` keep their names.
  Twins(const Graph& first, const Graph& second);

  Graph& graph() { return graph_; }

  // The name in graph() of a tensor of the second graph.
  const std::string& Second(const std::string& tensor) const {
    return second_.at(tensor);
  }

 private:
  Graph graph_;
  std::map<std::string, std::string> second_;
};

// Values of each tensor, channels-last, in one batch of items.
using Batch = std::vector<std::span<const float>>;

// Called with the number of images that were run since the last call.
using Advance = std::function<void(int64_t images)>;

struct ProbeOptions {
  int threads = 1;
  tools::Limits limits = {};
};

// Runs the graph on all images and shows the values of `tensors`, which are
// float and each named once, batch by batch.
Status Probe(Graph graph, const std::vector<std::string>& tensors,
             const Images& images, const ProbeOptions& options,
             const Advance& advance,
             const std::function<Status(const Batch&)>& visit);

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_PROBE_H_
