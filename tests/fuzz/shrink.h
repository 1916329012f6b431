// Makes a case that differs smaller, as long as it differs.
#ifndef TESTS_FUZZ_SHRINK_H_
#define TESTS_FUZZ_SHRINK_H_

#include "tests/fuzz/test_case.h"

namespace bqengine::fuzz {

// Precondition: FindDifference(test) finds one. So does it in what returns.
TestCase Shrink(TestCase test);

}  // namespace bqengine::fuzz

#endif  // TESTS_FUZZ_SHRINK_H_
