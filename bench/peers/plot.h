// A picture of a report.
#ifndef BENCH_PEERS_PLOT_H_
#define BENCH_PEERS_PLOT_H_

#include <string>

#include "peers/report.h"

namespace bqengine::bench {

// SVG, of one thread: for each layer a group of bars, as long as an engine
// takes longer than ours; its time and the ratio stand beside it.
std::string MakePlot(const Report& report);

}  // namespace bqengine::bench

#endif  // BENCH_PEERS_PLOT_H_
