// A network with values for its inputs: what the fuzzer makes, runs and
// shrinks.
#ifndef TESTS_FUZZ_TEST_CASE_H_
#define TESTS_FUZZ_TEST_CASE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/status.h"

namespace bqengine::fuzz {

// Of one tensor, for the whole batch.
using Bytes = std::vector<uint8_t>;

struct TestCase {
  Graph graph;
  int64_t batch = 1;
  std::vector<Bytes> inputs;  // one for each input of the graph
};

// The graph as text: a line a node, with attributes and the first values of
// constants in full precision.
std::string GraphText(const Graph& graph);

// Writes `path` (which ends in .json, see WriteGraph) and, beside it, the
// inputs as "<path>.<input>.npy": floats and integers as they are, bits as
// packed words.
Status Save(const TestCase& test, const std::string& path);

}  // namespace bqengine::fuzz

#endif  // TESTS_FUZZ_TEST_CASE_H_
