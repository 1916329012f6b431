#include "binary_ops.h"
#include "binary_product.h"
#include "node_shapes.h"

namespace bqengine::backends::cpu {

std::unique_ptr<Kernel> CompileBinaryConv(const NodeView& node, Target target) {
  return std::make_unique<BinaryProduct>(node, ConvShapeOf(node), target);
}

}  // namespace bqengine::backends::cpu
