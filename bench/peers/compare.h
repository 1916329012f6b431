// Times all columns on one layer, in turns.
#ifndef BENCH_PEERS_COMPARE_H_
#define BENCH_PEERS_COMPARE_H_

#include <optional>
#include <string>
#include <vector>

#include "peers/contender.h"
#include "peers/verify.h"

namespace bqengine::bench {

struct Times {
  std::string op, shape;
  kernels::ConvShape conv;
  double macs = 0;
  int threads = 1;
  std::vector<std::optional<double>> us;  // of each column
  // Of each column; without it there is no time.
  std::vector<std::optional<Verified>> verified;
  std::vector<std::string> implementations;  // of each column
  std::vector<std::string> notes;            // what is missing, and why
};

// Whose answer is not the layer's is not timed (Verify); a note says why. In
// each of `rounds` every other column runs some milliseconds, first warming up,
// one after the other, so that nobody gains from a moment in which the machine
// is quiet. The result is the median: of one thread of processor times, of
// several of times on the wall, which on a busy machine are those of the other
// programs. Runs in which the system took a core away do not count, unless in a
// round there were no others.
Times Compare(const std::vector<Column>& columns, const Layer& layer,
              int threads, int rounds);

}  // namespace bqengine::bench

#endif  // BENCH_PEERS_COMPARE_H_
