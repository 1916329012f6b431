#include "run/interference.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace bqengine::run {
namespace {

namespace fs = std::filesystem;

// Of a quiet machine threads waited 0.1 to 0.5 % of the time.
constexpr double kMuchWaited = 0.02;
constexpr double kMuchOfTheMachine = 0.1;
constexpr double kShortestUs = 0.5e6;

// The second number is the time waited, in nanoseconds.
std::optional<double> WaitedUs() {
  std::error_code error;
  fs::directory_iterator tasks("/proc/self/task", error);
  double waited_ns = 0;
  bool known = false;
  while (!error && tasks != fs::directory_iterator()) {
    std::ifstream file(tasks->path() / "schedstat");
    double ran_ns = 0, thread_waited_ns = 0;
    if (file >> ran_ns >> thread_waited_ns) {
      waited_ns += thread_waited_ns;
      known = true;
    }
    tasks.increment(error);
  }
  if (!known) return std::nullopt;
  return waited_ns / 1e3;
}

}  // namespace

double ProcessCpuUs() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 +
         static_cast<double>(time.tv_nsec) / 1e3;
}

void ParseProcStat(std::string_view text, double ticks_per_second,
                   Usage* usage) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("cpu")) break;
    std::istringstream fields(line);
    std::string name;
    double user = 0, nice = 0, system = 0, idle = 0, io_wait = 0, irq = 0,
           soft_irq = 0, steal = 0;
    if (!(fields >> name >> user >> nice >> system >> idle >> io_wait >> irq >>
          soft_irq >> steal)) {
      break;
    }
    if (name == "cpu") {
      const double ticks = user + nice + system + irq + soft_irq + steal;
      usage->busy_us = ticks * 1e6 / ticks_per_second;
    } else {
      ++usage->cores;
    }
  }
}

Usage UsageNow() {
  Usage usage;
  usage.wall_us = std::chrono::duration<double, std::micro>(
                      std::chrono::steady_clock::now().time_since_epoch())
                      .count();
  usage.cpu_us = ProcessCpuUs();
  usage.waited_us = WaitedUs();
  std::ifstream file("/proc/stat");
  std::ostringstream text;
  text << file.rdbuf();
  ParseProcStat(text.str(), static_cast<double>(sysconf(_SC_CLK_TCK)), &usage);
  return usage;
}

Interference InterferenceBetween(const Usage& before, const Usage& after) {
  Interference result;
  result.cores = after.cores;
  const double wall_us = after.wall_us - before.wall_us;
  const double cpu_us = after.cpu_us - before.cpu_us;
  if (before.waited_us && after.waited_us) {
    // A thread that ended takes its time with it.
    const double waited = std::max(*after.waited_us - *before.waited_us, 0.0);
    result.waited_share = waited / std::max(waited + cpu_us, 1.0);
  }
  if (before.busy_us && after.busy_us && after.cores > 0 &&
      wall_us >= kShortestUs) {
    const double others = *after.busy_us - *before.busy_us - cpu_us;
    result.others_cores = std::max(others / wall_us, 0.0);
  }
  return result;
}

bool Interference::disturbed() const {
  return waited_share.value_or(0) >= kMuchWaited ||
         others_cores.value_or(0) >= kMuchOfTheMachine * std::max(cores, 1);
}

std::string Interference::Text() const {
  std::string text = "others use the machine: ";
  if (waited_share) {
    text += fmt::format("runs waited for a core {:.0f} % of the time",
                        *waited_share * 100);
  }
  if (others_cores) {
    text += fmt::format("{}others kept {:.1f} of {} cores busy",
                        waited_share ? ", " : "", *others_cores, cores);
  }
  return text + "; times may be too long, the least is the best estimate";
}

}  // namespace bqengine::run
