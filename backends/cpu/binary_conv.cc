#include "binary_ops.h"
#include "binary_product.h"
#include "node_shapes.h"

namespace bqengine::backends::cpu {

std::unique_ptr<Kernel> CompileBinaryConv(const NodeView& node, Target target) {
  const kernels::BconvSpec spec = {.shape = ConvShapeOf(node),
                                   .format = BinaryFormatOf(node),
                                   .epilogue = EpilogueOf(node),
                                   .bits_out = node.output(0).is_bits()};
  return std::make_unique<BinaryProduct>(spec, node.constant("weight").words(),
                                         target);
}

}  // namespace bqengine::backends::cpu
