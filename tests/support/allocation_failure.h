// Makes operator new fail, for tests of what happens then. Link
// tests/support/allocation_failure.cc: it replaces all forms of new and delete
// in the program and in the libraries that it loads.
#ifndef TESTS_SUPPORT_ALLOCATION_FAILURE_H_
#define TESTS_SUPPORT_ALLOCATION_FAILURE_H_

#include <cstdint>

namespace bqengine::testing {

// While it lives, the n-th operator new from now on, of any form and on any
// thread, finds no memory; the first is 1. One at a time.
class AllocationFailure {
 public:
  explicit AllocationFailure(int64_t n);
  ~AllocationFailure();
  AllocationFailure(const AllocationFailure&) = delete;
  AllocationFailure& operator=(const AllocationFailure&) = delete;

  // There was an n-th, and it threw std::bad_alloc.
  bool threw() const;
  // There was an n-th, of a form that gives null.
  bool gave_null() const;
};

// Made by operator new and not yet deleted.
int64_t LiveAllocations();

}  // namespace bqengine::testing

#endif  // TESTS_SUPPORT_ALLOCATION_FAILURE_H_
