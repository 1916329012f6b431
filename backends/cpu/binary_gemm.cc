#include "binary_ops.h"
#include "binary_product.h"
#include "node_shapes.h"

namespace bqengine::backends::cpu {

std::unique_ptr<Kernel> CompileBinaryGemm(const NodeView& node, Target target) {
  const GemmShape gemm = GemmShapeOf(node);
  const kernels::BconvSpec spec = {
      .shape = kernels::GemmAsConv(gemm.rows_per_item, gemm.k, gemm.out),
      .format = BinaryFormatOf(node),
      .epilogue = EpilogueOf(node),
      .bits_out = node.output(0).is_bits()};
  return std::make_unique<BinaryProduct>(spec, node.constant("weight").words(),
                                         target);
}

}  // namespace bqengine::backends::cpu
