#include "run/provenance.h"

#include <sys/utsname.h>

#include <ctime>
#include <fstream>

namespace bqengine::run {

extern const char kCommit[];  // in commit.cc, which the build writes

namespace {

std::string CpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t value = line.find(": ");
    if (line.starts_with("model name") && value != std::string::npos) {
      return line.substr(value + 2);
    }
  }
  utsname system{};
  return uname(&system) == 0 ? system.machine : "unknown";
}

std::string Date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  char text[sizeof("2026-11-27T17:20:25Z")] = "";
  gmtime_r(&now, &utc);
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace

Provenance ProvenanceNow() {
  return {BQENGINE_VERSION, kCommit, CpuName(), Date()};
}

}  // namespace bqengine::run
