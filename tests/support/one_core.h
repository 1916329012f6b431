// Thread tests on a machine with one core run without helper threads, and say
// so.
#ifndef TESTS_SUPPORT_ONE_CORE_H_
#define TESTS_SUPPORT_ONE_CORE_H_

#include <gtest/gtest.h>
#include <sched.h>

namespace bqengine {

// True where this process may use one core only (taskset), however many the
// machine has.
inline bool HasOneCore() {
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof(cores), &cores) == 0 &&
         CPU_COUNT(&cores) == 1;
}

}  // namespace bqengine

// At the start of a test that is nothing without helpers, or at the end of one
// that has tested the rest by then. Ends the test as skipped with one core.
#define BQE_SKIP_ON_ONE_CORE()                                 \
  if (::bqengine::HasOneCore()) {                              \
    GTEST_SKIP() << "one core: helper threads are not tested"; \
  }

#endif  // TESTS_SUPPORT_ONE_CORE_H_
