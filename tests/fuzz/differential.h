// The reference backend on a graph as it is written, against every backend on
// the graph after the passes, with one thread and with two.
#ifndef TESTS_FUZZ_DIFFERENTIAL_H_
#define TESTS_FUZZ_DIFFERENTIAL_H_

#include <optional>
#include <string>

#include "tests/fuzz/test_case.h"

namespace bqengine::fuzz {

struct Difference {
  std::string backend;  // "cpu:avx2, 2 threads"
  std::string output;   // name of the tensor; empty if nothing ran
  std::string what;     // "element 17: 1 instead of 0", or an error
};

// The first difference from what the contract promises; nullopt if there is
// none. A case that promises nothing differs nowhere.
std::optional<Difference> FindDifference(const TestCase& test);

// The outputs of a run; an error names the backend.
Result<std::vector<Bytes>> RunCase(const TestCase& test,
                                   const std::string& backend, bool optimize,
                                   int threads);

}  // namespace bqengine::fuzz

#endif  // TESTS_FUZZ_DIFFERENTIAL_H_
