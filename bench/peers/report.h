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

// "AMD EPYC (family 25, model 1)": virtual machines tell less by names than by
// numbers. "unknown processor" where the system does not tell.
std::string CpuName();

// Three digits that matter, or all of a whole number.
std::string FormatUs(double us);

// Which engines, in one line.
std::string EnginesLine(const Report& report);

// Whose answers were verified, in how many rows of the tables, and what was not
// timed and why: a list in Markdown.
std::string AnswerLines(const Report& report);

// A Markdown table for each number of threads: times in microseconds and, of
// peers, how many times longer than "ours". Columns without any are left out.
std::string MakeTables(const Report& report);

// A list of objects, one for each layer and number of threads. Where a column
// is missing its value is null. "answers" has the largest difference from the
// right answer, and what is allowed, of columns that were verified.
std::string MakeJson(const Report& report);

}  // namespace bqengine::bench

#endif  // BENCH_PEERS_REPORT_H_
