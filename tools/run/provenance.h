// Where and when figures were made, and by which program.
#ifndef BQENGINE_TOOLS_RUN_PROVENANCE_H_
#define BQENGINE_TOOLS_RUN_PROVENANCE_H_

#include <string>

namespace bqengine::run {

struct Provenance {
  std::string version;  // of bqengine: "0.1.0"
  // That it was built from, in 40 hexadecimal digits, "-dirty" behind them if
  // files differed; "unknown" if it was no git checkout.
  std::string commit;
  std::string cpu;   // its name, or else its architecture ("aarch64")
  std::string date;  // now, in UTC: "2026-11-27T17:20:25Z"
};

Provenance ProvenanceNow();

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_PROVENANCE_H_
