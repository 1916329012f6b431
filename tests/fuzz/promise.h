// What the numeric contract (engine/README.md) promises of each tensor of a
// graph, worked out from the graph and the values of its inputs:
//
// - Bits, and floats that are computed only from bits, integers and the graph's
//   inputs by ops that round in one way, are the same everywhere, bit for bit.
// - A sum of floats (Conv, Gemm, BinaryWeight*) has no promised order. Where
//   all its values are multiples of one power of two and small enough, every
//   order gives the same: those floats are as good as integers. Else the
//   results are close, by a bound from the magnitudes.
// - A pass may round the elementwise chain behind an accumulator in another way
//   where no path from it leads to a sign or another comparison: close, too.
//   Where a step of the chain overflows, what is finite must not become NaN,
//   and no more is promised: the step may be gone.
// - A float product may take the affine ops behind it into its weights.
//
// A case whose signs depend on what is only close promises nothing: it is not
// fair, and nobody generates it.
#ifndef TESTS_FUZZ_PROMISE_H_
#define TESTS_FUZZ_PROMISE_H_

#include <map>
#include <string>

#include "tests/fuzz/test_case.h"

namespace bqengine::fuzz {

struct Promise {
  enum class Kind {
    kSameBits,    // NaN for NaN
    kSameValues,  // zero may have another sign
    kClose,       // within `bound`; the same infinities, NaN for NaN
    kNotNan,      // what is finite in the one is not NaN in the other
    kNothing,
  };
  Kind kind = Kind::kSameBits;
  double bound = 0;
};

// By tensor name, of all inputs and activations. kInvalidModel from
// InferShapes; kUnsupported if the case is not fair.
Result<std::map<std::string, Promise>> PromisesOf(const TestCase& test);

}  // namespace bqengine::fuzz

#endif  // TESTS_FUZZ_PROMISE_H_
