// Whether a contender computes the layer that it is to be timed on.
#ifndef BENCH_PEERS_VERIFY_H_
#define BENCH_PEERS_VERIFY_H_

#include "peers/contender.h"
#include "peers/layer.h"

namespace bqengine::bench {

// The largest difference from the right answer, and what its value may be off
// by for its data type; in the units of y.
struct Verified {
  double difference = 0;
  double allowed = 0;
};

// Runs the contender on every input of the layer, the first one last. Throws
// std::runtime_error, "answer differs (...)", if a value is off by more than
// it may be.
Verified Verify(const Layer& layer, Contender& contender);

}  // namespace bqengine::bench

#endif  // BENCH_PEERS_VERIFY_H_
