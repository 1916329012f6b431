// What bq-bench-peers prints and writes.
#ifndef BENCH_PEERS_REPORT_H_
#define BENCH_PEERS_REPORT_H_

#include <string>
#include <vector>

#include "peers/compare.h"
#include "peers/contender.h"

namespace bqengine::bench {

struct Report {
  std::string cpu;
  Engines engines;
  int rounds = 0;
  std::vector<Times> times;
};

// "Intel(R) Xeon(R) Processor"; "unknown processor" where the system does not
// tell.
std::string CpuName();

// Three digits that matter, or all of a whole number.
std::string FormatUs(double us);

// Which engines, in one line.
std::string EnginesLine(const Report& report);

// A Markdown table for each number of threads: times in microseconds and, of
// peers, how many times longer than "ours".
std::string MakeTables(const Report& report);

// A list of objects, one for each layer and number of threads. Where a column
// is missing its value is null.
std::string MakeJson(const Report& report);

}  // namespace bqengine::bench

#endif  // BENCH_PEERS_REPORT_H_
