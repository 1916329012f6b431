#include "peers/contender.h"

namespace bqengine::bench {
namespace {

// The columns of a library that the build did without.
[[maybe_unused]] void AddMissing(const std::string& key,
                                 const std::string& heading,
                                 const std::string& packages,
                                 Engines& engines) {
  for (const char* type : {"int8", "fp32"}) {
    engines.columns.push_back(
        {.key = key + "_" + type + "_us",
         .heading = heading + " " + type,
         .missing = "not built in (needs " + packages + " when CMake runs)"});
  }
}

}  // namespace

Engines AllEngines(const std::string& backend) {
  Engines engines;
  AddOurs(backend, engines);
#ifdef BQE_BENCH_ONEDNN
  AddOnednn(engines);
#else
  AddMissing("onednn", "oneDNN", "libdnnl-dev", engines);
#endif
#ifdef BQE_BENCH_XNNPACK
  AddXnnpack(engines);
#else
  AddMissing("xnnpack", "XNNPACK", "libxnnpack-dev and libpthreadpool-dev",
             engines);
#endif
  return engines;
}

}  // namespace bqengine::bench
