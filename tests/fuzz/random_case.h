// Random networks for the differential fuzzer.
#ifndef TESTS_FUZZ_RANDOM_CASE_H_
#define TESTS_FUZZ_RANDOM_CASE_H_

#include <cstdint>

#include "tests/fuzz/test_case.h"

namespace bqengine::fuzz {

// The network and inputs of a seed: valid, fair (promise.h), small. Blocks as
// networks have them (a product, what follows it elementwise, a residual, a
// sign) between nodes of any kind, in any order.
TestCase RandomCase(uint64_t seed);

}  // namespace bqengine::fuzz

#endif  // TESTS_FUZZ_RANDOM_CASE_H_
