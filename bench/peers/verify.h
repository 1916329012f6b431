// Whether a contender computes the layer that it is to be timed on.
#ifndef BENCH_PEERS_VERIFY_H_
#define BENCH_PEERS_VERIFY_H_

#include "peers/contender.h"
#include "peers/layer.h"

namespace bqengine::bench {

// Runs the contender on every input of the layer, the first one last, and
// returns the largest difference from the right answer, in the units of y.
// Throws std::runtime_error, "answer differs (...)", if one is larger than the
// answer's data type allows.
double Verify(const Layer& layer, Contender& contender);

}  // namespace bqengine::bench

#endif  // BENCH_PEERS_VERIFY_H_
