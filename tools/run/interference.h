// Whether others used the machine while something was measured.
//
// Two things tell, and each sees what the other does not:
// - how long threads of this process were ready but waited for a core
//   (/proc/self/task/*/schedstat: exact, but blind to who shares a core's
//   units, caches or clock with them, and to a hypervisor);
// - how many cores others kept busy (/proc/stat less the CPU time of this
//   process; in ticks of 10 ms, so not known of less than half a second; it
//   counts what a hypervisor took, too).
#ifndef BQENGINE_TOOLS_RUN_INTERFERENCE_H_
#define BQENGINE_TOOLS_RUN_INTERFERENCE_H_

#include <optional>
#include <string>
#include <string_view>

namespace bqengine::run {

// CPU time of this process, of all its threads.
double ProcessCpuUs();

// Counters, as they stand.
struct Usage {
  double wall_us = 0;
  double cpu_us = 0;                // of this process
  std::optional<double> waited_us;  // of its threads, for a core
  std::optional<double> busy_us;    // of all cores, for anybody
  int cores = 0;                    // that busy_us counts
};

Usage UsageNow();

// busy_us and cores out of what /proc/stat says.
void ParseProcStat(std::string_view text, double ticks_per_second,
                   Usage* usage);

struct Interference {
  // Of the time in which threads wanted to run, the part in which they waited:
  // 0 to 1.
  std::optional<double> waited_share;
  // That others kept busy, on average.
  std::optional<double> others_cores;
  int cores = 0;

  // Times are likely to be longer than on a quiet machine: threads waited 2 %
  // of the time, or others had a tenth of the machine.
  bool disturbed() const;

  // "others use the machine: ..." in one line.
  std::string Text() const;
};

Interference InterferenceBetween(const Usage& before, const Usage& after);

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_INTERFERENCE_H_
