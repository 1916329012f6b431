// Constants made inside the library, where want of memory is an exception on
// its way to the border (border.h) and nothing is lost by it.
#ifndef ENGINE_SRC_GRAPH_MAKE_CONSTANT_H_
#define ENGINE_SRC_GRAPH_MAKE_CONSTANT_H_

#include <cstdint>
#include <vector>

#include "bqengine/graph.h"

namespace bqengine {

// As Constant::Floats and Constant::Bits, but they throw.
Constant MakeFloats(Shape shape, std::vector<float> values);
Constant MakeBits(DataType type, Shape shape, std::vector<uint64_t> words);

}  // namespace bqengine

#endif  // ENGINE_SRC_GRAPH_MAKE_CONSTANT_H_
