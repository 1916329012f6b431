#include "peers/compare.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <stdexcept>

#include "common/statistics.h"

namespace bqengine::bench {
namespace {

// Long enough to warm caches and wake threads, short enough that a round of all
// columns meets the same machine.
constexpr double kWarmUpUs = 1000;
constexpr double kMeasureUs = 4000;
// Reading a clock takes up to 300 ns: what is quicker than this is timed in
// blocks of several runs.
constexpr double kBlockUs = 50;
constexpr int64_t kFewestBlocks = 3;

// Of one thread the processor time counts, which other programs do not add to
// (all threads' of this process: an engine that secretly used a second one
// would gain nothing). Of several it has to be the time on the wall.
double NowUs(int threads) {
  timespec now;
  clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC,
                &now);
  return double(now.tv_sec) * 1e6 + double(now.tv_nsec) * 1e-3;
}

// Of one run, the mean of some.
double TimeUs(Contender& contender, int64_t runs, int threads) {
  const double start = NowUs(threads);
  for (int64_t i = 0; i < runs; ++i) contender.Run();
  return (NowUs(threads) - start) / double(runs);
}

// How often the system took a core away from a thread of this process. On a
// busy machine that happens to one long run in two, and to few short ones.
long Preemptions() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

// The times of a run over some milliseconds.
std::vector<double> TimeRound(Contender& contender, int threads) {
  double us = TimeUs(contender, 1, threads);
  us = std::min(us, TimeUs(contender, 1, threads));
  const int64_t runs = std::max(int64_t{1}, int64_t(kBlockUs / us));
  for (double warm = 0; warm < kWarmUpUs;) {
    const double block_us = TimeUs(contender, runs, threads);
    us = std::min(us, block_us);
    warm += block_us * double(runs);
  }
  const int64_t blocks =
      std::max(kFewestBlocks, int64_t(kMeasureUs / (us * double(runs))));
  std::vector<double> samples, interrupted;
  for (int64_t i = 0; i < blocks; ++i) {
    const long before = Preemptions();
    const double block_us = TimeUs(contender, runs, threads);
    (Preemptions() == before ? samples : interrupted).push_back(block_us);
  }
  contender.Rest();
  return samples.empty() ? interrupted : samples;
}

// The median. (Of several threads on a busy machine it says little: threads
// that wait for each other wait for the one that another program holds up.)
std::optional<double> Result(std::vector<double> samples) {
  if (samples.empty()) return std::nullopt;
  return tools::Summarize(std::move(samples)).median;
}

}  // namespace

Times Compare(const std::vector<Column>& columns, const Layer& layer,
              int threads, int rounds) {
  Times times = {.op = layer.op,
                 .shape = layer.shape_name,
                 .conv = layer.shape,
                 .macs = layer.Macs(),
                 .threads = threads,
                 .us = {},
                 .verified = {},
                 .implementations = {},
                 .notes = {}};
  std::vector<std::unique_ptr<Contender>> contenders;
  for (const Column& column : columns) {
    std::unique_ptr<Contender> contender;
    std::optional<Verified> verified;
    if (column.make) {
      try {
        contender = column.make(layer, threads);
        verified = Verify(layer, *contender);
        contender->Rest();
      } catch (const std::runtime_error& error) {
        contender = nullptr;
        times.notes.push_back(column.heading + ": not timed: " + error.what());
      }
    }
    times.verified.push_back(verified);
    times.implementations.push_back(
        contender == nullptr ? "" : contender->Implementation());
    contenders.push_back(std::move(contender));
  }

  std::vector<std::vector<double>> samples(columns.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < columns.size(); ++i) {
      if (contenders[i] == nullptr) continue;
      const std::vector<double> round_us = TimeRound(*contenders[i], threads);
      samples[i].insert(samples[i].end(), round_us.begin(), round_us.end());
    }
  }
  for (std::vector<double>& of_column : samples) {
    times.us.push_back(Result(std::move(of_column)));
  }
  return times;
}

}  // namespace bqengine::bench
