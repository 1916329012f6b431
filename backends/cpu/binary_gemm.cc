#include "binary_ops.h"
#include "binary_product.h"
#include "node_shapes.h"

namespace bqengine::backends::cpu {

std::unique_ptr<Kernel> CompileBinaryGemm(const NodeView& node, Target target) {
  const GemmShape gemm = GemmShapeOf(node);
  const kernels::ConvShape shape =
      kernels::GemmAsConv(gemm.rows_per_item, gemm.k, gemm.out);
  return std::make_unique<BinaryProduct>(BconvSpecOf(node, shape), node,
                                         target);
}

}  // namespace bqengine::backends::cpu
